"""The features of a recording that the detector compares with the pattern: how far each chip stands out. Pure."""

from typing import Final

import numpy as np

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
_QUIET_DB: Final = 30.0  # so far under the loud chips, a chip has half the weight
_QUIET_SLOPE_DB: Final = 8.0
_BLOCK: Final = 2000  # frames that are transformed at a time


def features(clip: Clip) -> Floats:
    """Return the features, float32 [n, bands], one row for every 5 ms.

    A feature is the level of a band in decibels, less the mean of its neighbours in time and in frequency, which hold
    other chips. It is bounded, so that no single one decides, and weighted by the level, as noise and codecs destroy
    quiet bands first.
    """
    samples = resample(clip, RATE_HZ).samples
    levels = _levels(np.pad(samples, (0, max(0, _FRAME - len(samples)))))
    slots = np.pad(levels, ((SHIFTS, SHIFTS), (0, 0)), mode="edge")
    bands = np.pad(levels, ((0, 0), (1, 1)), mode="edge")
    around = slots[: -2 * SHIFTS] + slots[2 * SHIFTS :] + bands[:, :-2] + bands[:, 2:]
    outstanding = np.clip(levels - around / 4, -_LARGEST_DB, _LARGEST_DB)
    over_db = levels - (np.quantile(levels, 0.95) - _QUIET_DB)
    weighted: Floats = outstanding / (1 + np.exp(-over_db / _QUIET_SLOPE_DB))
    return weighted.astype(np.float32)


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
