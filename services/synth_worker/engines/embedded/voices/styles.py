"""Kokoro's styles: 256 numbers for the timbre of a voice (first half) and its prosody (second half).

The stock voices come as packs with one style for each number of tokens. The second half, prosody and accent, always
comes from a stock voice of the language spoken; the first half is where a cloned voice lives.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from services.common.audio.spectra import Floats
from services.common.wire.fields import Gender
from services.common.wire.parts import BuiltInVoice

TIMBRE: Final = 128  # the first so many numbers of a style; the rest is prosody
LOW_VOICE_HZ: Final = 165.0  # where pitch alone does not determine whether a voice is low

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

STOCK_NAMES: Final = tuple(sorted({name for pair in STOCK_VOICES.values() for name in pair}))

# the first letter of a stock voice's name
_NATIVE_LANGUAGES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "a": "en",
        "b": "en",
        "e": "es",
        "f": "fr",
        "h": "hi",
        "i": "it",
        "j": "ja",
        "p": "pt",
        "z": "zh",
    }
)
# the second one
_GENDERS: Final[Mapping[str, Gender]] = MappingProxyType({"f": "female", "m": "male"})

# Which of the 54 voices of the style space, in its order (by name), are low (m) or high (f).
SPACE_REGISTERS: Final = "fffffffffffmmmmmmmmmffffmmmmfmmfffmmfmffffmfmmffffmmmm"

# How much of the way from the stock timbre to the tuned one: more costs intelligibility outside English.
TIMBRE_SHARE: Final[Mapping[str, float]] = MappingProxyType({"en": 1.0, "pt": 0.8})
_OTHER_TIMBRE_SHARE: Final = 0.75

# Languages in which the timbre is instead searched around their own stock voice, and how firmly it is held there:
# at equal intelligibility that came nearer to the speaker than a part of the way to a timbre from anywhere. Others
# gained nothing by it, or lost (tr, ru, cs and hu by the recogniser's errors).
HOLD: Final[Mapping[str, float]] = MappingProxyType({"fr": 0.1, "es": 0.05, "it": 0.07, "ja": 0.05})

_TYPICAL_ROWS: Final = slice(30, 120)
_REGISTER_VOICES: Final = 5
_PITCH_WEIGHT: Final = 0.15  # of the logarithm of a pitch, against a cosine


def built_in_voices() -> tuple[BuiltInVoice, ...]:
    """Return the stock voices, in the order of their names."""
    return tuple(
        BuiltInVoice(name=name, gender=_GENDERS[name[1]], languages=(_NATIVE_LANGUAGES[name[0]],))
        for name in STOCK_NAMES
    )


@dataclass(frozen=True, eq=False)
class StockStyles:
    """The packs of the stock voices: name -> float32 [rows, 256], row = number of tokens."""

    packs: Mapping[str, Floats]

    def name_for(self, language: str, *, low: bool) -> str:
        """Name the stock voice that lends its prosody to a speaker with a low or a high voice."""
        return STOCK_VOICES[language][low]

    def typical(self, name: str) -> Floats:
        """Return the style of a stock voice for a text of common length, float32 [256]."""
        style: Floats = self.packs[name][_TYPICAL_ROWS].mean(axis=0)
        return style

    def style(self, name: str, tokens: int) -> Floats:
        """Return the style of a stock voice for a text of so many tokens, float32 [256]."""
        pack = self.packs[name]
        style: Floats = pack[min(tokens, len(pack) - 1)]
        return style


@dataclass(frozen=True, eq=False)
class Recolouring:
    """A change of a stock voice's timbre: a share of it is kept, and a vector is added."""  # prose: allow kept

    kept: float
    added: Floats  # [128]

    def of(self, style: Floats) -> Floats:
        """Recolour a style, float32 [256]; its prosody stays."""
        timbre = np.float32(self.kept) * style[:TIMBRE] + self.added
        return np.concatenate([timbre, style[TIMBRE:]])


def towards(timbre: Floats, language: str) -> Recolouring:
    """Move a stock timbre towards another (float32 [128]), as far as the language bears it."""
    share = TIMBRE_SHARE.get(language, _OTHER_TIMBRE_SHARE)
    return Recolouring(1 - share, np.float32(share) * timbre)


def is_low_voice(likeness: Floats, pitch_hz: float) -> bool:
    """Return whether a speaker has a low voice, by timbre and median pitch: a man may speak as high as a woman.

    `likeness` [54]: cosines between the speaker and the voices of the style space.
    """
    low = np.array([register == "m" for register in SPACE_REGISTERS])
    like_low, like_high = (
        np.sort(likeness[chosen])[-_REGISTER_VOICES:].mean() for chosen in (low, ~low)
    )
    return bool(like_low - like_high + _PITCH_WEIGHT * np.log(LOW_VOICE_HZ / pitch_hz) > 0)
