"""Ordinals: 3rd, 3., 第3. Pure."""

from collections.abc import Iterator
from functools import partial
from typing import Final

from services.splitter.normalization.grammar.grammar import Grammar
from services.splitter.normalization.recognizer import (
    Match,
    Recognizer,
    by_context,
    by_word,
    choices,
    compiled,
    phrase_stop,
)

_JOINING: Final = "und|oder|bis|i|oraz|lub|a|nebo|až|és|vagy|ve"  # 1. und 2. Klasse


def ordinals(grammar: Grammar) -> Iterator[Recognizer]:
    """Yield the recognizers of ordinals by the text before them, and by their full stop."""

    table = grammar.table.ordinals
    for pattern, rule in table.prefixes.items():
        yield Recognizer(
            compiled(
                rf"(?<={pattern})(?P<number>\d{{1,9}})(?:\s?[-–~～〜]\s?(?P<last>\d{{1,9}}))?+(?!\d|[.,]\d)"
            ),
            partial(_prefixed, rule, grammar),
            rule="ordinal.prefix",
        )
    if table.dot:
        yield _dotted(grammar)


def suffixed_ordinals(grammar: Grammar) -> Iterator[Recognizer]:
    """Yield the recognizers of ordinals by the suffix of their figures: 3rd, 3e."""

    end = rf"(?![{grammar.letter}\p{{N}}])"
    for pattern, rule in grammar.table.ordinals.suffixes.items():
        yield Recognizer(
            compiled(
                rf"(?<![\dA-Za-z])(?<!\d[.,])(?P<number>\d{{1,3}}(?:[,.]\d{{3}})*+|\d{{1,9}})(?:{pattern}){end}"
            ),
            partial(by_rule, rule, grammar),
            rule="ordinal.suffix",
        )


def _prefixed(rule: str, grammar: Grammar, found: Match) -> str:
    if not found["last"]:
        return by_rule(rule, grammar, found)
    gap = grammar.gap * found.string[found.end() : found.end() + 1].isalpha()
    return f"{grammar.words(int(found['number']), rule)}{grammar.to}{grammar.words(int(found['last']), rule)}{gap}"


def by_rule(rule: str, grammar: Grammar, found: Match) -> str:
    """Return the figures of a match in words, by a rule or a template."""

    number = int("".join(filter(str.isdecimal, found["number"])))
    stop = phrase_stop(found, grammar) if "{stop}" in rule else ""
    verbalized = (
        grammar.fill(rule, n=number, stop=stop) if "{" in rule else grammar.words(number, rule)
    )
    glued = found.string[found.end() : found.end() + 1].isalpha() and not grammar.particle.match(
        found.string, found.end()
    )
    return f"{verbalized}{grammar.gap * glued}"


def _dotted(grammar: Grammar) -> Recognizer:
    """Recognize "3." as an ordinal: after a word that requires one, or before a small letter."""
    table = grammar.table.ordinals
    after, before = choices(table.after), choices(table.before)
    capitals = compiled(table.capitals or r"(?!)")

    def verbalize(found: Match) -> str | None:
        chosen = by_context(after, found)
        following = found["noun"]
        capital = capitals.fullmatch(following) or (chosen and grammar.language in ("de", "tr"))
        if not (following[0].islower() or capital) or following in grammar.starters:
            return None  # a capital begins a sentence, and of words like "is" none is counted
        rule = (
            chosen
            if chosen and not chosen.startswith("noun")
            else by_word(before, following) or table.rule
        )
        if chosen.startswith("noun-") and "plural" not in rule and not rule.endswith("accusative"):
            gender = "feminine" if "feminine" in rule else "masculine"
            rule = f"ordinal-{gender}-{chosen.removeprefix('noun-')}"
        return f"{grammar.words(int(found['number']), rule)}"

    return Recognizer(
        compiled(
            rf"(?<![\p{{L}}\d.,-])(?P<number>[1-9]\d{{0,3}})\.(?=\s(?:(?:{_JOINING})\s\d{{1,4}}\.\s)?+(?P<noun>\p{{L}}[\p{{L}}\p{{M}}]*+))"
        ),
        verbalize,
        rule="ordinal.dot",
    )
