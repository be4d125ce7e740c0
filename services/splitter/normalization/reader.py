"""Normalizes text: verbalizes the written form into the spoken form. Pure, linear in the text.

How it works.

1. Clean up. Characters are normalized (characters), the request's pronunciations are substituted
   (pronunciations), TeX and typographic conventions are converted to plain characters (tex,
   typography), and markup is removed (markup).
2. Find candidates. One regular expression finds the offsets where something other than a plain word
   may begin: a figure, a sign, or the first letters of a known short form, an initialism or a Roman
   numeral.
3. Recognize. At each candidate the recognizers for its kind of character run in a fixed order, the
   most specific first. The first one that returns words wins: they replace the match, and the pass
   continues after it.

A recognizer returns None if the context does not prove its reading, and the next one is tried. All
recognizers match against the text as it was before this pass, so no rule sees the output of another
rule. Every replacement is recorded (alignment), so spans of the spoken form can be mapped back to
the text of the request.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Final

import regex

from services.common.wire.options import DEFAULT_TEXT_OPTIONS, TextOptions
from services.splitter.normalization.grammar.grammar import grammar
from services.splitter.normalization.grammar.table import Table
from services.splitter.normalization.recognizer import FIGURES, LETTERS, SIGNS
from services.splitter.normalization.rules.dates import calendar, durations, times
from services.splitter.normalization.rules.names import (
    abbreviations,
    addresses,
    names,
    phones,
    symbols,
)
from services.splitter.normalization.rules.names.symbols import PAUSE_SPACE
from services.splitter.normalization.rules.numbers import numbers, ratios, romans
from services.splitter.normalization.text.alignment import Aligned, Edit, SpokenTooLong, changes
from services.splitter.normalization.text.characters import cleaned, composed
from services.splitter.normalization.text.markup import bare
from services.splitter.normalization.text.pronunciations import respelled
from services.splitter.normalization.text.tex import plain_tex
from services.splitter.normalization.text.typography import usual, with_apostrophes

# Figures at the beginning of a sentence are verbalized with a capital. After a short word with a
# full stop, which may be an unknown abbreviation, figures are assumed to continue the sentence.
_BEGINS: Final = regex.compile(
    r"(?:^|[!?…]|\.{3}|\n|[\p{L}\p{M}]{4}\.|[\p{Pe}\p{Pf}\"']\.|\.[\p{Pe}\p{Pf}\"'])\s*+$"
)


_LETTERS: Final = re.compile(r"[^\W\d_]+")
_DIGITS: Final = re.compile(r"[0-9]+")
_WINDOW: Final = 1_024  # characters that a recognizer sees, extended to the end of a number
_IN_ADDRESS: Final = "@.-_+:0123456789"
_ROMANISH: Final = re.compile(r"[IVXLCDM]+(?:[a-zèᵉ]{1,4})?")


_MARKUP_PASSES: Final = 4  # for nested markup; the second pass seldom finds any


class Reader:
    """Verbalizes the text of one language."""

    def __init__(self, language: str) -> None:
        """Compile the language's recognizers."""
        known = grammar(language)
        recognizers = (
            *addresses.recognizers(known),
            *calendar.recognizers(known),
            *phones.recognizers(known),
            *durations.recognizers(known),
            *ratios.recognizers(known),
            *times.recognizers(known),
            *numbers.recognizers(known),
            *romans.recognizers(known),
            *abbreviations.recognizers(known),
            *names.recognizers(known),
            *symbols.recognizers(known),
        )
        self._recognizers = {
            kind: [recognizer for recognizer in recognizers if kind in recognizer.starts]
            for kind in (FIGURES, LETTERS, SIGNS)
        }
        self._grammar = known
        self._heads, self._ends, self._signs = _heads(known.table)

    def edits(self, text: str) -> Iterator[Edit]:
        """Yield the replacements of written by spoken forms, in order."""
        offset, verbalized = 0, ""  # `verbalized` ends where the text before `offset` does
        for start, kind in self._candidates(text):
            edit = self._edit(text, start, kind) if start >= offset else None
            if edit is None:
                continue
            before = (
                verbalized[-8:] * (edit.start - offset < 8)
                + text[max(offset, edit.start - 8) : edit.start]
            )
            if _BEGINS.search(before):
                edit = edit._replace(text=self._grammar.capital(edit.text))
            edit = self._with_ending(text, edit)
            yield edit
            offset, verbalized = edit.end, edit.text

    def _with_ending(self, text: str, edit: Edit) -> Edit:
        """Return the edit extended by the mark that joins an ending to figures: 2023'te, 50%-os."""
        following = text[edit.end : edit.end + 2]
        if (
            following[:1] == self._grammar.joint != ""
            and following[1:].islower()
            and edit.text[-1:].isalpha()
        ):
            vowel = edit.rule.startswith("date") and following[1] in "áé"  # huszonnyolcadika + -án
            return edit._replace(end=edit.end + 1, text=edit.text[:-1] if vowel else edit.text)
        return edit

    def _candidates(self, text: str) -> Iterator[tuple[int, str]]:
        """Yield the offsets where something other than a plain word may begin, and the kind of
        character there."""
        links = addresses.HINT.search(text) is not None
        for found in self._signs.finditer(text):
            word = found[0]
            if word.isalpha():
                if (
                    self._is_head(word, text[found.end() : found.end() + 1])
                    or (word.isupper() and len(word) > 1)
                    or (word[0] in "IVXLCDM" and _ROMANISH.fullmatch(word))
                ):
                    yield found.start(), LETTERS
                elif word.endswith(self._ends):
                    yield from (
                        (found.end() - len(end), LETTERS)
                        for end in self._ends
                        if word.endswith(end)
                    )
                elif links and found.end() < len(text) and text[found.end()] in _IN_ADDRESS:
                    yield found.start(), LETTERS
            else:
                yield found.start(), FIGURES if word.isdecimal() else SIGNS

    def _is_head(self, word: str, following: str) -> bool:
        """Return whether a short form may begin with this word, followed by this character."""
        allowed = self._heads.get(word)
        return allowed is not None and (following in allowed or "" in allowed)

    def _edit(self, text: str, offset: int, kind: str) -> Edit | None:
        # `regex` first searches for the letters that a pattern ends in, up to the end of the text:
        # limit how far it looks.
        end = offset + _WINDOW
        if end < len(text):
            found = _DIGITS.match(text, end)
            end = found.end() if found else end  # do not cut a number
        for recognizer in self._recognizers[kind]:
            found = recognizer.pattern.match(text, offset, end)
            if found is not None and found.end() > offset:
                verbalized = recognizer.verbalize(found)
                if verbalized is not None:
                    return Edit(found.start(), found.end(), verbalized, recognizer.rule)
        return None


def _heads(table: Table) -> tuple[dict[str, set[str]], tuple[str, ...], "re.Pattern[str]"]:
    """Return the first words of a language's short forms with the characters that may follow,
    suffixes, and the pattern of candidates."""
    tables = (
        *(
            table.abbreviations,
            table.within,
            table.titles,
            table.doubtful_titles,
            table.before_number,
        ),
        *(table.after_name, table.after_number, table.money.units, table.number_signs),
        *(table.dates.weekdays, table.eponyms, table.dates.weekdays_in_ranges),
        table.operators,
    )
    written = [word for entries in tables for keys in entries for word in keys.split("|")]
    written += [*table.initials.split(), *table.symbols]
    if table.dates.swapped or table.dates.months_only or table.dates.endings:
        written += [
            *table.dates.months,
            *(month[:length] for month in table.dates.months for length in (3, 4)),
            "Sept",
            "Mrz",
            "mrt",
            "febr",
            "márc",
            "szept",
        ]
    heads: dict[str, set[str]] = {}
    for word in written:
        if found := _LETTERS.match(word):
            for head in (found[0], found[0][0].upper() + found[0][1:]):
                heads.setdefault(head, set()).add(word[found.end() : found.end() + 1])
    figures = "⁰¹²³⁴⁵⁶⁷⁸⁹₀₁₂₃₄₅₆₇₈₉½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"  # which `\w` matches
    signs = {word[0] for word in written if not word[0].isalnum()} | set(figures)
    # Latin words, also without spaces around them
    latin = "" if table.spaced and not table.counters else "A-Za-z"
    letters = rf"[^\W\d_{latin}{figures}]+" + (f"|[{latin}]+" if latin else "")
    signs |= set("-−*⁺⁻")
    signs |= (set("~～〜") if table.tilde else set()) | (set("/&#") if table.beside else set())
    pause = rf"{PAUSE_SPACE}(?=(?:/|->|>)\s)" + (r"|[^\S\n](?=[~～〜])" if table.tilde else "")
    pattern = rf"{letters}|[0-9]+|{pause}|[-−–+(](?=[0-9])|[{re.escape(''.join(sorted(signs)))}]"
    return heads, tuple(end.rstrip(".") for end in table.suffixes) or ("\0",), re.compile(pattern)


@cache
def reader(language: str) -> Reader:
    """Return a language's reader, built at its first use."""
    return Reader(language)


def read(text: str, language: str, options: TextOptions = DEFAULT_TEXT_OPTIONS) -> Aligned:
    """Return the spoken form of a text, aligned with the text.

    Without `spoken_forms` the text is only cleaned, and the pronunciations are applied.
    Raises TextTooLong if the spoken form is many times longer than the written text.
    """
    try:
        aligned = respelled(cleaned(Aligned(text)), options.pronunciations)
        if not options.spoken_forms:
            return aligned
        aligned = prepared(aligned)
        return composed(aligned.edited(changes(reader(language).edits(aligned.text), aligned.text)))
    except SpokenTooLong as refusal:
        raise (
            SpokenTooLong(refusal.most, "pronunciations") if options.pronunciations else refusal
        ) from None


def prepared(aligned: Aligned) -> Aligned:
    """Return a cleaned text in the form that the rules expect: without markup, in plain
    characters."""
    return usual(_without_markup(with_apostrophes(plain_tex(aligned))))


def _without_markup(aligned: Aligned) -> Aligned:
    for _ in range(_MARKUP_PASSES):
        plain = bare(aligned)
        if plain is aligned:
            break
        aligned = composed(plain)
    return aligned
