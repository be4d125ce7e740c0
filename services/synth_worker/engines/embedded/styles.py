"""Kokoro's styles: 256 numbers that say how a voice sounds (first half) and how it moves (second half).

The stock voices come as packs with one style for each number of tokens. The second half, prosody and accent, always
comes from a stock voice of the language spoken; the first half is where a cloned voice lives.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from services.synth_worker.engines.embedded.spectra import Floats

TIMBRE: Final = 128  # the first so many numbers of a style; the rest is prosody
LOW_VOICE_HZ: Final = 165.0  # a speaker whose median pitch is lower gets the low stock voice of a language

# language -> (high stock voice, low stock voice); languages that Kokoro was not trained on borrow the nearest accent.
STOCK_VOICES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "en": ("af_heart", "am_michael"),
        "fr": ("ff_siwis", "ff_siwis"),
        "es": ("ef_dora", "em_alex"),
        "it": ("if_sara", "im_nicola"),
        "pt": ("pf_dora", "pm_alex"),
        "hi": ("hf_alpha", "hm_omega"),
        "ja": ("jf_alpha", "jm_kumo"),
        "zh": ("zf_xiaobei", "zm_yunjian"),
        "de": ("if_sara", "im_nicola"),
        "nl": ("ff_siwis", "im_nicola"),
        "pl": ("if_sara", "im_nicola"),
        "tr": ("ff_siwis", "if_sara"),
        "ru": ("pf_dora", "im_nicola"),
        "cs": ("ef_dora", "im_nicola"),
        "ar": ("hf_alpha", "im_nicola"),
        "hu": ("if_sara", "if_sara"),
        "ko": ("jf_alpha", "jm_kumo"),
    }
)

# How much of the way from the stock timbre to the tuned one: more costs intelligibility outside English.
TIMBRE_SHARE: Final[Mapping[str, float]] = MappingProxyType({"en": 1.0, "es": 0.7, "fr": 0.5, "it": 0.65, "pt": 0.6})
_OTHER_TIMBRE_SHARE: Final = 0.75


@dataclass(frozen=True, eq=False)
class StockStyles:
    """The packs of the stock voices: name -> float32 [rows, 256], row = number of tokens."""

    packs: Mapping[str, Floats]

    def name_for(self, language: str, pitch_hz: float) -> str:
        """Name the stock voice that lends its prosody to a speaker with this median pitch."""
        high, low = STOCK_VOICES[language]
        return low if pitch_hz < LOW_VOICE_HZ else high

    def style(self, name: str, tokens: int) -> Floats:
        """Return the style of a stock voice for a text of so many tokens, float32 [256]."""
        pack = self.packs[name]
        style: Floats = pack[min(tokens, len(pack) - 1)]
        return style


def with_timbre(stock: Floats, timbre: Floats, language: str) -> Floats:
    """Move the timbre half of a stock style towards `timbre` (float32 [128]), as far as the language bears it."""
    share = np.float32(TIMBRE_SHARE.get(language, _OTHER_TIMBRE_SHARE))
    moved = stock[:TIMBRE] + share * (timbre - stock[:TIMBRE])
    return np.concatenate([moved, stock[TIMBRE:]])
