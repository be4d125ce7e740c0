"""Cuts of a predicted prosody, so that its audio can be rendered and played window by window.

The prosody of a sentence is predicted as a whole, which costs little; rendering it costs most. A first short window
brings the first audio early, longer ones follow. Cuts fall where a seam is inaudible: in pauses, else where there is no
voice.
"""

from dataclasses import dataclass
from itertools import chain, pairwise, repeat
from typing import Final

import numpy as np

from services.common.audio.spectra import Floats
from services.synth_worker.engines.embedded.rendering.prosody import (
    FRAME_SAMPLES,
    Prosody,
    cut_prosody,
)

# In frames of 25 ms: rendered on both sides of a window and discarded, so that the model has context.
CONTEXT_FRAMES: Final = 8
# the same before the first window and after the last one, where there is only silence
_EDGE_FRAMES: Final = 2

_LEAD_FRAMES: Final = 2  # of silence before and after speech
_TAIL_FRAMES: Final = 5
# least and most of the first window, the second and so on: the audio of each lasts while the next is rendered
_GROWING_FRAMES: Final = ((10, 14), (14, 28), (28, 60), (50, 120), (60, 150))
_STUMP_FRAMES: Final = 16  # no window is shorter than that
SILENT_ENERGY: Final = -3.0  # in the units of the predictor, about the logarithm of power
_VOICED_HZ: Final = 40.0
_VOICED_COST: Final = 4.0
_LATE_COST: Final = 0.05  # a frame: among like places the earlier one


@dataclass(frozen=True)
class Window:
    """Frames `start` to `stop` are output; `before` and `after` are the numbers of extra frames on either side."""

    start: int
    stop: int
    before: int
    after: int

    @property
    def rendered(self) -> tuple[int, int]:
        """Return the first frame that is rendered and the one after the last."""
        return self.start - self.before, self.stop + self.after

    @property
    def output_samples(self) -> tuple[int, int]:
        """Return where the output begins and stops in the rendered samples."""
        return (
            self.before * FRAME_SAMPLES,
            (self.before + self.stop - self.start) * FRAME_SAMPLES,
        )


def spoken_part(prosody: Prosody) -> Prosody:
    """Return what is rendered of a prosody: its speech and a little silence; all of it where all is silence."""
    spoken = _output_frames(prosody)
    if spoken is None:
        return prosody
    start, stop = spoken
    frames = prosody.content.shape[2]
    return cut_prosody(prosody, max(0, start - _EDGE_FRAMES), min(frames, stop + _EDGE_FRAMES))


def plan_windows(prosody: Prosody) -> list[Window]:
    """Cut the speech in `prosody` into windows, leaving out the silence around it; empty where it is all silence."""
    spoken = _output_frames(prosody)
    if spoken is None:
        return []
    start, stop = spoken
    energy = _frame_energy(prosody)
    borders = [start, *_cuts(_cut_costs(prosody, energy), start, stop), stop]
    return [
        Window(
            left,
            right,
            before=min(left, _EDGE_FRAMES if left == start else CONTEXT_FRAMES),
            after=min(len(energy) - right, _EDGE_FRAMES if right == stop else CONTEXT_FRAMES),
        )
        for left, right in pairwise(borders)
    ]


def _output_frames(prosody: Prosody) -> tuple[int, int] | None:
    energy = _frame_energy(prosody)
    spoken = np.flatnonzero(energy > SILENT_ENERGY)
    if not len(spoken):
        return None
    return (
        max(0, int(spoken[0]) - _LEAD_FRAMES),
        min(len(energy), int(spoken[-1]) + 1 + _TAIL_FRAMES),
    )


def _frame_energy(prosody: Prosody) -> Floats:
    energy: Floats = prosody.energy.reshape(-1, 2).max(axis=1)
    return energy


def _cuts(costs: Floats, start: int, stop: int) -> list[int]:
    cuts: list[int] = []
    here = start
    for least, most in chain(_GROWING_FRAMES, repeat(_GROWING_FRAMES[-1])):
        if stop - here <= most + _STUMP_FRAMES:
            break
        candidates = np.arange(here + least, min(here + most, stop - _STUMP_FRAMES) + 1)
        here = int(candidates[(costs[candidates] + _LATE_COST * (candidates - here)).argmin()])
        cuts.append(here)
    return cuts


def _cut_costs(prosody: Prosody, energy: Floats) -> Floats:
    """Return how audible a seam before each frame would be."""
    highest_hz = prosody.pitch_hz.reshape(-1, 2).max(axis=1)
    cost = np.maximum(energy, SILENT_ENERGY) + np.where(highest_hz > _VOICED_HZ, _VOICED_COST, 0)
    worse: Floats = np.maximum(cost, np.concatenate([cost[:1], cost[:-1]]))
    return worse
