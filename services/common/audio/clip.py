"""Mono audio in memory."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]  # [n], mono, full scale is -1..1


@dataclass(frozen=True, eq=False)
class Clip:
    """Mono audio: `samples` is float32 [n] in -1..1 at `sample_rate_hz`."""

    samples: Samples
    sample_rate_hz: int

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return len(self.samples) / self.sample_rate_hz
