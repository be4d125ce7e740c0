"""Ridge regression on the features of sentences."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

_TINY: Final = 1e-6


def standardized(
    features: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return features [n, f] with mean 0 and deviation 1, the means [f] and the deviations [f] that they had."""
    centre, scale = features.mean(axis=0), features.std(axis=0) + _TINY
    return (features - centre) / scale, centre, scale


def ridge_weights(
    inputs: NDArray[np.float64], targets: NDArray[np.float64], strength: float
) -> NDArray[np.float64]:
    """Return the weights [f] or [f, m] from inputs [n, f] to targets [n] or [n, m] with mean 0."""
    products = inputs @ inputs.T + strength * np.eye(len(inputs))
    weights: NDArray[np.float64] = inputs.T @ np.linalg.solve(products, targets)
    return weights
