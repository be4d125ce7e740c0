"""Recognizers, and the context checks and number patterns that the rules share. Pure.

A rule applies only if the context proves its reading. The checks that several rules need are here:
the word before, whether a sentence ends, whether a capital begins a name or a sentence.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

import regex

from services.splitter.normalization.grammar.grammar import Grammar, Number

Match: TypeAlias = "regex.Match[str]"
WORD_BEFORE: Final = 24  # characters searched for the word before a token
_LAST_WORD: Final = regex.compile(r"([\p{L}\p{M}'.]+)\s?$")
_LAST_WORDS: Final = regex.compile(r"(?<![\p{L}\p{M}'.])([\p{L}\p{M}'.]+\s[\p{L}\p{M}'.]+)\s?$")


# The sentence so far is at most a preposition and a month.
_ONLY_BEGUN: Final = regex.compile(r"(?:^|[.!?…\n\u2029]\s?)\p{Lu}\p{Ll}?\s(?:\p{Ll}+\s)?$")
_ROMAN: Final = regex.compile(r"[IVX]+")
# scripts in which a preceding letter proves nothing
CJK: Final = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}]"
MINUS: Final = (
    # not a hyphen or a dash
    rf"(?:(?P<minus>(?:(?<![\p{{L}}\p{{N}})\]])|(?<={CJK}))[-−–](?=\d)|(?<!\p{{N}})−)\s?)?+"
)
FIGURES: Final = "0"
LETTERS: Final = "a"
SIGNS: Final = "+"
_OPENERS: Final = " \u00a0\"'»”)"
_NEXT_WORD: Final = regex.compile(r"""[\s\u00a0"'„“«(¿¡]*+(\p{L}[\p{L}\p{M}'’]*+)(?!\p{N})""")


@dataclass(frozen=True)
class Recognizer:
    """A pattern, and a function that verbalizes its match; it returns None if the match means
    something else."""

    pattern: "regex.Pattern[str]"
    verbalize: Callable[[Match], str | None]
    starts: str = FIGURES  # kinds of characters that it may begin with
    rule: str = ""  # its name, for counting the edits of each rule


def instead(verbalized: str, found: Match) -> str:  # noqa: ARG001  # what is written does not matter
    """Return the function of a rule with a constant spoken form."""
    return verbalized


def compiled(pattern: str) -> "regex.Pattern[str]":
    """Return the compiled pattern, with V1 for sets. It does not check the character before the
    match."""
    return regex.compile(pattern, regex.V1)


def alternatives(words: Iterable[str]) -> str:
    """Return a pattern of these literal words, the longest first; without words, one that never
    matches."""
    ordered = sorted(words, key=len, reverse=True)
    return "|".join(regex.escape(word, literal_spaces=True) for word in ordered) or r"(?!)"


def number_pattern(grammar: Grammar) -> str:
    """Return the pattern of a number without its sign: figures, groups of thousands, decimals.

    A comma is a decimal sign only in languages that use it as one; a point is accepted in every
    language unless it separates thousands. Figures with several commas that do not separate
    thousands are a list, not a number.
    """
    decimal = regex.escape(grammar.table.decimal)
    groups = grammar.table.groups
    grouped = (
        rf"(?<![A-Za-z])\d{{1,3}}(?:(?P<group>[{groups}])\d{{3}})(?:(?P=group)\d{{3}})*+(?!\d)"
    )
    if grammar.table.indian:
        grouped += r"|\d{1,2}(?:,\d{2}){1,8},\d{3}(?!\d)"
    # grouped with the foreign separator
    grouped += rf"|\d{{1,3}}(?:{decimal}\d{{3}}){{2,}}+(?![\d])"
    other = r"\." if grammar.table.decimal == "," else ","
    # and with foreign decimals: 24,800.00
    grouped += rf"|\d{{1,3}}(?:{decimal}\d{{3}})++{other}\d{{1,2}}(?!\d)"
    lenient = r"|\.(?:\d{1,2}|\d{4,}+)(?![\d])(?![.,]\d)" if grammar.table.decimal == "," else ""
    return rf"(?<!\d)(?<!\d[.,])(?:{grouped}|\d++)(?:{decimal}\d++(?![.,]\d){lenient})?+"


def parsed(written: str, grammar: Grammar, *, negative: bool = False) -> Number:
    """Return the value of a number that matches `number_pattern`."""
    decimal = grammar.table.decimal
    other = "," if decimal == "." else "."
    if decimal in written and other in written and written.rindex(other) > written.rindex(decimal):
        whole, _, decimals = written.rpartition(other)
        return Number(_figures(whole), _figures(decimals), negative)
    for mark in (decimal, other):
        whole, found, decimals = written.rpartition(mark)
        if found and (mark == decimal or len(decimals) != 3) and mark not in whole:
            return Number(_figures(whole) or "0", _figures(decimals), negative)
    return Number(_figures(written), "", negative)


def _figures(written: str) -> str:
    return "".join(character for character in written if character.isdecimal())


def ends_sentence(found: Match) -> bool:
    """Return whether the match ends the paragraph, so that the full stop of a short form also ends
    a sentence."""
    following = found.string[found.end() : found.end() + 12].lstrip(_OPENERS)
    return not following or following[0] == "\n"


def next_word(found: Match) -> str:
    """Return the word that follows after white space and opening marks; empty if another mark
    follows."""
    word = _NEXT_WORD.match(found.string, found.end(), found.end() + 2 * WORD_BEFORE)
    return word[1] if word else ""


def begins_sentence(word: str, grammar: Grammar) -> bool:
    """Return whether a capitalized word is a sentence starter and not a name: a pronoun, an
    article, "when"."""
    return word[:1].isupper() and word.lower() in grammar.starters


def full_stop(found: Match, grammar: Grammar) -> str:
    """Return the full stop that a short form shares with its sentence; German capitals alone prove
    nothing."""
    if not found[0].endswith("."):
        return ""
    if ends_sentence(found):
        return "."
    word = next_word(found)
    capital = word[:1].isupper() if grammar.language != "de" else begins_sentence(word, grammar)
    return "." if capital and found.string[found.end() : found.end() + 1].isspace() else ""


def phrase_stop(found: Match, grammar: Grammar) -> str:
    """Return the full stop that a short form shares with its sentence, unless that has just begun:
    W 1939 r. Niemcy."""
    begun = _ONLY_BEGUN.search(found.string, max(0, found.start() - WORD_BEFORE), found.start())
    if begun and not ends_sentence(found) and not begins_sentence(next_word(found), grammar):
        return ""
    if _ROMAN.fullmatch(next_word(found)):
        return ""  # w latach 80. XX wieku
    return full_stop(found, grammar)


def amount(found: Match, grammar: Grammar) -> Number:
    """Return the number of a match that has the groups `minus` and `number`."""
    return in_case(
        parsed(found["number"], grammar, negative=found["minus"] is not None), found, grammar
    )


def in_case(number: Number, found: Match, grammar: Grammar) -> Number:
    """Return a number in the grammatical case that the word before a match requires: около 5."""
    asks = grammar.table.genitive
    if not asks or number.decimals or not regex.fullmatch(asks, word_before(found)):
        return number
    return Number(number.whole, "", number.negative, genitive=True)


def word_before(found: Match) -> str:
    """Return the word before a token, in lower case."""
    before = found.string[max(0, found.start() - WORD_BEFORE) : found.start()]
    word = _LAST_WORD.search(before)
    return word[1].lower() if word else ""


def by_word(choices: Iterable[tuple["regex.Pattern[str]", str]], word: str) -> str:
    """Return the value of the first pattern that matches the whole word; empty if none does."""
    return next((chosen for pattern, chosen in choices if pattern.fullmatch(word)), "")


def by_context(choices: Iterable[tuple["regex.Pattern[str]", str]], found: Match) -> str:
    """Return the value for the two words before a token, or for the last of them; empty if there is
    neither."""
    before = found.string[max(0, found.start() - WORD_BEFORE) : found.start()]
    words = _LAST_WORDS.search(before)
    return (words and by_word(choices, words[1].lower())) or by_word(choices, word_before(found))


def choices(table: dict[str, str]) -> tuple[tuple["regex.Pattern[str]", str], ...]:
    """Return the compiled patterns of a table."""
    return tuple((compiled(pattern), chosen) for pattern, chosen in table.items())
