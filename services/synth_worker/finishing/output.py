"""Output stage of a sentence: gains, limiter and a loudness meter after it. Pure."""

from typing import Protocol

import numpy as np

from services.common.audio.clip import Samples
from services.common.audio.limiter import PeakLimiter
from services.common.audio.loudness import Floats, FrameEnergies, frame_samples


class Output(Protocol):
    """Output stage for frames of 10 ms, float32 [samples of a frame]."""

    def push(self, frames: list[Samples], gains_db: list[float]) -> Samples:
        """Add frames with these gains at their ends; return the samples that are finished."""

    def finish(self) -> Samples:
        """Return the samples that are still held back."""

    def energies(self) -> Floats:
        """Return the K-weighted energies, [n], of the whole frames returned so far."""


class Unchanged:
    """Output stage for a request without loudness levelling."""

    def push(self, frames: list[Samples], gains_db: list[float]) -> Samples:  # noqa: ARG002
        """Return the frames unchanged."""
        return np.concatenate(frames)

    def finish(self) -> Samples:
        """Return nothing: no samples are held back."""
        return np.zeros(0, dtype=np.float32)

    def energies(self) -> Floats:
        """Return nothing: there is no target loudness."""
        return np.zeros(0)


class Levelled:
    """Applies gains and keeps the peaks below a ceiling."""

    def __init__(self, sample_rate_hz: int, ceiling_dbtp: float) -> None:
        self._size = frame_samples(sample_rate_hz)
        self._limiter = PeakLimiter(sample_rate_hz, ceiling_dbtp)
        self._meter = FrameEnergies(sample_rate_hz)
        self._unmeasured = np.zeros(0, dtype=np.float32)
        self._energies: list[float] = []
        self._gain: float | None = None  # at the end of the previous frame

    def push(self, frames: list[Samples], gains_db: list[float]) -> Samples:
        """Add frames with these gains at their ends; return the samples that are finished."""
        ends = 10 ** (np.array(gains_db) / 20)
        begins = np.concatenate([[ends[0] if self._gain is None else self._gain], ends[:-1]])
        self._gain = float(ends[-1])
        gains = begins[:, None] + (ends - begins)[:, None] * np.linspace(
            0, 1, self._size, endpoint=False
        )
        samples = self._limiter.push((np.array(frames) * gains).astype(np.float32).reshape(-1))
        self._unmeasured = np.concatenate([self._unmeasured, samples])
        return samples

    def finish(self) -> Samples:
        """Return the samples that the limiter still holds."""
        return self._limiter.finish()

    def energies(self) -> Floats:
        """Return the energies, [n], of the whole frames returned so far."""
        whole = len(self._unmeasured) // self._size * self._size
        self._energies += self._meter.of(self._unmeasured[:whole].reshape(-1, self._size)).tolist()
        self._unmeasured = self._unmeasured[whole:]
        return np.array(self._energies)
