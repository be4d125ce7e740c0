"""Detects and removes mains hum under a voice. Pure.

Hum is steady while speech moves: its lines, at 50 or 60 Hz and multiples of it, are present nearly
all the time, so they stand out of the spectrum that three quarters of the recording exceed. They
are notched out, together with everything below the range of a voice.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.common.audio.clip import Clip

_MAINS_HZ: Final = (50.0, 60.0)
_HARMONICS: Final = 20
_HIGHEST_HZ: Final = 1_300
_ANALYZED: Final = 60  # windows, spread over the recording, at most twice as many
_DRIFT_HZ: Final = 1.0
_NOTCH_HZ: Final = 3.0  # to each side of a line
_STANDS_OUT: Final = 30.0  # times the power around it
_AUDIBLE: Final = 0.01  # of the recording's power
_VOICE_FROM_HZ: Final = 65.0

_Floats = NDArray[np.float64]


def without_hum(clip: Clip) -> Clip:
    """Return the clip without mains hum; the same clip if there is none."""
    lines_hz = hum_lines(clip)
    return _without(clip, lines_hz) if lines_hz else clip


def hum_lines(clip: Clip) -> tuple[float, ...]:
    """Return the frequencies of a steady hum in Hz; none if it is hardly audible."""
    size = _window_size(clip)
    if len(clip.samples) < 2 * size:
        return ()
    step = size // 2 * max(1, 2 * len(clip.samples) // (size * _ANALYZED))
    powers = np.stack([np.square(np.abs(spectrum)) for _, spectrum in _spectra(clip, size, step)])
    total = float(powers[:, 1:].sum(axis=1).mean())
    steady = np.percentile(powers[:, : _HIGHEST_HZ * size // clip.sample_rate_hz], 25, axis=0)
    for mains_hz in _MAINS_HZ:
        found = _standing(steady, mains_hz * size / clip.sample_rate_hz, clip.sample_rate_hz / size)
        power = float(sum(steady[line - 1 : line + 2].sum() for line in found))
        if power > _AUDIBLE * total:
            return tuple(line * clip.sample_rate_hz / size for line in found)
    return ()


def _standing(steady: _Floats, spacing: float, bin_hz: float) -> list[int]:
    """Return the bins of the lines that stand out; none unless one of the two lowest does."""
    drift = max(1, round(_DRIFT_HZ / bin_hz))
    found = []
    for harmonic in range(1, _HARMONICS + 1):
        centre = round(harmonic * spacing)
        around = steady[max(1, centre - round(15 / bin_hz)) : centre + round(15 / bin_hz) + 1]
        if centre + drift >= len(steady):
            break
        line = centre - drift + int(np.argmax(steady[centre - drift : centre + drift + 1]))
        if steady[line] > _STANDS_OUT * np.median(around):
            found.append(line)
        elif harmonic == 2 and not found:
            break
    return found


def _without(clip: Clip, lines_hz: tuple[float, ...]) -> Clip:
    size = _window_size(clip)
    bins_hz = np.fft.rfftfreq(size, 1 / clip.sample_rate_hz)
    passed = bins_hz > _VOICE_FROM_HZ
    for line_hz in lines_hz:
        passed &= np.abs(bins_hz - line_hz) > _NOTCH_HZ
    samples = np.zeros(len(clip.samples) + 2 * size, dtype=np.float32)
    for start, spectrum in _spectra(clip, size, size // 2):
        samples[start : start + size] += np.fft.irfft(spectrum * passed, size).astype(np.float32)
    return Clip(samples[size // 2 : size // 2 + len(clip.samples)], clip.sample_rate_hz)


def _window_size(clip: Clip) -> int:
    """Return the samples of a window of 1 to 2 s, a power of two."""
    return 1 << (clip.sample_rate_hz - 1).bit_length()


def _spectra(clip: Clip, size: int, step: int) -> Iterator[tuple[int, NDArray[np.complex128]]]:
    """Yield the start and the spectrum of each window.

    With steps of half a window they add up to the clip.

    Starts count from half a window before the clip.
    """
    padded = np.pad(clip.samples, (size // 2, size))
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    for start in range(0, len(clip.samples) + size // 2, step):
        yield start, np.fft.rfft(padded[start : start + size] * window)
