"""Silence around a sentence: what replaces a sentence keeps the pauses of what it replaces. Pure."""

from typing import Final

import numpy as np

_QUIET: Final = 8  # of 32,768: the noise of rounding and dithering
_BYTES_PER_SAMPLE: Final = 2


def with_silence_of(pcm: bytes, model: bytes) -> tuple[bytes, int]:
    """Return PCM (mono, 16-bit LE) with as much silence before and after it as `model` has, and its shift in samples.

    A negative shift: it begins earlier than before.
    """
    audible = _audible(pcm)
    wanted = _audible(model)
    if audible is None or wanted is None:
        return pcm, 0

    before = wanted[0] * _BYTES_PER_SAMPLE
    after = len(model) - wanted[1] * _BYTES_PER_SAMPLE
    core = pcm[audible[0] * _BYTES_PER_SAMPLE : audible[1] * _BYTES_PER_SAMPLE]
    return bytes(before) + core + bytes(after), wanted[0] - audible[0]


def _audible(pcm: bytes) -> tuple[int, int] | None:
    """Return the first sample that is audible, and one past the last; None if none is."""
    samples = np.frombuffer(pcm, "<i2")
    loud = np.flatnonzero((samples > _QUIET) | (samples < -_QUIET))
    return (int(loud[0]), int(loud[-1]) + 1) if len(loud) else None
