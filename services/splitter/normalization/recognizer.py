"""What recognises one kind of thing in a text, the contexts that prove it, and the numbers in it. Pure.

A rule fires only where its context proves it. What several rules need to know about a context is here: the word before,
whether a sentence ends, whether a capital begins a name or a sentence.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

import regex

from services.splitter.normalization.grammar.grammar import Grammar, Number

Match: TypeAlias = "regex.Match[str]"
WORD_BEFORE: Final = 24  # characters in which the word before a token is looked for
_LAST_WORD: Final = regex.compile(r"([\p{L}\p{M}'.]+)\s?$")
_LAST_WORDS: Final = regex.compile(r"(?<![\p{L}\p{M}'.])([\p{L}\p{M}'.]+\s[\p{L}\p{M}'.]+)\s?$")


# Of a sentence there is no more than a preposition, and a month.
_ONLY_BEGUN: Final = regex.compile(r"(?:^|[.!?…\n\u2029]\s?)\p{Lu}\p{Ll}?\s(?:\p{Ll}+\s)?$")
_ROMAN: Final = regex.compile(r"[IVX]+")
CJK: Final = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}]"  # scripts in which a letter before says nothing
MINUS: Final = (
    rf"(?:(?P<minus>(?:(?<![\p{{L}}\p{{N}})\]])|(?<={CJK}))[-−–](?=\d)|(?<!\p{{N}})−)\s?)?+"  # no hyphen and no dash
)
FIGURES: Final = "0"
LETTERS: Final = "a"
SIGNS: Final = "+"
_OPENERS: Final = " \u00a0\"'»”)"
_NEXT_WORD: Final = regex.compile(r"""[\s\u00a0"'„“«(¿¡]*+(\p{L}[\p{L}\p{M}'’]*+)(?!\p{N})""")


@dataclass(frozen=True)
class Recognizer:
    """A pattern, and what is said for it; None where it turns out to be something else."""

    pattern: "regex.Pattern[str]"
    say: Callable[[Match], str | None]
    starts: str = FIGURES  # kinds of characters with which it begins
    rule: str = ""  # its name, for those who count rewrites


def instead(said: str, found: Match) -> str:  # noqa: ARG001  # what is written does not matter
    """Return the words of a rule that always says the same."""
    return said


def compiled(pattern: str) -> "regex.Pattern[str]":
    """Return a pattern that begins at no digit's or letter's right side by itself; V1 for sets."""
    return regex.compile(pattern, regex.V1)


def alternatives(words: Iterable[str]) -> str:
    """Return a pattern of these words, which are taken literally, the longest first; of none, one that never holds."""
    ordered = sorted(words, key=len, reverse=True)
    return "|".join(regex.escape(word, literal_spaces=True) for word in ordered) or r"(?!)"


def number_pattern(grammar: Grammar) -> str:
    """Return the pattern of a number without its sign: figures, groups of thousands, decimals.

    A comma is a decimal sign only where the language has it as one; a point is taken for one everywhere, as far as it
    parts no thousands. Figures with several commas that are no thousands are a list, and no number.
    """
    decimal = regex.escape(grammar.table.decimal)
    groups = grammar.table.groups
    grouped = rf"(?<![A-Za-z])\d{{1,3}}(?:(?P<group>[{groups}])\d{{3}})(?:(?P=group)\d{{3}})*+(?!\d)"
    if grammar.table.indian:
        grouped += r"|\d{1,2}(?:,\d{2}){1,8},\d{3}(?!\d)"
    grouped += rf"|\d{{1,3}}(?:{decimal}\d{{3}}){{2,}}+(?![\d])"  # grouped in the foreign way
    other = r"\." if grammar.table.decimal == "," else ","
    grouped += rf"|\d{{1,3}}(?:{decimal}\d{{3}})++{other}\d{{1,2}}(?!\d)"  # and with foreign decimals: 24,800.00
    lenient = r"|\.(?:\d{1,2}|\d{4,}+)(?![\d])(?![.,]\d)" if grammar.table.decimal == "," else ""
    return rf"(?<!\d)(?<!\d[.,])(?:{grouped}|\d++)(?:{decimal}\d++(?![.,]\d){lenient})?+"


def parsed(written: str, grammar: Grammar, *, negative: bool = False) -> Number:
    """Return the number that is written; what `number_pattern` takes."""
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
    """Return whether nothing follows in the paragraph, so that the full stop of a short form ends a sentence too."""
    following = found.string[found.end() : found.end() + 12].lstrip(_OPENERS)
    return not following or following[0] == "\n"


def next_word(found: Match) -> str:
    """Return the word that follows after white space and opening marks; empty where another mark follows."""
    word = _NEXT_WORD.match(found.string, found.end(), found.end() + 2 * WORD_BEFORE)
    return word[1] if word else ""


def begins_sentence(word: str, grammar: Grammar) -> bool:
    """Return whether a capitalised word is one that begins sentences and is no name: a pronoun, an article, "when"."""
    return word[:1].isupper() and word.lower() in grammar.starters


def full_stop(found: Match, grammar: Grammar) -> str:
    """Return the full stop that a short form shares with its sentence; German capitals alone prove nothing."""
    if not found[0].endswith("."):
        return ""
    if ends_sentence(found):
        return "."
    word = next_word(found)
    capital = word[:1].isupper() if grammar.language != "de" else begins_sentence(word, grammar)
    return "." if capital and found.string[found.end() : found.end() + 1].isspace() else ""


def phrase_stop(found: Match, grammar: Grammar) -> str:
    """Return the full stop that a short form shares with its sentence, unless this has only begun: W 1939 r. Niemcy."""
    begun = _ONLY_BEGUN.search(found.string, max(0, found.start() - WORD_BEFORE), found.start())
    if begun and not ends_sentence(found) and not begins_sentence(next_word(found), grammar):
        return ""
    if _ROMAN.fullmatch(next_word(found)):
        return ""  # w latach 80. XX wieku
    return full_stop(found, grammar)


def amount(found: Match, grammar: Grammar) -> Number:
    """Return the number of a match that has the groups `minus` and `number`."""
    return in_case(parsed(found["number"], grammar, negative=found["minus"] is not None), found, grammar)


def in_case(number: Number, found: Match, grammar: Grammar) -> Number:
    """Return a number in the case that the word before a match asks for: около 5."""
    asks = grammar.table.genitive
    if not asks or number.decimals or not regex.fullmatch(asks, word_before(found)):
        return number
    return Number(number.whole, "", number.negative, genitive=True)


def word_before(found: Match) -> str:
    """Return the word before a token, in small letters."""
    before = found.string[max(0, found.start() - WORD_BEFORE) : found.start()]
    word = _LAST_WORD.search(before)
    return word[1].lower() if word else ""


def by_word(choices: Iterable[tuple["regex.Pattern[str]", str]], word: str) -> str:
    """Return what the first pattern that is the whole word leads to; empty where none is."""
    return next((chosen for pattern, chosen in choices if pattern.fullmatch(word)), "")


def by_context(choices: Iterable[tuple["regex.Pattern[str]", str]], found: Match) -> str:
    """Return what the two words before a token lead to, or the last of them; empty where neither does."""
    before = found.string[max(0, found.start() - WORD_BEFORE) : found.start()]
    words = _LAST_WORDS.search(before)
    return (words and by_word(choices, words[1].lower())) or by_word(choices, word_before(found))


def choices(table: dict[str, str]) -> tuple[tuple["regex.Pattern[str]", str], ...]:
    """Return a table's patterns, compiled."""
    return tuple((compiled(pattern), chosen) for pattern, chosen in table.items())
