"""Sample rates, by libsoxr at its high quality: linear phase, pass band to 0.91 of Nyquist, aliases under -120 dB."""

from typing import Final

import numpy as np
import soxr

from services.common.audio.clip import Clip, Samples

_QUALITY: Final = "HQ"


def resample(clip: Clip, sample_rate_hz: int) -> Clip:
    """Return the clip at another rate; the clip itself where it has that rate."""
    if clip.sample_rate_hz == sample_rate_hz:
        return clip
    samples: Samples = soxr.resample(clip.samples, clip.sample_rate_hz, sample_rate_hz, _QUALITY)
    return Clip(samples, sample_rate_hz)


class Resampler:
    """The same for a stream of chunks; the output does not depend on how the input was cut."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self._stream = soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32", quality=_QUALITY)

    def push(self, samples: Samples) -> Samples:
        """Return the float32 [m] that these float32 [n] complete; it lags by the filter's length, so m may be 0."""
        ready: Samples = self._stream.resample_chunk(samples)
        return ready

    def finish(self) -> Samples:
        """Return what is left, float32 [m]; nothing may be pushed after."""
        rest: Samples = self._stream.resample_chunk(np.zeros(0, dtype=np.float32), last=True)
        return rest
