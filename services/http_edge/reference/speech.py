"""What the frames of a recording sound like: how loud, voiced or not, pure or not, and where their energy lies. Pure.

The limits come from 100 recordings of 50 speakers in 25 languages, clean and under white, pink and brown noise of up
to their own loudness, and from noises, tones and hums (`tests/unit/http_edge/test_reference_selection.py` has a part).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.common.audio.clip import Clip
from services.common.audio.resample import resample

FRAME_S: Final = 0.02
_RATE_HZ: Final = 4_000  # vowels lie under 2 kHz; most of a hiss does not
_HOP: Final = 80
_WINDOW: Final = 160
_LAGS: Final = np.arange(_RATE_HZ // 400, _RATE_HZ // 60)  # pitch of 60-400 Hz
_BANDS_HZ: Final = (100, 300, 600, 1000, 1500, 2000)
_BLOCK_FRAMES: Final = 1_500
_VOICED: Final = 0.6  # of a frame's energy comes again one period later
_FLOOR: Final = 1e-12


@dataclass(frozen=True, eq=False)
class Frames:
    """One value, or row, for each whole 20 ms of a recording."""

    levels_db: NDArray[np.float64]  # [n], RMS over full scale, without the mean
    voiced: NDArray[np.bool_]  # [n]
    purity: NDArray[np.float64]  # [n], share of the energy under 2 kHz that is in its strongest 75 Hz
    bands_db: NDArray[np.float64]  # [n, 5], energies of the bands, less their mean

    def movement_db(self, chosen: NDArray[np.bool_]) -> float:
        """Return how far the spectrum's shape moves over the chosen frames: std in dB, averaged over the bands."""
        return float(self.bands_db[chosen].std(axis=0).mean())


def frames_of(recording: Clip) -> Frames:
    """Measure a recording."""
    levels = _levels(recording)
    low = resample(recording, _RATE_HZ).samples
    padded = np.pad(low, (_HOP // 2, _WINDOW + _HOP))
    windows = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP][: len(levels)]
    starts = range(0, max(1, len(windows)), _BLOCK_FRAMES)
    parts = [_spectral(windows[start : start + _BLOCK_FRAMES].astype(np.float64)) for start in starts]
    voiced, purity, bands = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Frames(levels, voiced > _VOICED, purity, bands)


def _levels(recording: Clip) -> NDArray[np.float64]:
    size = int(recording.sample_rate_hz * FRAME_S)
    frames = recording.samples[: len(recording.samples) // size * size].reshape(-1, size)
    levels: NDArray[np.float64] = 10 * np.log10(np.var(frames, axis=1, dtype=np.float64) + _FLOOR)
    return levels


def _spectral(windows: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return periodicity [n], purity [n] and bands [n, 5] of windows [n, 160]."""
    centred = windows - windows.mean(axis=1, keepdims=True)
    spectra = np.square(np.abs(np.fft.rfft(centred * np.hanning(_WINDOW), axis=1)))  # [n, 81], 25 Hz apart
    around = spectra[:, :-2] + spectra[:, 1:-1] + spectra[:, 2:]
    purity = around.max(axis=1) / (spectra.sum(axis=1) + _FLOOR)
    edges = np.array(_BANDS_HZ) * _WINDOW // _RATE_HZ
    bands = 10 * np.log10(np.add.reduceat(spectra[:, : edges[-1]], edges[:-1], axis=1) + 1e-9)
    return _periodicity(centred), purity, bands - bands.mean(axis=1, keepdims=True)


def _periodicity(centred: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the highest normalised autocorrelation in the range of pitch, unbiased for the window's end, [n]."""
    power = np.square(np.abs(np.fft.rfft(centred, 2 * _WINDOW, axis=1)))
    correlation = np.fft.irfft(power, axis=1)[:, :_WINDOW]
    unbiased = correlation[:, _LAGS] / (correlation[:, :1] + 1e-9) * (_WINDOW / (_WINDOW - _LAGS))
    highest: NDArray[np.float64] = unbiased.max(axis=1, initial=0.0)
    return highest
