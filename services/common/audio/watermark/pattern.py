"""The pattern of the watermark: which bands are raised and which lowered, and when. Pure.

Time is divided into slots of 20 ms and frequency into bands, of 100 Hz up to 3.4 kHz (what a telephone passes) and of
150 Hz up to 7.6 kHz. Each slot and band, a chip, has a sign. The signs repeat every two seconds.

The key is public: anyone may look for the mark. With a secret key, no other party could check that speech
is synthetic.
"""

from hashlib import shake_256
from typing import Final

import numpy as np
from numpy.typing import NDArray

SLOT_S: Final = 0.02
SLOTS: Final = 100  # in a period
NARROW_BANDS: Final = 31  # within a telephone's bandwidth
_WIDE_BANDS: Final = 28
_KEY: Final = b"voice-cloning watermark 1"
BANDS: Final = NARROW_BANDS + _WIDE_BANDS
EDGES_HZ: Final = np.concatenate(
    [
        300 + 100 * np.arange(NARROW_BANDS + 1),
        3400 + 150 * np.arange(1, _WIDE_BANDS + 1),
    ]
)

Signs = NDArray[np.float32]


def signs() -> Signs:
    """Return the pattern, float32 [slots, bands] of -1 and 1."""
    count = SLOTS * BANDS
    bits = np.unpackbits(np.frombuffer(shake_256(_KEY).digest(-(-count // 8)), np.uint8))
    pattern: Signs = (bits[:count].astype(np.float32) * 2 - 1).reshape(SLOTS, BANDS)
    return pattern


def band_of(frequencies_hz: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the band of each frequency, int64 [n]; -1 for those outside of all bands."""
    bands = np.searchsorted(EDGES_HZ, frequencies_hz, side="right") - 1
    outside = (bands < 0) | (bands >= BANDS)
    found: NDArray[np.int64] = np.where(outside, -1, bands)
    return found
