"""Gives a sentence the same quiet before and after its sound, whatever the engine left there. Pure.

Engines begin and end a sentence with quiet of their own, which differs by language and voice and would add to the
pauses. Of the quiet before the first sound the last 50 ms stay, of that after the last sound the first 150 ms; where
there is less, silence is added. Quiet inside a sentence stays as it is: what may turn out to be the end waits here
until sound follows it.
"""

from typing import Final

import numpy as np

from services.common.audio.clip import Samples

LEAD_FRAMES: Final = 5  # of 10 ms
TRAIL_FRAMES: Final = 15

Frame = tuple[Samples, float]  # float32 [samples of a frame], and their K-weighted energy


class Edges:
    """Takes the frames of a sentence one by one."""

    def __init__(self, frame_samples: int) -> None:
        self._silence: Frame = (np.zeros(frame_samples, dtype=np.float32), 0.0)
        self._rising = np.linspace(0, 1, frame_samples, dtype=np.float32)
        self._held: list[Frame] = []
        self._begun = False
        self._quiet = 0  # frames since the last sound

    def add(self, frame: Samples, energy: float, *, sounds: bool) -> list[Frame]:
        """Return the frames that the next one completes."""
        self._held.append((frame, energy))
        self._quiet = 0 if sounds else self._quiet + 1
        if sounds and not self._begun:
            self._begin()
        # The last frame of the margin waits as well: it is faded out if nothing follows.
        return self._release() if self._begun and self._quiet < TRAIL_FRAMES else []

    def finish(self) -> list[Frame]:
        """Return the rest. A sentence in which nothing sounds stays as it is."""
        if not self._begun:
            return self._release()
        missing = max(TRAIL_FRAMES - self._quiet, 0)
        margin = [*self._held[:1], *[self._silence] * missing]
        samples, energy = margin[-1]
        return [*margin[:-1], (samples * self._rising[::-1], energy)]

    def _begin(self) -> None:
        """Keep so much of the quiet before the first sound, and fade it in."""
        self._begun = True
        lead = self._held[:-1][-LEAD_FRAMES:]
        padded = [*[self._silence] * (LEAD_FRAMES - len(lead)), *lead]
        samples, energy = padded[0]
        self._held = [(samples * self._rising, energy), *padded[1:], self._held[-1]]

    def _release(self) -> list[Frame]:
        released, self._held = self._held, []
        return released
