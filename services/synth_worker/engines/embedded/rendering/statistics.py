"""Predicts the means and deviations of the model's channels over a sentence, before any of it is rendered.

A linear map from what is known of the sentence: the timbre, a few numbers on its pitch and loudness, and the mean of
its content. `rebuild` fits it to what the model's normalizations measured over whole sentences of random voices.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from services.common.audio.spectra import Floats
from services.synth_worker.engines.embedded.rendering.prosody import Prosody, voiced_pitch
from services.synth_worker.engines.embedded.rendering.windows import SILENT_ENERGY
from services.synth_worker.engines.embedded.voices.styles import TIMBRE

_MOST_SPREAD: Final = 4.0  # inputs further out than that, in standard deviations, were never met
_LOWEST_HZ: Final = 40.0
_BINS_AN_OCTAVE: Final = 9
_PITCH_BINS: Final = 33  # up to 470 Hz


@dataclass(frozen=True, eq=False)
class StatisticsPredictor:
    """The map for n channels, through r numbers in between.

    `centre` and `scale` [677] make the input about normal; `inwards` [677, r], `outwards` [r, 2n] and `base` [2n] give
    the means in units of `unit` [n], and then the logarithms of the deviations.
    """

    centre: Floats
    scale: Floats
    inwards: Floats
    outwards: Floats
    base: Floats
    unit: Floats

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Floats]) -> "StatisticsPredictor":
        """Take the arrays of the asset, named like the fields."""
        return cls(**arrays)

    def predict(self, features: Floats) -> tuple[Floats, Floats]:
        """Return means and deviations, float32 [1, n, 1], of a sentence by its features [677]."""
        inputs = normal_features(features, self.centre, self.scale)
        found = (inputs @ self.inwards) @ self.outwards + self.base
        count = len(self.unit)
        means: Floats = (found[:count] * self.unit).astype(np.float32)
        deviations: Floats = np.exp(found[count:]).astype(np.float32)
        return means.reshape(1, -1, 1), deviations.reshape(1, -1, 1)


def normal_features(features: Floats, centre: Floats, scale: Floats) -> Floats:
    """Return the features of a sentence [677] less `centre`, in units of `scale`, as far as such were met."""
    inputs: Floats = (features - centre) / scale
    return inputs.clip(-_MOST_SPREAD, _MOST_SPREAD)


def sentence_features(prosody: Prosody, style: Floats) -> Floats:
    """Return what predictions are made of, float32 [677]: of a prosody without silence around it, in a style [256]."""
    energy = prosody.energy[0]
    numbers = [
        float(energy.mean()),
        float(energy.std()),
        float((energy > SILENT_ENERGY).mean()),
    ]
    return np.concatenate(
        [style[:TIMBRE], numbers, _pitch_shares(prosody), prosody.content[0].mean(axis=1)]
    ).astype(np.float32)


def _pitch_shares(prosody: Prosody) -> Floats:
    """Return the share of the time at each pitch, and without one: means over the voice source are linear in them."""
    octaves = np.log2(np.maximum(voiced_pitch(prosody), _LOWEST_HZ) / _LOWEST_HZ)
    positions = np.minimum(octaves * _BINS_AN_OCTAVE, _PITCH_BINS - 1.001)
    lower = positions.astype(np.intp)
    upper_share = positions - lower
    shares = np.zeros(_PITCH_BINS + 1)
    np.add.at(shares, lower, 1 - upper_share)
    np.add.at(shares, lower + 1, upper_share)
    count = prosody.pitch_hz.shape[1]
    shares[_PITCH_BINS] = count - len(octaves)
    found: Floats = (shares / count).astype(np.float32)
    return found
