"""The symbols that Kokoro-82M was trained on: a string in, a string of those symbols out."""

import json
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

# Kokoro's own table (hexgrad/Kokoro-82M, config.json, Apache-2.0): 114 symbols -> embedding row; row 0 is the padding.
_FILE: Final = Path(__file__).parent.parent / "assets" / "vocabulary.json"

VOCABULARY: Final[Mapping[str, int]] = MappingProxyType(
    json.loads(_FILE.read_text(encoding="utf-8"))
)
PUNCTUATION: Final = frozenset(';:,.!?—…"()“”')  # rendered as pauses and melody
_SILENT: Final = PUNCTUATION | frozenset(" ˈˌː\u0303↓→↗↘")  # nothing to hear without a letter


def known(phonemes: str) -> str:
    """Keep the symbols that Kokoro has, in NFD but for `ç`; tidy the spaces. Empty if no phone is left."""
    decomposed = "".join(
        symbol if symbol == "ç" else unicodedata.normalize("NFD", symbol) for symbol in phonemes
    )
    kept = "".join(symbol for symbol in decomposed if symbol in VOCABULARY)
    if all(symbol in _SILENT for symbol in kept):
        return ""
    return re.sub(r" +(?=[;:,.!?…)”]|$)", "", re.sub(r" +", " ", kept)).strip()
