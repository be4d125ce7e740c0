"""A limiter that keeps the true peak of a stream under a ceiling. Pure.

How it works. Each sample needs so much attenuation that neither it nor the curve to its neighbours is over the
ceiling. The attenuation that is applied begins 5 ms before the peak that needs it, grows smoothly (a mean over 5 ms),
and is released slowly, so that it is a change of loudness and not a distortion. What the limiter has to see in advance
it holds back, and returns at the end: as many samples leave as came, none of them shifted.

Attenuations are whole millionths of a decibel. Sums of whole numbers do not depend on their order, so the same samples
leave, to the last bit, however the stream was cut into chunks.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.common.audio.clip import Samples
from services.common.audio.loudness import PHASE_TAPS, interpolated_peaks

_UNIT_DB: Final = 1e-6
_AHEAD_S: Final = 0.005
_RELEASE_DB_PER_S: Final = 60.0
_MARGIN_DB: Final = 0.2  # what a gain that moves and 16 bits may add to a peak
_HALF: Final = PHASE_TAPS // 2  # samples on either side of an interpolated value
_OVERSHOOT: Final = (
    2.1  # no curve of the interpolator exceeds its samples by more: the sum of its taps' amplitudes
)

Units = NDArray[np.int64]


class PeakLimiter:
    """Holds back `latency` samples of a mono stream."""

    def __init__(self, sample_rate_hz: int, ceiling_db: float) -> None:
        self._ahead = round(_AHEAD_S * sample_rate_hz)
        self._slope = round(_RELEASE_DB_PER_S / sample_rate_hz / _UNIT_DB)
        self._ceiling_db = ceiling_db - _MARGIN_DB
        self._quiet = 10 ** (self._ceiling_db / 20) / _OVERSHOOT
        # The stream, from `_HALF` samples before the first whose need is not known yet; it begins with zeros.
        self._unseen = np.zeros(_HALF, dtype=np.float32)
        # Samples whose attenuation is not known yet. Silence comes first, in which that of a first loud sample begins.
        self._waiting = np.zeros(self._ahead, dtype=np.float32)
        # by the samples that are waiting, as far as it is known
        self._needed = np.zeros(self._ahead, dtype=np.int64)
        self._lead = self._ahead  # samples of that silence that have not left yet
        # the attenuation that is being released, after the last sample that it is known for
        self._held = 0
        # the held attenuation of the samples before
        self._past = np.zeros(self._ahead, dtype=np.int64)

    @property
    def latency(self) -> int:
        """Return how many samples are held back."""
        return self._ahead + _HALF

    def push(self, samples: Samples) -> Samples:
        """Return the samples, float32 [m], that these, float32 [n], complete."""
        self._waiting = np.concatenate([self._waiting, samples])
        self._unseen = np.concatenate([self._unseen, samples])
        known = len(self._unseen) - 2 * _HALF
        if known > 0:
            self._needed = np.concatenate([self._needed, self._need(self._unseen, known)])
            self._unseen = self._unseen[known:]
        ready = len(self._needed) - self._ahead
        if ready <= 0:
            return samples[:0]
        dropped, self._lead = min(self._lead, ready), max(self._lead - ready, 0)
        return self._attenuated(ready)[dropped:]

    def finish(self) -> Samples:
        """Return what is held back; nothing may be pushed after."""
        waiting = len(self._waiting) - self._lead
        rest = self.push(np.zeros(self.latency, dtype=np.float32))
        return rest[:waiting]

    def _need(self, samples: Samples, count: int) -> Units:
        """Return the attenuation that `count` samples need, the first of them at `_HALF`."""
        if float(np.abs(samples).max()) < self._quiet:
            return np.zeros(count, dtype=np.int64)
        between = interpolated_peaks(samples)  # [i]: between samples i + 5 and i + 6
        peaks = np.maximum(
            np.abs(samples[_HALF : _HALF + count]),
            np.maximum(between[:count], between[1 : count + 1]),
        )
        over_db = 20 * np.log10(np.maximum(peaks, 1e-9)) - self._ceiling_db
        return np.ceil(np.maximum(over_db, 0) / _UNIT_DB).astype(np.int64)

    def _attenuated(self, count: int) -> Samples:
        """Take the next `count` samples, and attenuate them."""
        samples, self._waiting = self._waiting[:count], self._waiting[count:]
        needed, self._needed = self._needed, self._needed[count:]
        if not (self._held or needed.any() or self._past.any()):
            return samples
        coming = np.lib.stride_tricks.sliding_window_view(needed, self._ahead + 1).max(axis=1)
        held = self._release(coming)
        sums = np.concatenate([[0], np.cumsum(np.concatenate([self._past, held]))])
        self._past = np.concatenate([self._past, held])[-self._ahead :]
        applied = (sums[self._ahead + 1 :] - sums[: -self._ahead - 1]) * (
            _UNIT_DB / (self._ahead + 1)
        )
        attenuated: Samples = (samples * 10 ** (-applied / 20)).astype(np.float32)
        return attenuated

    def _release(self, coming: Units) -> Units:
        """Return the attenuation that is released by a fixed slope after each peak."""
        slope = np.arange(1, len(coming) + 1, dtype=np.int64) * self._slope
        highest = np.maximum.accumulate(np.maximum(coming + slope, self._held))
        held: Units = np.maximum(highest - slope, 0)
        self._held = int(held[-1])
        return held
