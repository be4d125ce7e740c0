"""Gives every sentence the same quiet before and after its speech. Pure.

Engines begin and end a sentence with a quiet part, whose length differs by language and voice and would add to the
pauses. The last 50 ms before the first audible frame and the first 150 ms after the last one remain; if there is less,
silence is added. Quiet parts inside a sentence are unchanged: frames that could be the end are held back until an
audible frame follows.
"""

from typing import Final

import numpy as np

from services.common.audio.clip import Samples

LEAD_FRAMES: Final = 5  # of 10 ms
TRAIL_FRAMES: Final = 15

Frame = tuple[Samples, float]  # float32 [samples of a frame], and their K-weighted energy


class Edges:
    """Trims and pads the frames of one sentence."""

    def __init__(self, frame_samples: int) -> None:
        self._silence: Frame = (np.zeros(frame_samples, dtype=np.float32), 0.0)
        self._rising = np.linspace(0, 1, frame_samples, dtype=np.float32)
        self._held: list[Frame] = []
        self._begun = False
        self._quiet = 0  # frames since the last audible one
        self.trimmed = 0  # frames before the first audible one, less those that were added

    def add(self, frame: Samples, energy: float, *, audible: bool) -> list[Frame]:
        """Add a frame; return the frames that can be sent now."""
        self._held.append((frame, energy))
        self._quiet = 0 if audible else self._quiet + 1
        if audible and not self._begun:
            self._begin()
        # The last frame of the margin is held back, too: it is faded out if nothing follows.
        return self._release() if self._begun and self._quiet < TRAIL_FRAMES else []

    @property
    def margins(self) -> tuple[int, int]:
        """Return the quiet frames before and after the speech; none if no frame is audible."""
        return (LEAD_FRAMES, TRAIL_FRAMES) if self._begun else (0, 0)

    def finish(self) -> list[Frame]:
        """Return the remaining frames. A sentence without an audible frame is unchanged."""
        if not self._begun:
            return self._release()
        missing = max(TRAIL_FRAMES - self._quiet, 0)
        margin = [*self._held[:1], *[self._silence] * missing]
        samples, energy = margin[-1]
        return [*margin[:-1], (samples * self._rising[::-1], energy)]

    def _begin(self) -> None:
        """Trim or pad the quiet before the first audible frame, and fade it in."""
        self._begun = True
        self.trimmed = len(self._held) - 1 - LEAD_FRAMES
        lead = self._held[:-1][-LEAD_FRAMES:]
        padded = [*[self._silence] * (LEAD_FRAMES - len(lead)), *lead]
        samples, energy = padded[0]
        self._held = [(samples * self._rising, energy), *padded[1:], self._held[-1]]

    def _release(self) -> list[Frame]:
        released = self._held
        self._held = []
        return released
