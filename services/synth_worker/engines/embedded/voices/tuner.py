"""From a style to the speaker embedding it would sound like, and back by its gradient.

A small network, trained on synthetic clips by `rebuild`, predicts the GE2E embedding of what Kokoro would say in a
style. Enrolment walks through style space towards a reference's embedding along the network's gradient, which is
written out here by hand, so that no autograd library is needed at run time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import erf

from services.common.audio.spectra import Floats

TIMBRE_COORDINATES: Final = 40

_MEMBERS_AXIS: Final = 0
_PITCH_CENTRE: Final = 5.0  # ln Hz
_PITCH_SPREAD: Final = 0.35
_LAYERS: Final = 3


@dataclass(frozen=True, eq=False)
class Tuner:
    """An ensemble of M members; each is a straight line plus a network of two hidden layers with GELU.

    `linear` [M, 57, 256], `weights` [M, in, out] and `biases` [M, out] for three layers. The input of 57 numbers holds
    40 timbre coordinates, 16 prosody coordinates and the pitch.
    """

    linear: Floats
    weights: tuple[Floats, ...]
    biases: tuple[Floats, ...]

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Floats]) -> "Tuner":
        """Take the arrays `linear`, `weight.i` and `bias.i` of the asset."""
        return cls(
            linear=arrays["linear"].astype(np.float32),
            weights=tuple(arrays[f"weight.{layer}"].astype(np.float32) for layer in range(_LAYERS)),
            biases=tuple(arrays[f"bias.{layer}"].astype(np.float32) for layer in range(_LAYERS)),
        )

    def similarity(self, inputs: Floats, target: Floats) -> tuple[Floats, Floats]:
        """Cosine between predictions for `inputs` [n, 57] and a unit `target` [256], and its gradient.

        Returns ([n], [n, 57]).
        """
        hidden, slopes = [inputs[None]], []
        for layer in range(_LAYERS - 1):
            before = hidden[-1] @ self.weights[layer] + self.biases[layer][:, None]
            value, slope = _gelu(before)
            hidden.append(value)
            slopes.append(slope)
        outputs = hidden[-1] @ self.weights[-1] + self.biases[-1][:, None] + inputs @ self.linear
        cosine, to_outputs = _ensemble_cosine(outputs, target)
        return cosine, self._backwards(to_outputs, slopes).sum(axis=_MEMBERS_AXIS)

    def _backwards(self, to_outputs: Floats, slopes: list[Floats]) -> Floats:
        through = to_outputs
        for layer in reversed(range(_LAYERS)):
            through = through @ self.weights[layer].transpose(0, 2, 1)
            if layer:
                through = through * slopes[layer - 1]
        return through + to_outputs @ self.linear.transpose(0, 2, 1)


def tuner_inputs(timbre: Floats, prosody: Floats, pitch_hz: float) -> Floats:
    """Join coordinates ([n, 40] and [16]) and a median pitch into the network's input, [n, 57]."""
    pitch = np.float32((np.log(pitch_hz) - _PITCH_CENTRE) / _PITCH_SPREAD)
    rest = np.broadcast_to(
        np.append(prosody, pitch).astype(np.float32), (len(timbre), len(prosody) + 1)
    )
    return np.concatenate([timbre, rest], axis=1)


def _gelu(before: Floats) -> tuple[Floats, Floats]:
    """The exact GELU and its derivative."""
    share = (0.5 * (1 + erf(before / np.sqrt(2)))).astype(np.float32)
    density = (np.exp(-0.5 * before**2) / np.sqrt(2 * np.pi)).astype(np.float32)
    return before * share, share + before * density


def _ensemble_cosine(outputs: Floats, target: Floats) -> tuple[Floats, Floats]:
    """Cosine of the sum of the members' unit outputs [M, n, 256] with `target`: [n], and its gradient [M, n, 256]."""
    lengths = np.linalg.norm(outputs, axis=-1, keepdims=True)
    units = outputs / lengths
    total = units.sum(axis=_MEMBERS_AXIS)
    length = np.linalg.norm(total, axis=-1, keepdims=True)
    cosine = (total / length) @ target
    to_total = (target - cosine[:, None] * total / length) / length
    along = (units * to_total).sum(axis=-1, keepdims=True)
    return cosine, (to_total - along * units) / lengths
