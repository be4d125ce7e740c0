"""Output loudness: about equal for every voice and sentence, and never clipped.

How it works. One gain is used for a whole sentence, found when its first window is rendered. Two estimates of the
sentence's loudness are averaged, each weighted by the other's variance: a prediction from the same inputs as those of
the model's statistics, and the loudness of the window, corrected for how much louder the predicted energies say that
the sentence will be.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from services.common.audio.clip import Samples
from services.common.audio.loudness import frame_energies, gated_lufs, lufs_of
from services.common.audio.spectra import Floats
from services.synth_worker.engines.embedded.rendering.statistics import normal_features

_RATE_HZ: Final = 24_000
_TARGET_LUFS: Final = -21.9  # louder, low voices often meet the knee
_GAINS_DB: Final = (-20.0, 18.0)
_KNEE: Final = 0.8  # amplitudes beyond are bent, so that full scale is never reached

# Measured on the readings of `rebuild`, in LU: BS.1770 leaves out the pauses of a sentence.
_PAUSES_LU: Final = 0.43
_PREDICTED_VARIANCE: Final = 1.5  # LU^2
_WINDOW_VARIANCE: Final = 33.0  # LU^2 x frames, where the window is a small part of the sentence
_LEAST_VARIANCE: Final = 0.05
_TINY: Final = 1e-9


@dataclass(frozen=True, eq=False)
class LevelPredictor:
    """A linear map from `sentence_features` to the loudness of what the model renders.

    `centre` and `scale` [677] make the input about normal; `weights` [677] and `base` [1] give LUFS.
    """

    centre: Floats
    scale: Floats
    weights: Floats
    base: Floats

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Floats]) -> "LevelPredictor":
        """Take the arrays of the asset, named like the fields."""
        return cls(**arrays)

    def predict(self, features: Floats) -> float:
        """Return the loudness in LUFS of a sentence by its features [677]."""
        inputs = normal_features(features, self.centre, self.scale)
        return float(inputs @ self.weights + self.base[0])


def sentence_gain(
    window: Samples, window_energy: Floats, sentence_energy: Floats, predicted_lufs: float
) -> float:
    """Find the gain for a whole sentence from its first rendered window and the predicted loudness.

    The predicted energies of the window and of the sentence ([n], about the logarithm of power) say how much louder the
    sentence will be than the window.
    """
    energies = frame_energies(window, _RATE_HZ)
    if len(window_energy) >= len(sentence_energy):
        return _gain(gated_lufs(energies))

    louder = _mean_power(sentence_energy) / _mean_power(window_energy)
    measured_lufs = lufs_of(float(energies.mean() * louder) + _TINY) + _PAUSES_LU
    frames, rest = len(window_energy) / 2, 1 - len(window_energy) / len(sentence_energy)
    variance = _LEAST_VARIANCE + _WINDOW_VARIANCE / frames * rest
    weight = _PREDICTED_VARIANCE / (_PREDICTED_VARIANCE + variance)
    return _gain(weight * measured_lufs + (1 - weight) * predicted_lufs)


def limited(samples: Samples) -> Samples:
    """Bend amplitudes beyond 0.8 so that none reaches 1."""
    over = np.abs(samples) - _KNEE
    bent = _KNEE + (1 - _KNEE) * np.tanh(over / (1 - _KNEE))
    return np.where(over > 0, np.sign(samples) * bent, samples).astype(np.float32)


def _gain(lufs: float) -> float:
    return float(10 ** (np.clip(_TARGET_LUFS - lufs, *_GAINS_DB) / 20))


def _mean_power(energy: Floats) -> np.float64:
    mean: np.float64 = np.exp(energy.astype(np.float64)).mean()
    return mean
