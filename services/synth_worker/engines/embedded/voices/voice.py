"""A cloned voice, and its bytes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import msgpack
import numpy as np

from services.common.audio.spectra import Floats
from services.common.wire.failures import MalformedMessage
from services.synth_worker.engines.embedded.rendering.envelope import FILLED_BANDS
from services.synth_worker.engines.embedded.voices.styles import LOW_VOICE_HZ, STOCK_NAMES

_FORMAT: Final = "embedded-voice-2"
_CEPSTRA: Final = 24


@dataclass(frozen=True, eq=False)
class ClonedVoice:
    """The result of enrolment; a stock voice has no timbre and no envelopes, a built-in one only a name."""

    timbre: Floats | None  # [128], the first half of a style
    shifts: Mapping[str, Floats]  # language -> [128], what is added to its stock timbre instead
    low: bool  # which of a language's two stock voices lends its prosody
    pitch_hz: float  # median
    bands: int  # mel bands that the reference fills
    cepstra: Floats  # [frames, 24], the reference's smooth envelopes
    # the stock voice that speaks, as it is, in every language; empty: the one of the language
    stock_name: str = ""

    def to_bytes(self) -> bytes:
        """Serialise; the envelopes keep 11 bits of precision."""
        packed: bytes = msgpack.packb(
            {
                **({"stock_name": self.stock_name} if self.stock_name else {}),
                "format": _FORMAT,
                "timbre": None if self.timbre is None else self.timbre.astype("<f4").tobytes(),
                "shifts": {
                    language: shift.astype("<f4").tobytes()
                    for language, shift in self.shifts.items()
                },
                "low": self.low,
                "pitch_hz": self.pitch_hz,
                "bands": self.bands,
                "cepstra": self.cepstra.astype("<f2").tobytes(),
            }
        )
        return packed


def voice_from_bytes(stored: bytes) -> ClonedVoice:
    """Read what `to_bytes` wrote. Raises MalformedMessage for anything else."""
    try:
        fields = msgpack.unpackb(stored)
        if fields["format"] != _FORMAT:
            raise ValueError
        return _usable(
            ClonedVoice(
                timbre=None
                if fields["timbre"] is None
                else _floats(fields["timbre"], "<f4", 128)[0],
                shifts={
                    str(key): _floats(shift, "<f4", 128)[0]
                    for key, shift in fields["shifts"].items()
                },
                low=bool(fields["low"]),
                pitch_hz=float(fields["pitch_hz"]),
                bands=int(fields["bands"]),
                cepstra=_floats(fields["cepstra"], "<f2", _CEPSTRA),
                stock_name=str(fields.get("stock_name", "")),
            )
        )
    except (
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        OverflowError,
        RecursionError,
        msgpack.UnpackException,
    ) as error:
        raise MalformedMessage(
            "a stored voice cannot be read; compute it again from its clip"
        ) from error


def _usable(voice: ClonedVoice) -> ClonedVoice:
    """Return the voice. Raises ValueError for numbers that enrolment never makes."""
    numbers = [
        voice.cepstra,
        *voice.shifts.values(),
        *(() if voice.timbre is None else (voice.timbre,)),
    ]
    if not all(np.isfinite(values).all() for values in (*numbers, voice.pitch_hz)):
        raise ValueError
    if voice.stock_name and voice.stock_name not in STOCK_NAMES:
        raise ValueError
    if len(voice.cepstra) and voice.bands not in FILLED_BANDS:
        raise ValueError
    return voice


def stock_voice(pitch_hz: float) -> ClonedVoice:
    """Return every language's stock voice of the register of this pitch, without cloning."""
    nothing = np.zeros((0, _CEPSTRA), dtype=np.float32)
    low = pitch_hz < LOW_VOICE_HZ
    return ClonedVoice(timbre=None, shifts={}, low=low, pitch_hz=pitch_hz, bands=0, cepstra=nothing)


def built_in_voice(name: str) -> ClonedVoice:
    """Return a stock voice that speaks every language, without cloning."""
    return replace(stock_voice(LOW_VOICE_HZ), stock_name=name)


def _floats(content: bytes, kind: str, columns: int) -> Floats:
    return np.frombuffer(content, dtype=kind).reshape(-1, columns).astype(np.float32)
