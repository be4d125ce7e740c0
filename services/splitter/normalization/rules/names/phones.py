"""Telephone numbers and other long runs of groups, spoken figure by figure. Pure.

Proof is one of: a plus sign; a zero at the beginning and seven figures or more; a word before it
(tel., call); three groups or more that are not thousands, a date or years; the national format of
the language's table.
"""

from collections.abc import Iterator
from typing import Final

import regex

from services.splitter.normalization.grammar.grammar import Grammar
from services.splitter.normalization.recognizer import FIGURES, SIGNS, Match, Recognizer, compiled

_FEWEST, _MOST = 7, 19
_MOST_ABROAD: Final = 15  # ITU-T E.164
_FEWEST_AFTER_A_WORD: Final = 3
# characters searched for a word that implies a telephone number
_WORDS_BEFORE: Final = 32
_GROUP: Final = regex.compile(r"\d+")
_SEPARATOR: Final = r"(?:[ .\-/\u00a0\u202f\u2011]|\s[-–/]\s)"
_RUN: Final = (
    rf"(?<![\d.,\p{{L}}/+-])(?<!\d:)(?:\+\s?)?(?:\(\d{{2,5}}\)\s?|\d{{1,8}}\s?\(\d{{1,5}}\)\s?|\d{{1,8}}{_SEPARATOR})\d{{1,8}}"
    rf"(?:{_SEPARATOR}\d{{1,8}}){{0,6}}"
    r"(?![\d]|[.,:/-]\d|[%°€$£₹]|\p{L})"
)
_AREA: Final = regex.compile(r"\((?!(?:1[5-9]|20)\d\d\))\d{2,5}\)")  # no year
_DATE: Final = regex.compile(r"(?<!\d)(?:19|20)\d\d-\d\d-\d\d(?!\d)|\((?:1[5-9]|20)\d\d\)")
_LONG: Final = r"(?<![\d.,\p{L}/+-])(?<!\d:)0\d{6,14}(?![\d]|[.,:/-]\d|\p{L})"


def recognizers(grammar: Grammar) -> Iterator[Recognizer]:
    """Yield the recognizers of telephone numbers."""
    phones = grammar.table.phones
    before = rf"(?<![{grammar.letter}])"
    between = r"(?!\p{L})[^.!?;\d\n]{0,12}\.?:?" if not grammar.glued else r"\s?[:：]?"
    asks = compiled(rf"(?i){before}(?:{phones.words}){between}\s?$") if phones.words else None

    def by_groups(found: Match) -> str | None:
        text = found[0]
        if _DATE.search(text):
            return None
        groups = _GROUP.findall(text)
        before = found.string[max(0, found.start() - _WORDS_BEFORE) : found.start()]
        cued = asks is not None and asks.search(before) is not None
        if not _FEWEST <= sum(map(len, groups)) <= _MOST and not cued:
            return None
        if not cued and text.startswith("0."):
            return None
        proved = (
            cued
            or (text[0] == "+" and len(groups[0]) <= 3)
            or _begins_a_number(text, groups)
            or _is_no_number(text, groups, grammar)
        )
        return _verbalized(text, groups, grammar) if proved else None

    def after_cue(found: Match) -> str | None:
        before = found.string[max(0, found.start() - _WORDS_BEFORE) : found.start()]
        return (
            _verbalized(found[0], [found[0]], grammar)
            if asks is not None and asks.search(before)
            else None
        )

    if phones.national:
        pattern = rf"(?<![\d.,+-])(?:{phones.national})(?![\d-])"
        yield Recognizer(
            compiled(pattern), lambda found: _by_length(found, grammar), FIGURES + SIGNS, "phone"
        )
    international = r"(?<!\w)\+\d{1,3}(?:[\s.\-/]?\(?\d{1,4}\)?){2,6}(?!\d)"
    yield Recognizer(
        compiled(international),
        lambda found: _by_length(found, grammar, _MOST_ABROAD),
        SIGNS,
        "phone",
    )
    run = _RUN.replace(r"\p{L}", grammar.letter)
    yield Recognizer(compiled(run), by_groups, FIGURES + SIGNS, "phone")
    long = _LONG.replace(r"\p{L}", grammar.letter)
    yield Recognizer(
        compiled(long), lambda found: _verbalized(found[0], [found[0]], grammar), FIGURES, "phone"
    )
    yield Recognizer(
        compiled(rf"(?<![\d.,])\d{{{_FEWEST_AFTER_A_WORD},15}}(?![\d]|[.,]\d)"),
        after_cue,
        rule="phone",
    )


def _by_length(found: Match, grammar: Grammar, most: int = _MOST) -> str | None:
    groups = _GROUP.findall(found[0])
    dated = _DATE.search(found[0]) is not None
    return (
        _verbalized(found[0], groups, grammar)
        if not dated and _FEWEST <= sum(map(len, groups)) <= most
        else None
    )


def _begins_a_number(text: str, groups: list[str]) -> bool:
    """Return whether the match begins with a zero or an area code in brackets, and is not a
    date."""
    if text.startswith("("):
        return _AREA.match(text) is not None
    return (
        len(groups[0]) > 1
        and groups[0][0] == "0"
        and not (len(groups[-1]) == 4 and len(groups) == 3)
    )


def _is_year(group: str) -> bool:
    return len(group) == 4 and "1000" <= group <= "2199"


def _is_no_number(text: str, groups: list[str], grammar: Grammar) -> bool:
    """Return whether groups of figures are neither thousands nor years, dates, a range or a
    version."""
    if (
        len(groups) < 3
        or text[0] == "("
        or "." in text
        or "/" in text
        or " - " in text
        or " – " in text
    ):
        return False
    if all(map(_is_year, groups)):
        return False
    if " " in text and "-" in text and " " in grammar.table.groups:
        return False
    separators = {character for character in text if not character.isdecimal()}
    thousands = len(groups[0]) <= 3 and all(len(group) == 3 for group in groups[1:])
    return not (thousands and "-" not in separators) and len(separators) <= 2


def _verbalized(text: str, groups: list[str], grammar: Grammar) -> str:
    phones = grammar.table.phones
    verbalized = [_group(group, grammar) for group in groups]
    sign = f"{grammar.table.plus}{grammar.gap}" if text.startswith("+") else ""
    spoken = sign + f"{grammar.comma}{grammar.gap}".join(verbalized)
    return spoken.replace(grammar.digits("0"), phones.zero) if phones.zero else spoken


def _group(group: str, grammar: Grammar) -> str:
    if grammar.table.phones.pairs and len(group) == 2 and group[0] != "0":
        return grammar.words(int(group))
    digits = grammar.digits(group)
    return digits.replace(" ", "") if grammar.table.phones.joined else digits
