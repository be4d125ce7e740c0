"""Fundamental frequency of speech, for one robust figure: the speaker's median pitch.

Source: P. Boersma, "Accurate short-term analysis of the fundamental frequency..." (1993): the autocorrelation of a
windowed frame divided by that of the window, with a small bonus for the higher octave. A second pass looks only within
the speaker's range, because a noisy or short clip otherwise yields frames an octave off. The range is taken from the
quartiles of the first pass (C. De Looze and D. Hirst, "Detecting changes in key and range for the automatic modelling
and coding of intonation", 2008): a range around the most frequent pitch loses half of a voice that often falls low.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, rfft

from services.common.audio.clip import Clip
from services.common.audio.resample import resample
from services.common.audio.spectra import Floats, frames_of, hann

LOWEST_HZ: Final = 55.0
HIGHEST_HZ: Final = 500.0

_RATE_HZ: Final = 8_000
_FRAME: Final = 480  # 60 ms: three periods of the lowest voice
_HOP: Final = 80
_FFT: Final = 1024
_LAGS_PER_SAMPLE: Final = 2  # with 1, a high peak between two lags loses to one an octave below
_LAG_RATE_HZ: Final = _LAGS_PER_SAMPLE * _RATE_HZ
_OCTAVE_BONUS: Final = 0.04  # of strength, per octave upwards
_VOICED_STRENGTH: Final = 0.55
_QUIET_NEPERS: Final = 4.0  # frames this much under the loud ones are no voice
_QUARTILES: Final = (25, 75)
# the second pass: from so much of the lower quartile to so much of the upper one
_RANGE: Final = (0.75, 1.5)


@dataclass(frozen=True, eq=False)
class PitchTrack:
    """Pitch every 10 ms: `hz` is float32 [frames], 0 where unvoiced."""

    hz: Floats

    @property
    def voiced_seconds(self) -> float:
        """Return the voiced share of the track."""
        return float(np.count_nonzero(self.hz)) * _HOP / _RATE_HZ

    @property
    def median_hz(self) -> float:
        """Median over the voiced frames; 0 where there are none."""
        voiced = self.hz[self.hz > 0]
        return float(np.median(voiced)) if len(voiced) else 0.0


def track_pitch(clip: Clip) -> PitchTrack:
    """Follow the pitch of one speaker through `clip`, between 55 and 500 Hz."""
    samples = resample(clip, _RATE_HZ).samples
    strengths, loud = _strengths(samples), _loud(samples)
    peaks = _peaks(strengths)
    hz, strength = _best(strengths, peaks, LOWEST_HZ, HIGHEST_HZ)
    voiced = (strength > _VOICED_STRENGTH) & loud
    if not voiced.any():
        return PitchTrack(np.zeros_like(hz))
    low_hz, high_hz = np.percentile(hz[voiced], _QUARTILES) * _RANGE
    hz, strength = _best(strengths, peaks, max(LOWEST_HZ, low_hz), min(HIGHEST_HZ, high_hz))
    voiced = (strength > _VOICED_STRENGTH) & loud
    return PitchTrack(np.where(voiced, hz, np.float32(0)))


def _strengths(samples: Floats) -> Floats:
    """Normalised autocorrelation, [frames, lags]; 1 is a perfectly periodic frame."""
    window = hann(_FRAME)
    frames = frames_of(samples, _FRAME, _HOP)
    frames = (frames - frames.mean(axis=1, keepdims=True)) * window
    lags = int(_LAG_RATE_HZ / LOWEST_HZ) + 2
    own = _autocorrelation(frames)[:, :lags]
    of_window = _autocorrelation(window[None])[0, :lags]
    quotient: Floats = own / np.maximum(own[:, :1], 1e-9) / (of_window / of_window[0])
    return quotient


def _autocorrelation(frames: Floats) -> Floats:
    power = np.abs(rfft(frames, _FFT)) ** 2
    found: Floats = irfft(power, _LAGS_PER_SAMPLE * _FFT)
    return found


def _peaks(strengths: Floats) -> Floats:
    """Local maxima with the bonus of their octave, [frames, lags]; -1 elsewhere."""
    lags = np.arange(strengths.shape[1])
    bonus = -_OCTAVE_BONUS * np.log2(np.maximum(lags, 1) * LOWEST_HZ / _LAG_RATE_HZ)
    peaks = np.full_like(strengths, -1)
    inner = strengths[:, 1:-1]
    highest = (inner >= strengths[:, :-2]) & (inner >= strengths[:, 2:])
    np.copyto(peaks[:, 1:-1], inner + bonus[1:-1].astype(np.float32), where=highest)
    return peaks


def _best(strengths: Floats, peaks: Floats, low_hz: float, high_hz: float) -> tuple[Floats, Floats]:
    """Pick each frame's best peak between two pitches: (Hz, strength), both [frames]."""
    first = int(np.ceil(_LAG_RATE_HZ / high_hz))
    inside = peaks[:, first : int(_LAG_RATE_HZ / low_hz) + 1]
    lag = inside.argmax(axis=1)
    found = inside[np.arange(len(inside)), lag] > -1
    hz, strength = _refined(strengths, np.clip(first + lag, 1, strengths.shape[1] - 2))
    return np.where(found, hz, 0).astype(np.float32), np.where(found, strength, 0).astype(
        np.float32
    )


def _refined(strengths: Floats, lag: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Fit a parabola through the three values around each maximum."""
    rows = np.arange(len(strengths))
    before, here, after = (strengths[rows, lag + shift] for shift in (-1, 0, 1))
    bend = before - 2 * here + after
    shift = np.where(bend < -1e-9, 0.5 * (before - after) / np.minimum(bend, -1e-9), 0)
    strength: Floats = here - 0.25 * (before - after) * shift
    return (_LAG_RATE_HZ / (lag + shift)).astype(np.float32), strength


def _loud(samples: Floats) -> NDArray[np.bool_]:
    level = np.log(np.sqrt(np.mean(frames_of(samples, _FRAME, _HOP) ** 2, axis=1)) + 1e-9)
    quiet: NDArray[np.bool_] = level > np.percentile(level, 95) - _QUIET_NEPERS
    return quiet
