"""The search for a timbre: down the gradient of the tuner, from several places at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from services.common.audio.spectra import Floats
from services.synth_worker.engines.embedded.voices.styles import TIMBRE
from services.synth_worker.engines.embedded.voices.tuner import TIMBRE_COORDINATES, Tuner

_STEPS: Final = 120
_LEARNING_RATE: Final = 0.05
_ADAM: Final = (0.9, 0.999)


@dataclass(frozen=True, eq=False)
class Start:
    """The starting point of one search, and how strongly it is held there."""

    inputs: Floats  # [57], what the tuner takes
    home: Floats  # [40], the timbre coordinates from which distance is counted
    hold: float  # weight of the mean squared distance against the cosine


def descend(tuner: Tuner, starts: list[Start], target: Floats) -> tuple[Floats, Floats]:
    """Search from every start at once for the embedding `target` [256], by Adam (Kingma & Ba, 2015).

    Returns the coordinates found, [n, 40], and their losses, [n]: distance's cost less the cosine.
    """
    inputs = np.stack([start.inputs for start in starts])
    home = np.stack([start.home for start in starts])
    hold = np.array([start.hold for start in starts], dtype=np.float32)
    points = inputs[:, :TIMBRE_COORDINATES]  # a view: the tuner sees every step
    first, second = np.zeros_like(points), np.zeros_like(points)
    for step in range(1, _STEPS + 1):
        _, slope = tuner.similarity(inputs, target)
        downhill = -slope[:, :TIMBRE_COORDINATES] + (2 / TIMBRE_COORDINATES) * hold[:, None] * (
            points - home
        )
        first = _ADAM[0] * first + (1 - _ADAM[0]) * downhill
        second = _ADAM[1] * second + (1 - _ADAM[1]) * downhill**2
        points -= (
            _LEARNING_RATE
            * (first / (1 - _ADAM[0] ** step))
            / (np.sqrt(second / (1 - _ADAM[1] ** step)) + 1e-8)
        )
    cosine, _ = tuner.similarity(inputs, target)
    return points, hold * ((points - home) ** 2).mean(axis=1) - cosine


def coordinates(style: Floats, space: Mapping[str, Floats]) -> tuple[Floats, Floats]:
    """Return a style's [256] position in the style space: timbre coordinates [40], prosody coordinates [16]."""
    halves = zip(("timbre", "prosody"), (style[:TIMBRE], style[TIMBRE:]), strict=True)
    timbre, prosody = (
        np.linalg.lstsq(space[f"{name}_axes"].T, half - space[f"{name}_mean"], rcond=None)[0]
        for name, half in halves
    )
    return timbre.astype(np.float32), prosody.astype(np.float32)
