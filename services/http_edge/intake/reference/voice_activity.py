"""Acoustic features of the frames of a recording: level, voicing, purity, pitch and band energies.

Pure.

The limits come from 100 recordings of 50 speakers in 25 languages, clean and under white, pink and
brown noise of up to their own loudness, and from noises, tones and hums (the tests of `selection`
contain some of them).
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
_VOICED: Final = 0.6  # of a frame's energy repeats one period later
_LATER: Final = 3  # frames
_STILL_OCTAVES: Final = 0.1 / 12
_AROUND_FRAMES: Final = 125  # to each side
_LEAST_STILL: Final = 20  # frames
_HELD: Final = 0.6
_LEAP_OCTAVES: Final = 3 / 12  # more is another octave of the same tone, or the next note
_FLOOR: Final = 1e-12


@dataclass(frozen=True, eq=False)
class VoiceFrames:
    """One value, or row, for each whole 20 ms of a recording."""

    levels_db: NDArray[np.float64]  # [n], RMS over full scale, without the mean
    voiced: NDArray[np.bool_]  # [n]
    octaves: NDArray[np.float64]  # [n], the pitch, log2 of Hz; valid only where voiced
    purity: NDArray[
        np.float64
    ]  # [n], share of the energy under 2 kHz that is in its strongest 75 Hz
    bands_db: NDArray[np.float64]  # [n, 5], energies of the bands, minus their mean

    def movement_db(self, chosen: NDArray[np.bool_]) -> float:
        """Return how far the spectrum's shape moves over the chosen frames.

        Std in dB, averaged over the bands.
        """
        return float(self.bands_db[chosen].std(axis=0).mean())

    def stillness(self, chosen: NDArray[np.bool_]) -> float:
        """Return the share of the chosen voiced frames whose pitch is the same 60 ms later.

        The pitch of a note is; the pitch of a voice glides all the time.
        """
        still, moving = self._moves(chosen)
        return float(still.sum() / max(1, still.sum() + moving.sum()))

    def held(self, chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return the frames around which most voiced frames are still for 5 s, as they are only in music."""
        still, moving = (_around(marks) for marks in self._moves(chosen))
        return (still > _LEAST_STILL) & (still > _HELD * (still + moving))

    def _moves(self, chosen: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return two masks [n]: the pitch is the same 60 ms later, and it has moved."""
        octaves = np.where(chosen & self.voiced, self.octaves, np.nan)
        moves = np.abs(
            np.concatenate([octaves[_LATER:], np.full(min(_LATER, len(octaves)), np.nan)]) - octaves
        )
        return moves < _STILL_OCTAVES, (moves >= _STILL_OCTAVES) & (moves < _LEAP_OCTAVES)


def frames_of(recording: Clip) -> VoiceFrames:
    """Return the features of a recording."""
    levels = levels_db(recording)
    low = resample(recording, _RATE_HZ).samples
    padded = np.pad(low, (_HOP // 2, _WINDOW + _HOP))
    windows = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP][: len(levels)]
    starts = range(0, max(1, len(windows)), _BLOCK_FRAMES)
    parts = [
        _spectral(windows[start : start + _BLOCK_FRAMES].astype(np.float64)) for start in starts
    ]
    voiced, octaves, purity, bands = (np.concatenate(column) for column in zip(*parts, strict=True))
    return VoiceFrames(levels, voiced > _VOICED, octaves, purity, bands)


def _around(marks: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return how many of the 5 s around each frame are marked, [n]."""
    sums = np.concatenate([[0], np.cumsum(marks, dtype=np.int64)])
    indices = np.arange(len(marks))
    after = np.minimum(indices + _AROUND_FRAMES, len(marks))
    around: NDArray[np.int64] = sums[after] - sums[np.maximum(indices - _AROUND_FRAMES, 0)]
    return around


def levels_db(recording: Clip) -> NDArray[np.float64]:
    """Return the level of each whole 20 ms, RMS over full scale, without the mean."""
    size = int(recording.sample_rate_hz * FRAME_S)
    frames = recording.samples[: len(recording.samples) // size * size].reshape(-1, size)
    levels: NDArray[np.float64] = 10 * np.log10(np.var(frames, axis=1, dtype=np.float64) + _FLOOR)
    return levels


def _spectral(windows: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Return periodicity [n], pitch [n], purity [n] and bands [n, 5] of windows [n, 160]."""
    centred = windows - windows.mean(axis=1, keepdims=True)
    # [n, 81], 25 Hz apart
    spectra = np.square(np.abs(np.fft.rfft(centred * np.hanning(_WINDOW), axis=1)))
    around = spectra[:, :-2] + spectra[:, 1:-1] + spectra[:, 2:]
    purity = around.max(axis=1) / (spectra.sum(axis=1) + _FLOOR)
    edges = np.array(_BANDS_HZ) * _WINDOW // _RATE_HZ
    bands = 10 * np.log10(np.add.reduceat(spectra[:, : edges[-1]], edges[:-1], axis=1) + 1e-9)
    return *_periodicity(centred), purity, bands - bands.mean(axis=1, keepdims=True)


def _periodicity(centred: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the highest normalized autocorrelation in the range of pitch and its pitch as log2 of Hz, both [n].

    The autocorrelation is unbiased for the end of the window; the pitch comes from the parabola through the maximum and
    its neighbours.
    """
    power = np.square(np.abs(np.fft.rfft(centred, 2 * _WINDOW, axis=1)))
    correlation = np.fft.irfft(power, axis=1)[:, :_WINDOW]
    unbiased = correlation[:, _LAGS] / (correlation[:, :1] + 1e-9) * (_WINDOW / (_WINDOW - _LAGS))
    highest: NDArray[np.float64] = unbiased.max(axis=1, initial=0.0)
    best = unbiased.argmax(axis=1)
    index = np.clip(best, 1, len(_LAGS) - 2)
    before, at, after = (unbiased[np.arange(len(index)), index + step] for step in (-1, 0, 1))
    curvature = np.minimum(before - 2 * at + after, -1e-9)
    periods = _LAGS[index] + np.clip((before - after) / (2 * curvature), -1, 1)
    return highest, np.where(best == index, np.log2(_RATE_HZ / periods), np.nan)
