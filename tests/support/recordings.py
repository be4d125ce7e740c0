"""Recordings for the tests: the bundled clip, cut and repeated, and audio without speech."""

import io
from functools import cache
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from services.common.audio.clip import Clip, Samples

CLIP_FILE = Path(__file__).parents[2] / "examples" / "voices" / "austen.flac"


@cache
def speech() -> Clip:
    """Return the bundled clip: 10 s of one reader, 16 kHz."""
    samples, rate_hz = soundfile.read(CLIP_FILE, dtype="float32")
    return Clip(samples, rate_hz)


def speech_of(seconds: float, *, rate_hz: int = 24_000, start_s: float = 0.3) -> Clip:
    """Return so many seconds of speech at a rate, the clip repeated as often as needed."""
    clip = speech()
    once = clip.samples[int(start_s * clip.sample_rate_hz) :]
    repeated = np.tile(once, int(seconds * clip.sample_rate_hz / len(once)) + 1)[
        : int(seconds * clip.sample_rate_hz)
    ]
    return Clip(soxr.resample(repeated, clip.sample_rate_hz, rate_hz).astype(np.float32), rate_hz)


def hiss(seconds: float, *, rate_hz: int = 24_000) -> Samples:
    """Return white noise at -20 dB."""
    return np.random.default_rng(7).normal(0, 0.1, int(seconds * rate_hz)).astype(np.float32)


def hum(seconds: float, *, rate_hz: int = 24_000) -> Samples:
    """Return a steady tone of 220 Hz."""
    return (0.3 * np.sin(2 * np.pi * 220 * np.arange(int(seconds * rate_hz)) / rate_hz)).astype(
        np.float32
    )


def encoded(
    samples: Samples | NDArray[np.int16],
    rate_hz: int,
    container: str = "WAV",
    subtype: str | None = None,
) -> bytes:
    """Return samples ([n] or [n, channels]) as a file of a kind that libsndfile writes."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, format=container, subtype=subtype)
    return file.getvalue()
