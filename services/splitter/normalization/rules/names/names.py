"""Initialisms that are spelled letter by letter, and chemical formulas. Pure."""

from collections.abc import Iterator
from typing import Final

import regex

from services.splitter.normalization.grammar.grammar import Grammar
from services.splitter.normalization.recognizer import (
    LETTERS,
    Match,
    Recognizer,
    alternatives,
    compiled,
    word_before,
)

_CONSONANTS: Final = r"[BCDFGHJKLMNPQRSTVWXZБВГДЖЗКЛМНПРСТФХЦЧШЩ]{2,5}"
_SUBSCRIPTS: Final = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_PART: Final = regex.compile(r"\p{Lu}\p{Ll}?|[₀-₉\d]+")
_PLAIN_FORMULAS: Final = r"H2O|H2O2|CO2|NO2|SO2|N2O|CH4|NH3|H2SO4|O2|O3|N2|H2"


def recognizers(grammar: Grammar) -> Iterator[Recognizer]:
    """Yield the recognizers of a language's initialisms."""
    yield _formulas(grammar)
    table = grammar.table
    if not table.spaced or grammar.language in ("ar", "hi", "ko"):
        return
    known = alternatives(table.initials.split())
    roman = r"(?!(?:[IVXLCDM]{2,})(?!\p{L}))"
    pattern = (
        rf"(?<![\p{{L}}\p{{N}}.'-])(?P<word>(?:{known})|{roman}{_CONSONANTS})(?![\p{{L}}\p{{M}}])"
    )

    def spelled(found: Match) -> str | None:
        word = found["word"]
        return None if len(word) > 1 and _shouted(found) else _letters(word, grammar)

    yield Recognizer(compiled(pattern), spelled, LETTERS, "initials")


def _letters(word: str, grammar: Grammar) -> str:
    letters = grammar.table.letters
    return " ".join(
        letters.get(letter.upper(), letter.upper()) for letter in word if letter.isalpha()
    )


def _formulas(grammar: Grammar) -> Recognizer:
    """Recognize a chemical formula, spelled letter by letter and figure by figure: SO₄, H2O."""

    def verbalize(found: Match) -> str:
        parts = (part.translate(_SUBSCRIPTS) for part in _PART.findall(found[0]))
        return " ".join(
            grammar.words(int(part)) if part.isdecimal() else _letters(part, grammar)
            for part in parts
        )

    subscripted = r"(?=[A-Za-z]*[₀-₉])(?:[A-Z][a-z]?[₀-₉]{0,3}){1,8}"
    pattern = rf"(?<![\p{{L}}\p{{N}}])(?:{subscripted}|{_PLAIN_FORMULAS})(?![\p{{L}}\p{{Nd}}])"
    return Recognizer(compiled(pattern), verbalize, LETTERS, "formula")


def _shouted(found: Match) -> bool:
    """Return whether the surrounding words are all capitals, as in a heading."""
    before = word_before(found)
    around = (
        found.string[max(0, found.start() - 12) : found.start()]
        + found.string[found.end() : found.end() + 12]
    )
    small = sum(letter.islower() for letter in around)
    return bool(before) and small == 0 and sum(letter.isupper() for letter in around) > 5
