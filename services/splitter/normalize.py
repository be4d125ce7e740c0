"""Written text to the text that an engine is given. Pure, linear and idempotent.

For now it mends what engines stumble over: invisible characters, stray white space, wide Latin letters. This is the
place where spoken forms of numbers, dates, prices and abbreviations go; whoever calls it already allows for a result
that is longer than its source.
"""

import unicodedata
from typing import Final

_JOINERS: Final = "\u200c\u200d"  # shape letters in Devanagari and Arabic script, and mean nothing elsewhere
_APOSTROPHES: Final = str.maketrans({"\u2019": "'", "\u02bc": "'", "\u2032": "'", "\uff07": "'"})
# Letters and digits of the full-width block, to the ASCII ones 0xFEE0 before them.
_NARROW: Final = {wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F) if chr(wide - 0xFEE0).isalnum()}


def normalize(text: str, language: str) -> str:  # noqa: ARG001  # spoken forms will depend on it
    """Return the text in NFC, white space collapsed, without characters that nobody sees.

    `normalize(normalize(text)) == normalize(text)`; time is linear in the text.
    """
    kept = "".join(_visible(text))
    composed = unicodedata.normalize("NFC", kept.translate(_NARROW).translate(_APOSTROPHES))
    return " ".join(composed.split())


def _visible(text: str) -> list[str]:
    """Return the characters that are heard or seen; white space of every kind becomes spaces."""
    return [" " if character.isspace() else character for place, character in enumerate(text) if _kept(text, place)]


def _kept(text: str, place: int) -> bool:
    character = text[place]
    if character.isspace() or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Cn"):
        return True
    return character in _JOINERS and 0 < place < len(text) - 1 and not text[place - 1].isascii()
