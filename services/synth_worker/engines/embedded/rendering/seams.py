"""Joining rendered windows without an audible seam."""

from typing import Final

import numpy as np

from services.common.audio.clip import Samples

HALF_FADE: Final = 144  # samples: 6 ms on either side of a cut
_MOST_SHIFT: Final = 120  # samples: 5 ms, half a period of a low voice


class Seams:
    """Joins the windows of one sentence in order.

    Every window starts its voice source at phase zero, so the next window is shifted to where it matches the end of the
    one before, as WSOLA does (Verhelst & Roelands, 1993), before the two are cross-faded.
    """

    def __init__(self) -> None:
        self._fading: Samples | None = None

    def join(self, rendered: Samples, start: int, stop: int, last: bool) -> Samples:
        """Return the final audio once this window is rendered.

        `rendered` holds the window and its context; samples `start` to `stop` of it are the window's own. Windows come
        in order; after the `last` one nothing is held back.
        """
        if self._fading is None:
            begin, faded = start, rendered[:0]
        else:
            shift = _best_shift(self._fading, rendered, start - HALF_FADE)
            offset = start - HALF_FADE + shift
            faded = _cross_fade(self._fading, rendered[offset : offset + 2 * HALF_FADE])
            begin = offset + 2 * HALF_FADE
        end = stop if last else stop - HALF_FADE
        self._fading = None if last else rendered[end : end + 2 * HALF_FADE]
        return np.concatenate([faded, rendered[begin:end]])


def _best_shift(model: Samples, rendered: Samples, offset: int) -> int:
    """Find the shift, within 5 ms, at which `rendered` from `offset` on looks most like `model`."""
    low = max(-_MOST_SHIFT, -offset)
    region = rendered[offset + low : offset + _MOST_SHIFT + len(model)]
    views = np.lib.stride_tricks.sliding_window_view(region, len(model))
    likeness = views @ model / (np.sqrt((views**2).sum(axis=1)) + 1e-4)
    return int(likeness.argmax()) + low


def _cross_fade(before: Samples, after: Samples) -> Samples:
    rising = np.linspace(0, 1, len(before), dtype=np.float32)
    return before * (1 - rising) + after * rising
