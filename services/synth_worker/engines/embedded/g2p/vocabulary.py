"""The symbols that Kokoro-82M was trained on: a string in, a string of those symbols out."""

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from services.synth_worker.engines.embedded.g2p.reading import Piece, Span

# Kokoro's own table (hexgrad/Kokoro-82M, config.json, Apache-2.0): 114 symbols -> embedding row; row 0 is the padding.
_FILE: Final = Path(__file__).parent.parent / "assets" / "vocabulary.json"

VOCABULARY: Final[Mapping[str, int]] = MappingProxyType(
    json.loads(_FILE.read_text(encoding="utf-8"))
)
PUNCTUATION: Final = frozenset(';:,.!?—…"()“”')  # rendered as pauses and melody
_SILENT: Final = PUNCTUATION | frozenset(" ˈˌː\u0303↓→↗↘")  # nothing to hear without a letter


def known(phonemes: str) -> str:
    """Keep the symbols that Kokoro has, in NFD but for `ç`; tidy the spaces. Empty if no phone is left."""
    kept = kept_symbols(phonemes)
    if all(symbol in _SILENT for symbol in kept):
        return ""
    return re.sub(r" +(?=[;:,.!?…)”]|$)", "", re.sub(r" +", " ", kept)).strip()


def kept_symbols(phonemes: str) -> str:
    """Keep the symbols that Kokoro has, in NFD but for `ç`."""
    decomposed = "".join(
        symbol if symbol == "ç" else unicodedata.normalize("NFD", symbol) for symbol in phonemes
    )
    return "".join(symbol for symbol in decomposed if symbol in VOCABULARY)


def owners_of(phonemes: str, pieces: Iterable[Piece]) -> tuple[Span | None, ...]:
    """Return the characters that each symbol of `phonemes` other than a space reads.

    `pieces`: what `phonemes` was made of. Empty where they do not fit, so that no symbol gets another one's owner.
    """
    symbols = ""
    owners: list[Span | None] = []
    for piece in pieces:
        kept = kept_symbols(piece.phonemes).replace(" ", "")
        symbols += kept
        owners += [piece.span] * len(kept)
    return tuple(owners) if symbols == phonemes.replace(" ", "") else ()
