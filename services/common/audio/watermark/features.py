"""The features of a recording that the detector compares with the pattern: how far each chip stands out. Pure."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from services.common.audio.clip import Clip
from services.common.audio.resample import resample
from services.common.audio.spectra import Floats, hann
from services.common.audio.watermark.pattern import BANDS, EDGES_HZ, SLOT_S

RATE_HZ: Final = 16_000
SHIFTS: Final = 4  # a slot can start at any of these offsets
_STEP: Final = round(SLOT_S * RATE_HZ) // SHIFTS
_FRAME: Final = 2 * SHIFTS * _STEP
_FFT: Final = 1024
_FLOOR: Final = 1e-7  # of the mean energy: under it, a band counts as silent
_LARGEST_DB: Final = 6.0
_AROUND_TIME: Final = 0.7  # of a level is predicted by the slots before and after
_AROUND_BANDS: Final = 0.9  # of the rest, by the nearest bands
_NEAREST: Final = 2  # bands on each side
_QUIET_DB: Final = 30.0  # so far under the loud chips, a chip has half the weight
_QUIET_SLOPE_DB: Final = 8.0
_NOISE_QUANTILE: Final = 0.1  # levels of a band that are noise, if there is any
_NOISE_DB: Final = 6.0  # so far over the noise, a chip has half the weight
_NOISE_SLOPE_DB: Final = 2.5
_BLOCK: Final = 2000  # frames that are transformed at a time


def features(clip: Clip) -> Floats:
    """Return the features, float32 [n, bands], one row for every 5 ms.

    A feature is the level of a band in decibels, less what its neighbours in time and in frequency, which hold other
    chips, let expect. It is bounded, so that no single one decides, and weighted by the level, as noise and codecs
    destroy quiet bands first. Neighbours and weights were chosen on marked speech after codecs and noise.
    """
    samples = resample(clip, RATE_HZ).samples
    levels = _levels(np.pad(samples, (0, max(0, _FRAME - len(samples)))))
    outstanding = np.clip(_outstanding(levels), -_LARGEST_DB, _LARGEST_DB)
    loud = _share(levels - np.quantile(levels, 0.95) + _QUIET_DB, _QUIET_SLOPE_DB)
    over_noise_db = levels - np.quantile(levels, _NOISE_QUANTILE, axis=0)
    clear = _share(over_noise_db - _NOISE_DB, _NOISE_SLOPE_DB)
    weighted: Floats = (outstanding * loud * clear).astype(np.float32)
    return weighted


def _outstanding(levels: Floats) -> Floats:
    """Return the levels less their prediction by the neighbours, first in time and then in frequency."""
    slots = np.pad(levels, ((SHIFTS, SHIFTS), (0, 0)), mode="edge")
    rest = levels - _AROUND_TIME / 2 * (slots[: -2 * SHIFTS] + slots[2 * SHIFTS :])
    padded = np.pad(rest, ((0, 0), (_NEAREST, _NEAREST)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * _NEAREST + 1, axis=1)
    around = (windows.sum(axis=2) - rest) / (2 * _NEAREST)
    outstanding: Floats = rest - _AROUND_BANDS * around
    return outstanding


def _share(over_db: NDArray[np.floating[Any]], slope_db: float) -> NDArray[np.floating[Any]]:
    """Return a weight of 0 to 1, a half at 0 dB."""
    share: NDArray[np.floating[Any]] = 1 / (1 + np.exp(-over_db / slope_db))
    return share


def _levels(samples: Floats) -> Floats:
    """Return the level of each band in decibels, float32 [n, bands]."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, _FRAME)[::_STEP]
    blocks = range(0, len(frames), _BLOCK)
    energies = np.concatenate([_energies(frames[start : start + _BLOCK]) for start in blocks])
    levels: Floats = 10 * np.log10(energies + energies.mean() * _FLOOR + 1e-12)
    return levels


def _energies(frames: Floats) -> Floats:
    starts = np.searchsorted(np.fft.rfftfreq(_FFT, 1 / RATE_HZ), EDGES_HZ)
    power = np.abs(np.fft.rfft(frames * hann(_FRAME), _FFT)) ** 2
    energies: Floats = np.add.reduceat(power[:, : starts[-1]], starts[:-1], axis=1)
    return energies.reshape(-1, BANDS).astype(np.float32)
