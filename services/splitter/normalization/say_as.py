"""Verbalizes text by its declared kind (SSML's say-as). Pure.

The values of interpret-as and format are those of the W3C note https://www.w3.org/TR/ssml-sayas/
and others in common use. A value that is unknown or does not fit the text is ignored, as SSML 1.1
(3.1.9) requires.
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
_MOST: Final = 200  # characters: longer text is not a number, date or word


def spoken_as(text: str, kind: str, form: str, language: str) -> str:
    """Return the spoken form of a text; the text itself if its kind is unknown or does not fit."""
    verbalize = _KINDS.get(kind.lower())
    written = cleaned(Aligned(text)).text.strip()
    if verbalize is None or not written or len(written) > _MOST:
        return text
    verbalized = verbalize(written, form.lower(), grammar(language))
    return text if verbalized is None else verbalized


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

    return (
        _comma(known).join(name(character) for character in text if not character.isspace()) or None
    )


def _date(text: str, form: str, known: Grammar) -> str | None:
    figures = _FIGURES.findall(text)
    if form == "y" and len(figures) == 1 and len(figures[0]) <= 4:
        return known.words(int(figures[0]), known.table.year)
    order = form or ("ymd" if figures and len(figures[0]) == 4 else known.table.dates.order)
    if (
        sorted(order) != ["d", "m", "y"]
        or len(figures) != 3
        or any(len(part) > 4 for part in figures)
    ):
        return None
    parts = dict(zip(order, map(int, figures), strict=True))
    year = parts["y"] + (2000 if parts["y"] < 50 else 1900) * (parts["y"] < 100)
    return f"{year:04}-{parts['m']:02}-{parts['d']:02}"  # recognized as a date in every language


def _time(text: str, _form: str, _known: Grammar) -> str | None:
    found = _TIME.fullmatch(text)
    return f"{found[1]}:{found[2]}{found[3].replace('.', ':')}{found[4] or ''}" if found else None


def _telephone(text: str, _form: str, known: Grammar) -> str | None:
    verbalized = _comma(known).join(map(known.digits, _FIGURES.findall(text)))
    return (
        f"{known.table.plus}{known.gap}{verbalized}"
        if verbalized and text.startswith("+")
        else verbalized or None
    )


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
