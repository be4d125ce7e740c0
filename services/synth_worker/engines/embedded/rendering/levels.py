"""Output loudness: about equal for every voice and sentence, and never clipped."""

from typing import Final

import numpy as np

from services.common.audio.clip import Samples
from services.common.audio.spectra import Floats

# RMS of the speech in a sentence; louder, low voices often meet the knee
_TARGET: Final = 10 ** (-22.3 / 20)
_GAINS: Final = (0.1, 8.0)
_KNEE: Final = 0.8  # amplitudes beyond are bent, so that full scale is never reached


def sentence_gain(window: Samples, window_energy: Floats, sentence_energy: Floats) -> float:
    """Find the gain for a whole sentence from its first rendered window.

    The predicted energies of the window and of the sentence ([n], about the logarithm of power) say how much louder the
    sentence will be than the window.
    """
    rms = float(np.sqrt(np.mean(window.astype(np.float64) ** 2))) + 1e-6
    ratio = float(_mean_power(sentence_energy) / _mean_power(window_energy)) ** 0.5
    return float(np.clip(_TARGET / (rms * ratio), *_GAINS))


def limited(samples: Samples) -> Samples:
    """Bend amplitudes beyond 0.8 so that none reaches 1."""
    over = np.abs(samples) - _KNEE
    bent = _KNEE + (1 - _KNEE) * np.tanh(over / (1 - _KNEE))
    return np.where(over > 0, np.sign(samples) * bent, samples).astype(np.float32)


def _mean_power(energy: Floats) -> np.float64:
    mean: np.float64 = np.exp(energy.astype(np.float64)).mean()
    return mean
