"""Samples to the 16-bit bytes that travel, and back."""

from typing import Final

import numpy as np

from services.common.audio.clip import Samples

_FULL_SCALE: Final = 32768.0


def to_pcm16(samples: Samples) -> bytes:
    """Return float32 [n] in -1..1 as mono 16-bit little-endian PCM, rounded to nearest and clipped."""
    scaled = np.rint(samples * np.float32(_FULL_SCALE))
    pcm: bytes = np.clip(scaled, -_FULL_SCALE, _FULL_SCALE - 1).astype("<i2").tobytes()
    return pcm


def from_pcm16(pcm: bytes) -> Samples:
    """Return mono 16-bit little-endian PCM as float32 [n] in -1..1; exact, so that `to_pcm16` gives the bytes again."""
    return np.frombuffer(pcm, dtype="<i2").astype(np.float32) / np.float32(_FULL_SCALE)


def silence(milliseconds: int, sample_rate_hz: int) -> Samples:
    """Return float32 zeros of this length."""
    return np.zeros(milliseconds * sample_rate_hz // 1000, dtype=np.float32)
