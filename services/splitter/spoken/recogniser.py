"""What recognises one kind of thing in a text, and the numbers that many of them hold. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

import regex

from services.splitter.spoken.grammar import Grammar, Number

Match: TypeAlias = "regex.Match[str]"
WORD_BEFORE: Final = 24  # characters in which the word before a token is looked for
_LAST_WORD: Final = regex.compile(r"([\p{L}\p{M}'.]+)\s?$")


CJK: Final = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}]"  # scripts in which a letter before says nothing
MINUS: Final = (
    rf"(?:(?P<minus>(?:(?<![\p{{L}}\p{{N}})\]])|(?<={CJK}))[-−–](?=\d)|(?<!\p{{N}})−)\s?)?+"  # no hyphen and no dash
)
END: Final = r"(?![\p{L}\p{N}])"
FIGURES: Final = "0"
LETTERS: Final = "a"
SIGNS: Final = "+"


@dataclass(frozen=True)
class Recogniser:
    """A pattern, and what is said for it; None where it turns out to be something else."""

    pattern: "regex.Pattern[str]"
    say: Callable[[Match], str | None]
    starts: str = FIGURES  # kinds of characters with which it begins


def compiled(pattern: str) -> "regex.Pattern[str]":
    """Return a pattern that begins at no digit's or letter's right side by itself; V1 for sets."""
    return regex.compile(pattern, regex.V1)


def alternatives(words: Iterable[str]) -> str:
    """Return a pattern of these words, which are taken literally, the longest first."""
    return "|".join(regex.escape(word, literal_spaces=True) for word in sorted(words, key=len, reverse=True))


def number_pattern(grammar: Grammar) -> str:
    """Return the pattern of a number without its sign: figures, groups of thousands, decimals."""
    decimal = regex.escape(grammar.table.decimal)
    other = "," if grammar.table.decimal == "." else "."
    groups = grammar.table.groups
    grouped = rf"\d{{1,3}}(?:(?P<group>[{groups}])\d{{3}})(?:(?P=group)\d{{3}})*+(?!\d)"
    if grammar.table.indian:
        grouped += r"|\d{1,2}(?:,\d{2}){1,8},\d{3}(?!\d)"
    grouped += rf"|\d{{1,3}}(?:{decimal}\d{{3}}){{2,}}+(?![\d])"  # grouped in the foreign way
    lenient = rf"|{regex.escape(other)}(?:\d{{1,2}}|\d{{4,}}+)(?![\d])(?![.,]\d)"
    return (
        rf"(?<!\d)(?<!\d[.,])(?:{grouped}|\d++)"
        rf"(?:{decimal}\d++(?![{regex.escape('.,')}]\d){lenient})?+"
    )


def parsed(written: str, grammar: Grammar, *, negative: bool = False) -> Number:
    """Return the number that is written; what `number_pattern` takes."""
    decimal = grammar.table.decimal
    other = "," if decimal == "." else "."
    for mark in (decimal, other):
        whole, found, decimals = written.rpartition(mark)
        if found and (mark == decimal or len(decimals) != 3) and mark not in whole:
            return Number(_figures(whole), _figures(decimals), negative)
    return Number(_figures(written), "", negative)


def _figures(written: str) -> str:
    return "".join(character for character in written if character.isdecimal())


def ends_sentence(found: Match) -> bool:
    """Say whether nothing follows in the paragraph, so that the full stop of a short form ends a sentence too."""
    following = found.string[found.end() : found.end() + 12].lstrip(" \u00a0\"'»”)")
    return not following or following[0] == "\n"


def full_stop(found: Match, language: str) -> str:
    """Return the full stop that a unit's short form shares with its sentence; German capitals tell nothing."""
    if not found[0].endswith("."):
        return ""
    after = found.string[found.end() : found.end() + 2]
    return "." if ends_sentence(found) or (language != "de" and after[:1].isspace() and after[1:].isupper()) else ""


def amount(found: Match, grammar: Grammar) -> Number:
    """Return the number of a match that has the groups `minus` and `number`."""
    return parsed(found["number"], grammar, negative=found["minus"] is not None)


def word_before(found: Match) -> str:
    """Return the word before a token, in small letters."""
    before = found.string[max(0, found.start() - WORD_BEFORE) : found.start()]
    word = _LAST_WORD.search(before)
    return word[1].lower() if word else ""


def by_word(choices: Iterable[tuple["regex.Pattern[str]", str]], word: str) -> str:
    """Return what the first pattern that is the whole word leads to; empty where none is."""
    return next((chosen for pattern, chosen in choices if pattern.fullmatch(word)), "")


def choices(table: dict[str, str]) -> tuple[tuple["regex.Pattern[str]", str], ...]:
    """Return a table's patterns, compiled."""
    return tuple((compiled(pattern), chosen) for pattern, chosen in table.items())
