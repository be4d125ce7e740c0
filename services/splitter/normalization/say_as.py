"""What a text is said to be (SSML's say-as), as it is then said. Pure.

The values of interpret-as and format are those of the W3C note https://www.w3.org/TR/ssml-sayas/ and what is in use
beside it. What is not known, or does not fit its text, is read as usual, as SSML 1.1 (3.1.9) asks.
"""

from collections.abc import Callable
from types import MappingProxyType
from typing import Final

import regex

from services.splitter.normalization.grammar.grammar import Grammar, grammar
from services.splitter.normalization.recognizer import compiled, number_pattern, parsed
from services.splitter.normalization.text.alignment import Aligned
from services.splitter.normalization.text.characters import cleaned

_FIGURES: Final = regex.compile(r"\d+")
_ORDINAL: Final = regex.compile(r"(\d{1,15})(?:\.|[\p{L}ºª°]{1,3})?")
_TIME: Final = regex.compile(r"(\d{1,2})[:.h](\d{2})((?:[:.]\d{2})?)(\s?\p{L}[\p{L}.]*)?")
_MOST: Final = 200  # characters: what is longer is no number, date or word


def said_as(text: str, kind: str, form: str, language: str) -> str:
    """Return a text as it is said; as it is where nothing is known of its kind, or it is none of that kind."""
    say = _KINDS.get(kind.lower())
    written = cleaned(Aligned(text)).text.strip()
    if say is None or not written or len(written) > _MOST:
        return text
    said = say(written, form.lower(), grammar(language))
    return text if said is None else said


def _cardinal(text: str, _form: str, known: Grammar) -> str | None:
    negative = text[0] in "-−"
    written = text.lstrip("+-−").strip()
    if not compiled(number_pattern(known)).fullmatch(written):
        return None
    return known.number(parsed(written, known, negative=negative))


def _ordinal(text: str, _form: str, known: Grammar) -> str | None:
    found = _ORDINAL.fullmatch(text)
    return known.words(int(found[1]), known.table.ordinals.rule) if found else None


def _digits(text: str, _form: str, known: Grammar) -> str | None:
    return _comma(known).join(map(known.digits, _FIGURES.findall(text))) or None


def _characters(text: str, _form: str, known: Grammar) -> str | None:
    letters, symbols = known.table.letters, known.table.symbols

    def name(character: str) -> str:
        if character.isdecimal():
            return known.digits(character)
        return letters.get(character.upper()) or symbols.get(character) or character.upper()

    return _comma(known).join(name(character) for character in text if not character.isspace()) or None


def _date(text: str, form: str, known: Grammar) -> str | None:
    figures = _FIGURES.findall(text)
    if form == "y" and len(figures) == 1 and len(figures[0]) <= 4:
        return known.words(int(figures[0]), known.table.year)
    order = form or ("ymd" if figures and len(figures[0]) == 4 else known.table.dates.order)
    if sorted(order) != ["d", "m", "y"] or len(figures) != 3 or any(len(part) > 4 for part in figures):
        return None
    parts = dict(zip(order, map(int, figures), strict=True))
    year = parts["y"] + (2000 if parts["y"] < 50 else 1900) * (parts["y"] < 100)
    return f"{year:04}-{parts['m']:02}-{parts['d']:02}"  # which every language reads as a date


def _time(text: str, _form: str, _known: Grammar) -> str | None:
    found = _TIME.fullmatch(text)
    return f"{found[1]}:{found[2]}{found[3].replace('.', ':')}{found[4] or ''}" if found else None


def _telephone(text: str, _form: str, known: Grammar) -> str | None:
    said = _comma(known).join(map(known.digits, _FIGURES.findall(text)))
    return f"{known.table.plus}{known.gap}{said}" if said and text.startswith("+") else said or None


def _comma(known: Grammar) -> str:
    return f"{known.comma}{known.gap}"


_KINDS: Final = MappingProxyType[str, Callable[[str, str, Grammar], str | None]](
    {
        "cardinal": _cardinal,
        "number": _cardinal,
        "ordinal": _ordinal,
        "digits": _digits,
        "characters": _characters,
        "spell-out": _characters,
        "verbatim": _characters,
        "date": _date,
        "time": _time,
        "telephone": _telephone,
    }
)
