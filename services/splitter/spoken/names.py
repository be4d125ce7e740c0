"""Abbreviations, initialisms, Roman numerals. Pure."""

from collections.abc import Iterator
from functools import partial
from typing import Final

import regex

from services.splitter.spoken.grammar import Grammar
from services.splitter.spoken.recogniser import (
    CJK,
    LETTERS,
    Match,
    Recogniser,
    alternatives,
    by_word,
    choices,
    compiled,
    ends_sentence,
    word_before,
)

_ROMAN_PATTERN: Final = r"(?=[IVXLCDM])M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})"
_ROMAN: Final = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
_LARGEST_RULER: Final = 30


def recognisers(grammar: Grammar) -> Iterator[Recogniser]:
    """Yield what recognises a language's short forms."""
    yield from _romans(grammar)
    yield from _before_numbers(grammar)
    yield from _abbreviations(grammar)
    yield from _initials(grammar)


def _value(roman: str) -> int:
    values = [_ROMAN[letter] for letter in roman]
    return sum(-value if value < after else value for value, after in zip(values, [*values[1:], 0], strict=True))


def _romans(grammar: Grammar) -> Iterator[Recogniser]:
    table = grammar.table.roman
    roman = rf"(?P<roman>{_ROMAN_PATTERN})"
    numeral = rf"(?![LCDM](?![IVXLCDM])){roman}"  # a single one of these is rather a letter: Le, De
    if table.century:
        centuries = rf"(?<![\p{{L}}\p{{N}}.]){numeral}(?:{table.suffixes})(?=\s?(?:{table.century})(?!\p{{L}}))"
        yield Recogniser(compiled(centuries), lambda found: _century(found, grammar), LETTERS)
    if table.counted:
        counted = rf"(?<=(?<!\p{{L}})(?:{table.counted})\s){numeral}(?![\p{{L}}\p{{N}}])"
        yield Recogniser(compiled(counted), lambda found: grammar.words(_value(found["roman"])), LETTERS)
    if table.century_rule and table.suffixes.rstrip("?+") not in ("", r"\."):
        suffixed = rf"(?<![\p{{L}}\p{{N}}.]){numeral}(?:{table.suffixes.rstrip('?+')})(?!\p{{L}})"
        yield Recogniser(
            compiled(suffixed), lambda found: grammar.words(_value(found["roman"]), table.century_rule), LETTERS
        )
    if table.ruler:
        yield from _rulers(grammar, numeral)


def _century(found: Match, grammar: Grammar) -> str:
    number, rule = _value(found["roman"]), grammar.table.roman.century_rule
    return grammar.fill(rule, n=number) if "{" in rule else grammar.words(number, rule)


def _rulers(grammar: Grammar, roman: str) -> Iterator[Recogniser]:
    table = grammar.table.roman
    feminine = choices({r".*[aая]|isabel": "feminine"})

    def say(found: Match) -> str | None:
        number = _value(found["roman"])
        after = found.string[found.end() : found.end() + 1]
        if number > _LARGEST_RULER or (len(found["roman"]) == 1 and after == "." and not table.ruler_dot):
            return None  # an initial
        if found["roman"] in ("I", "X") and grammar.language == "en":  # the pronoun; Malcolm X
            return None
        rule = table.ruler_large if number > 10 and table.ruler_large else table.ruler
        if table.ruler_feminine and by_word(feminine, word_before(found)):
            rule = table.ruler_feminine
        if number == 1 and "first" in grammar.table.ordinals.after:
            rule = grammar.table.ordinals.after["first"]
        return grammar.fill(table.ruler_words, n=grammar.words(number, rule))

    dot = r"\." if table.ruler_dot else ""
    if table.before_name:
        pattern = rf"(?<![\p{{L}}\p{{N}}.]){roman}{dot}(?=\s\p{{Lu}}\p{{Ll}})"
    else:
        pattern = rf"(?<=\p{{Lu}}\p{{Ll}}++\s){roman}{dot}(?![\p{{L}}\p{{N}}])"
    yield Recogniser(compiled(pattern), say, LETTERS)


def _before_numbers(grammar: Grammar) -> Iterator[Recogniser]:
    words = {written: said for keys, said in grammar.table.before_number.items() for written in keys.split("|")}
    if words:
        pattern = rf"(?<![\p{{L}}\p{{N}}])(?P<word>{alternatives(words)})(?=\s?[\dIVXL])(?P<space>\s?)"
        yield Recogniser(
            compiled(pattern), lambda found: f"{_cased(words[found['word']], found['word'])}{grammar.gap}", LETTERS
        )


def _cased(said: str, written: str) -> str:
    """Return the words with a capital where the short form has one at its beginning."""
    return said[:1].upper() + said[1:] if written[:1].isupper() else said


def _abbreviations(grammar: Grammar) -> Iterator[Recogniser]:
    table = grammar.table
    for written, said in table.suffixes.items():
        yield Recogniser(compiled(rf"(?<=\p{{L}}){regex.escape(written)}"), partial(_instead, said), LETTERS)
    words = {written: said for keys, said in table.abbreviations.items() for written in keys.split("|")}
    if not words:
        return
    words |= {
        written[0].upper() + written[1:]: said
        for written, said in words.items()
        if written[0].upper() + written[1:] not in words
    }
    closing = frozenset(table.closing.split("|"))

    def say(found: Match) -> str:
        written = found["word"]
        said = _cased(words[written], written)
        return f"{said}." if written.endswith(".") and _ends(found, written, closing) else said

    yield Recogniser(
        compiled(
            rf"(?:(?<![\p{{L}}\p{{N}}\p{{M}}.@])|(?<={CJK}))(?P<word>{alternatives(words)})(?:(?![\p{{L}}\p{{M}}\p{{N}}@])|(?={CJK}))"
        ),
        say,
        LETTERS,
    )


def _instead(said: str, found: Match) -> str:  # noqa: ARG001  # what is written does not matter
    return said


def _ends(found: Match, written: str, closing: frozenset[str]) -> bool:
    """Say whether the full stop of a short form ends a sentence too."""
    if ends_sentence(found):
        return True
    after = found.string[found.end() : found.end() + 12]
    return written.lower() in closing and after[:1].isspace() and after.lstrip(" \u00a0\"'»”)")[:1].isupper()


def _initials(grammar: Grammar) -> Iterator[Recogniser]:
    table = grammar.table
    letters = table.letters

    def spelled(found: Match) -> str | None:
        word = found["word"]
        if len(word) > 1 and _shouted(found):
            return None
        return " ".join(letters.get(letter, letter) for letter in word if letter.isalpha())

    known = alternatives(table.initials.split()) if table.initials else r"(?!)"
    cyrillic = "БВГДЖЗКЛМНПРСТФХЦЧШЩ"
    consonants = rf"[BCDFGHJKLMNPQRSTVWXZ{cyrillic}]{{2,5}}"
    roman = r"(?!(?:[IVXLCDM]{2,})(?!\p{L}))"
    pattern = rf"(?<![\p{{L}}\p{{N}}.'-])(?P<word>(?:{known})|{roman}{consonants})(?![\p{{L}}\p{{M}}])"
    if table.spaced and grammar.language not in ("ar", "hi", "ko"):
        yield Recogniser(compiled(pattern), spelled, LETTERS)


def _shouted(found: Match) -> bool:
    """Say whether the word stands among capitals, as in a heading."""
    before = word_before(found)
    around = found.string[max(0, found.start() - 12) : found.start()] + found.string[found.end() : found.end() + 12]
    small = sum(letter.islower() for letter in around)
    return bool(before) and small == 0 and sum(letter.isupper() for letter in around) > 5
