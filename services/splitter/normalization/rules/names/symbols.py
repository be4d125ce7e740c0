"""Mathematical and other signs that are spoken as words. Pure.

A sign between spaces is an operator only inside a formula: numbers or single letters on both sides,
and another sign of a formula next to them. Otherwise a hyphen between spaces is a dash, a slash or
an arrow a pause, and an asterisk stays.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

import regex

from services.splitter.normalization.grammar.formulas import in_equation, in_formula
from services.splitter.normalization.grammar.grammar import Grammar
from services.splitter.normalization.recognizer import (
    CJK,
    LETTERS,
    SIGNS,
    Match,
    Recognizer,
    alternatives,
    compiled,
    instead,
    next_word,
    word_before,
)

PAUSE_SPACE: Final = r"[^\S\n]{1,3}"  # the white space that a pause takes with it
_SIGN_AS_NOUN: Final = regex.compile(
    r"\s+(?:[でがをはにのもとやへ]|から|文件夹|目录|键|符号|[를을의은는에](?!\p{L}))"
)
_OPEN: Final = regex.compile(r"<\s?\w{1,10}$")
_POWER_OF_TEN: Final = regex.compile(r"\s?10[⁻⁰¹²³⁴-⁹]")  # behind "x", which is "by" elsewhere
_SUPERSCRIPTS: Final = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻₀₁₂₃₄₅₆₇₈₉₊₋", "0123456789+-0123456789+-")
_POWER_BEFORE: Final = regex.compile(
    rf"(?:[\d)\]}}π]|(?:(?<![\p{{L}}\p{{M}}'’])|(?<={CJK}))\p{{L}}|(?<![A-Za-z])[mckd]m|(?<=[=+×·*/−]\s?)\p{{L}}{{2}})$"
)


def recognizers(grammar: Grammar) -> Iterator[Recognizer]:
    """Yield the recognizers of a language's signs."""
    table, gap = grammar.table, grammar.gap
    for pattern, verbalized in table.beside.items():
        yield Recognizer(compiled(pattern), partial(instead, verbalized), SIGNS, "beside")
    if table.number_signs:
        signs = alternatives(table.number_signs)
        yield Recognizer(
            compiled(
                rf"(?<![\p{{L}}\p{{N}}&])(?P<sign>{signs})\s?(?=\d)(?!(?<=#)(?:0|\d*+\p{{L}}))"
            ),
            lambda found: f"{table.number_signs[found['sign']]}{gap}",
            SIGNS + LETTERS,
            "number_sign",
        )
    yield _exponents(grammar)
    yield _subscripts(grammar)
    if table.operators:
        yield from _operators(grammar)
    yield from _pauses(grammar)
    if table.symbols:
        words = {sign: verbalized for sign, verbalized in table.symbols.items() if sign not in "²³"}
        pattern = rf"(?P<sign>{alternatives(words)})(?<!%(?=[\p{{L}}\d]))"
        yield Recognizer(compiled(pattern), _spaced(words, grammar), SIGNS, "symbol")


def _spaced(words: dict[str, str], grammar: Grammar) -> Callable[[Match], str]:
    def verbalize(found: Match) -> str:
        text, verbalized = found.string, words[found["sign"]]
        before = text[found.start() - 1 : found.start()]
        after = text[found.end() : found.end() + 1]
        left = grammar.gap if before and not before.isspace() and before not in "([{" else ""
        return f"{left}{verbalized}{grammar.gap if after.isalnum() or (after in '([√' and after) else ''}"

    return verbalize


def _operators(grammar: Grammar) -> Iterator[Recognizer]:
    table = grammar.table
    verbalized = _spaced(table.operators, grammar)

    def verbalize(found: Match) -> str:
        product = found["sign"] == "x" and _POWER_OF_TEN.match(found.string, found.end())
        return (
            verbalized(found).replace(table.operators["x"], table.symbols["×"])
            if product
            else verbalized(found)
        )

    spaced = compiled(rf"(?<=[^\S\n])(?P<sign>{alternatives(table.operators)})(?=[^\S\n])")
    yield Recognizer(
        spaced,
        lambda found: verbalize(found) if _in_formula(found) else None,
        SIGNS + LETTERS,
        "operator.spaced",
    )
    # 3-2, 3:2, 3/2 are no sums
    tight = alternatives(sign for sign in table.operators if sign not in ("-", ":", "/"))
    yield Recognizer(
        compiled(rf"(?<=\d)(?<!(?<![\d.,])0)(?!x0)(?P<sign>{tight})(?=\d)"),
        verbalize,
        SIGNS + LETTERS,
        "operator.tight",
    )
    yield Recognizer(
        compiled(r"(?<=[\d\p{L})²³⁰-⁹₀-₉])(?P<sign>[-−])(?=[\d\p{L}(])"),
        lambda found: (
            verbalize(found) if found["sign"] in table.operators and _in_equation(found) else None
        ),
        SIGNS,
        "operator.equation",
    )


def _in_formula(found: Match) -> bool:
    return in_formula(found.string, found.start(), found.end(), found["sign"])


def _in_equation(found: Match) -> bool:
    return in_equation(found.string, found.start(), found.end())


def _pauses(grammar: Grammar) -> Iterator[Recognizer]:
    """Recognize signs between spaces that are not operators: a dash, or a pause."""

    def pause(found: Match) -> str | None:
        if found["sign"] in grammar.table.operators and _in_formula(found):
            return None
        if _is_named(found, grammar):
            return None
        # "the / partition" names the sign; "he / she" does not
        named = (
            word_before(found) in grammar.starters
            and next_word(found).lower() not in grammar.starters
        )
        return None if named else grammar.comma

    free = r"(?<=[^\s\p{Pi}\p{Ps}\"'][^\S\n])"  # not quoted
    yield Recognizer(compiled(rf"{free}[-−](?=[^\S\n]+[^\s])"), lambda _: "–", SIGNS, "dash")
    behind = r"(?=[^\S\n]+[\p{L}\p{N}\p{Sc}\p{Pi}\"'„+-])"
    path = r"(?<=\p{L}[^\S\n]+)>(?=[^\S\n]+\p{Lu})"  # of a menu: File > Open
    sign = rf"(?<=[\p{{L}}\p{{N}}\p{{Sc}}%°.)\]\"'”’»]){PAUSE_SPACE}(?P<sign>/|->|{path}){behind}"
    yield Recognizer(compiled(sign), pause, SIGNS, "pause")
    if grammar.table.asterisk:
        asterisk = rf"{free}\*{{1,3}}(?=[^\S\n]+[^\s])"
        yield Recognizer(compiled(asterisk), lambda _: grammar.table.asterisk, SIGNS, "asterisk")


def _is_named(found: Match, grammar: Grammar) -> bool:
    """Return whether a text is about the sign itself, or the sign closes a bracket: スラッシュ / で, < n
    >."""
    if found["sign"] == ">" and _OPEN.search(
        found.string, max(0, found.start() - 12), found.start()
    ):
        return True
    return grammar.glued and _SIGN_AS_NOUN.match(found.string, found.end()) is not None


def _exponents(grammar: Grammar) -> Recognizer:
    """Recognize superscript figures: a power, the charge of an ion, or a footnote mark, which is
    not spoken."""
    table = grammar.table

    def verbalize(found: Match) -> str:
        text, figures = found.string, found[0].translate(_SUPERSCRIPTS)
        before = text[max(0, found.start() - 8) : found.start()]
        gap = "" if grammar.glued else grammar.gap
        after = gap if text[found.end() : found.end() + 1].isalnum() else ""
        if figures[-1] in "+-" or before[-1:] in "₀₁₂₃₄₅₆₇₈₉":  # an ion's charge
            return f"{gap}{_charge(figures, grammar)}{after}"
        if not _POWER_BEFORE.search(before):
            return ""
        known = table.symbols.get(found[0])
        verbalized = known or _power(figures, grammar)
        return f"{gap}{verbalized}{after}"

    return Recognizer(
        compiled(r"[⁺⁻]?[⁰¹²³⁴-⁹]++[⁺⁻]?|(?<=\p{L})[⁺⁻]"), verbalize, SIGNS, "exponent"
    )


def _charge(figures: str, grammar: Grammar) -> str:
    number, sign = figures.rstrip("+-"), figures[-1]
    word = {"+": grammar.table.plus, "-": grammar.table.minus}.get(sign, "")
    return grammar.gap.join(
        part for part in (grammar.words(int(number)) if number else "", word) if part
    )


def _power(figures: str, grammar: Grammar) -> str:
    """Return an exponent in words, its sign before its number."""
    sign = {"+": grammar.table.plus, "-": grammar.table.minus}.get(figures[0], "")
    template = (
        grammar.table.power.replace("{n", f"{sign}{grammar.gap}{{n")
        if sign
        else grammar.table.power
    )
    return grammar.fill(template, n=int(figures.lstrip("+-")))


def _subscripts(grammar: Grammar) -> Recognizer:
    """Recognize subscript figures, which are spoken as numbers: x₁."""

    def verbalize(found: Match) -> str:
        after = grammar.gap if found.string[found.end() : found.end() + 1].isalnum() else ""
        return f"{grammar.gap}{grammar.words(int(found[0].translate(_SUPERSCRIPTS)))}{after}"

    return Recognizer(compiled(r"[₀-₉]{1,9}"), verbalize, SIGNS, "subscript")
