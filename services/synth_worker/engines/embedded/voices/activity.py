"""Detection of speech in a recording, by loudness."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from services.common.audio.clip import Samples

_WINDOW_SECONDS: Final = 0.02
_BELOW_LOUD: Final = 10 ** (-35 / 20)  # pauses lie more than 35 dB under the loud windows ...
_ABOVE_FLOOR: Final = 10 ** (6 / 20)  # ... or within 6 dB of the noise floor
_SILENCE: Final = 10 ** (-60 / 20)
_KEPT_WINDOWS: Final = 5  # pause left standing on each side of speech


def active_windows(samples: Samples, rate_hz: int) -> NDArray[np.bool_]:
    """Return for every whole window of 20 ms whether it is speech (or within 100 ms of it): bool [windows]."""
    size = int(_WINDOW_SECONDS * rate_hz)
    whole = samples[: len(samples) // size * size].reshape(-1, size)
    if not len(whole):
        return np.zeros(0, dtype=bool)
    level = np.sqrt(np.mean(whole**2, axis=1))
    loud, floor = np.percentile(level, 95), np.percentile(level, 5)
    threshold = max(_SILENCE, loud * _BELOW_LOUD, min(floor * _ABOVE_FLOOR, loud / 4))
    grown: NDArray[np.bool_] = binary_dilation(
        level > threshold, np.ones(2 * _KEPT_WINDOWS + 1, dtype=bool)
    )
    return grown


def without_pauses(samples: Samples, rate_hz: int) -> Samples:
    """Leave out what is no speech; may return an empty array."""
    size = int(_WINDOW_SECONDS * rate_hz)
    kept = np.repeat(active_windows(samples, rate_hz), size)
    return samples[: len(kept)][kept]
