"""Written text to spoken text. Pure, linear in the text.

How it works. The text is cleaned (characters), the words of the request's own pronunciations are put in, markup is
taken out, and what typewriters, e-books and TeX write in a way of their own is brought into usual characters
(typography, tex). Then one pass goes over what is left: at each offset where something may begin that is no plain
word, the recognisers are asked in order, the most special first, and the first that has something to say wins. Its
words replace what is written, and the pass continues behind it. Nothing that a rule wrote is read by another rule, and
every rule sees the text around it as it was written.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from types import MappingProxyType
from typing import Final

import regex

from services.splitter.normalization.grammar.grammar import grammar
from services.splitter.normalization.grammar.table import Table
from services.splitter.normalization.recognizer import FIGURES, LETTERS, SIGNS
from services.splitter.normalization.rules.dates import calendar, durations, times
from services.splitter.normalization.rules.names import abbreviations, addresses, names, phones, symbols
from services.splitter.normalization.rules.names.symbols import PAUSE_SPACE
from services.splitter.normalization.rules.numbers import numbers, ratios, romans
from services.splitter.normalization.text.alignment import Aligned, Edit, SpokenTooLong, changes
from services.splitter.normalization.text.characters import cleaned, composed
from services.splitter.normalization.text.markup import bare
from services.splitter.normalization.text.pronunciations import respelled
from services.splitter.normalization.text.tex import plain_tex
from services.splitter.normalization.text.typography import usual, with_apostrophes

# A sentence that begins with figures begins with a capital when they are words. After a short word with a full stop,
# which may be an abbreviation that nobody knows, figures rather go on.
_BEGINS: Final = regex.compile(r"(?:^|[!?…]|\.{3}|\n|[\p{L}\p{M}]{4}\.|[\p{Pe}\p{Pf}\"']\.|\.[\p{Pe}\p{Pf}\"'])\s*+$")


_LETTERS: Final = re.compile(r"[^\W\d_]+")
_DIGITS: Final = re.compile(r"[0-9]+")
_WINDOW: Final = 1_024  # characters that any recogniser looks at, but for a longer number
_IN_ADDRESS: Final = "@.-_+:0123456789"
_ROMANISH: Final = re.compile(r"[IVXLCDM]+(?:[a-zèᵉ]{1,4})?")


_NONE: Final[Mapping[str, str]] = MappingProxyType({})
_MARKUP_PASSES: Final = 4  # markup inside markup; the second pass seldom finds any


class Reader:
    """Reads one language."""

    def __init__(self, language: str) -> None:
        """Compile its recognisers."""
        known = grammar(language)
        recognisers = (
            *addresses.recognisers(known),
            *calendar.recognisers(known),
            *phones.recognisers(known),
            *durations.recognisers(known),
            *ratios.recognisers(known),
            *times.recognisers(known),
            *numbers.recognisers(known),
            *romans.recognisers(known),
            *abbreviations.recognisers(known),
            *names.recognisers(known),
            *symbols.recognisers(known),
        )
        self._recognisers = {
            kind: [recogniser for recogniser in recognisers if kind in recogniser.starts]
            for kind in (FIGURES, LETTERS, SIGNS)
        }
        self._grammar = known
        self._heads, self._ends, self._signs = _heads(known.table)

    def edits(self, text: str) -> Iterator[Edit]:
        """Yield what is said instead of what is written, in order."""
        place, said = 0, ""  # `said` ends where the text before `place` does
        for start, kind in self._candidates(text):
            edit = self._edit(text, start, kind) if start >= place else None
            if edit is None:
                continue
            before = said[-8:] * (edit.start - place < 8) + text[max(place, edit.start - 8) : edit.start]
            if _BEGINS.search(before):
                edit = edit._replace(text=self._grammar.capital(edit.text))
            edit = self._with_ending(text, edit)
            yield edit
            place, said = edit.end, edit.text

    def _with_ending(self, text: str, edit: Edit) -> Edit:
        """Return the edit with the mark behind it that only joins an ending to figures: 2023'te, 50%-os."""
        following = text[edit.end : edit.end + 2]
        if following[:1] == self._grammar.joint != "" and following[1:].islower() and edit.text[-1:].isalpha():
            vowel = edit.rule.startswith("date") and following[1] in "áé"  # huszonnyolcadika + -án
            return edit._replace(end=edit.end + 1, text=edit.text[:-1] if vowel else edit.text)
        return edit

    def _candidates(self, text: str) -> Iterator[tuple[int, str]]:
        """Yield the places at which something may begin that is no plain word, and what kind of character is there."""
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
                    yield from ((found.end() - len(end), LETTERS) for end in self._ends if word.endswith(end))
                elif links and found.end() < len(text) and text[found.end()] in _IN_ADDRESS:
                    yield found.start(), LETTERS
            else:
                yield found.start(), FIGURES if word.isdecimal() else SIGNS

    def _is_head(self, word: str, following: str) -> bool:
        """Say whether a short form may begin with this word before this character."""
        allowed = self._heads.get(word)
        return allowed is not None and (following in allowed or "" in allowed)

    def _edit(self, text: str, place: int, kind: str) -> Edit | None:
        # Before it matches at all, `regex` looks for the letters that a pattern ends in, as far as the text goes.
        end = place + _WINDOW
        if end < len(text):
            found = _DIGITS.match(text, end)
            end = found.end() if found else end  # no number is cut
        for recogniser in self._recognisers[kind]:
            found = recogniser.pattern.match(text, place, end)
            if found is not None and found.end() > place:
                said = recogniser.say(found)
                if said is not None:
                    return Edit(found.start(), found.end(), said, recogniser.rule)
        return None


def _heads(table: Table) -> tuple[dict[str, set[str]], tuple[str, ...], "re.Pattern[str]"]:
    """Return how a language's short forms begin and go on, the ends of words, and a pattern of what may begin."""
    tables = (
        *(table.abbreviations, table.within, table.titles, table.doubtful_titles, table.before_number),
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
    figures = "⁰¹²³⁴⁵⁶⁷⁸⁹₀₁₂₃₄₅₆₇₈₉½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"  # which count among the characters of words
    signs = {word[0] for word in written if not word[0].isalnum()} | set(figures)
    latin = "" if table.spaced and not table.counters else "A-Za-z"  # words by themselves, also without spaces
    letters = rf"[^\W\d_{latin}{figures}]+" + (f"|[{latin}]+" if latin else "")
    signs |= set("-−*⁺⁻")
    signs |= (set("~～〜") if table.tilde else set()) | (set("/&#") if table.beside else set())
    pause = rf"{PAUSE_SPACE}(?=(?:/|->|>)\s)" + (r"|[^\S\n](?=[~～〜])" if table.tilde else "")
    pattern = rf"{letters}|[0-9]+|{pause}|[-−–+(](?=[0-9])|[{re.escape(''.join(sorted(signs)))}]"
    return heads, tuple(end.rstrip(".") for end in table.suffixes) or ("\0",), re.compile(pattern)


@cache
def reader(language: str) -> Reader:
    """Return a language's reader, made at its first use."""
    return Reader(language)


def read(text: str, language: str, *, spoken: bool = True, pronunciations: Mapping[str, str] = _NONE) -> Aligned:
    """Return a text as it is said, and where its characters come from.

    `spoken` False: only cleaned, and with the words of `pronunciations` as they ask to be said.
    Raises TextTooLong where what is said is many times longer than what is written.
    """
    try:
        aligned = respelled(cleaned(Aligned(text)), pronunciations)
        if not spoken:
            return aligned
        aligned = prepared(aligned)
        return composed(aligned.edited(changes(reader(language).edits(aligned.text), aligned.text)))
    except SpokenTooLong as refusal:
        raise (SpokenTooLong(refusal.most, "pronunciations") if pronunciations else refusal) from None


def prepared(aligned: Aligned) -> Aligned:
    """Return a cleaned text as the rules see it: without markup, in usual characters."""
    return usual(_without_markup(with_apostrophes(plain_tex(aligned))))


def _without_markup(aligned: Aligned) -> Aligned:
    for _ in range(_MARKUP_PASSES):
        plain = bare(aligned)
        if plain is aligned:
            break
        aligned = composed(plain)
    return aligned
