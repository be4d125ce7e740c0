"""The asset from which the loudness of a sentence is predicted.

The random voices of the statistics read their sentences and few words once more, now in the engine's own form with
predicted statistics, and the loudness of the speech is measured: a ridge regression on the same inputs.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.common.audio.loudness import integrated_lufs
from services.common.audio.spectra import Floats
from services.synth_worker.engines.embedded.g2p import Phonemizer
from services.synth_worker.engines.embedded.rebuild.ridge import ridge_weights, standardized
from services.synth_worker.engines.embedded.rebuild.statistics import RandomReading, readings
from services.synth_worker.engines.embedded.rendering.kokoro import SAMPLE_RATE_HZ, Kokoro
from services.synth_worker.engines.embedded.rendering.statistics import sentence_features

_RIDGE: Final = 200.0


def level_arrays(
    kokoro: Kokoro, phonemizer: Phonemizer, space: Mapping[str, Floats], stored: Path
) -> dict[str, Floats]:
    """Return the arrays of LevelPredictor.

    Measurements of an earlier run are found in the folder `stored`.
    """
    stored.mkdir(parents=True, exist_ok=True)
    measured = list(_measured(kokoro, readings(kokoro, phonemizer, space), stored))
    features = np.stack([features for features, _ in measured]).astype(np.float64)
    return fitted(features, np.array([lufs for _, lufs in measured]))


def fitted(features: NDArray[np.float64], lufs: NDArray[np.float64]) -> dict[str, Floats]:
    """Fit a loudness [n] to features [n, 677]; readings without a loudness, which are silent, do not count."""
    audible = np.isfinite(lufs)
    features, lufs = features[audible], lufs[audible]
    inputs, centre, scale = standardized(features)
    base = lufs.mean()
    weights = ridge_weights(inputs, lufs - base, _RIDGE)
    found = {"centre": centre, "scale": scale, "weights": weights, "base": np.array([base])}
    return {name: values.astype(np.float32) for name, values in found.items()}


def _measured(
    kokoro: Kokoro, read: Iterator[RandomReading], stored: Path
) -> Iterator[tuple[Floats, float]]:
    for index, reading in enumerate(read):
        path = stored / f"{index:05}.npz"
        if not path.exists():
            samples = kokoro.audio(reading.prosody, reading.style)
            np.savez(path, lufs=integrated_lufs([samples], SAMPLE_RATE_HZ))
        with np.load(path) as arrays:
            yield sentence_features(reading.prosody, reading.style), float(arrays["lufs"])
