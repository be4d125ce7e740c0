"""Joining rendered windows without an audible seam."""

from typing import Final

import numpy as np

from services.common.audio.clip import Samples

HALF_FADE: Final = 144  # samples: 6 ms on either side of a cut


class Seams:
    """Joins the windows of one sentence in order.

    Neighbouring windows agree where they meet but for what lies beyond their context, and for the filter, which
    follows each: a short cross-fade hides both.
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
            begin = start + HALF_FADE
            faded = _cross_fade(self._fading, rendered[start - HALF_FADE : begin])
        end = stop if last else stop - HALF_FADE
        self._fading = None if last else rendered[end : end + 2 * HALF_FADE]
        return np.concatenate([faded, rendered[begin:end]])


def _cross_fade(before: Samples, after: Samples) -> Samples:
    rising = np.linspace(0, 1, len(before), dtype=np.float32)
    return before * (1 - rising) + after * rising
