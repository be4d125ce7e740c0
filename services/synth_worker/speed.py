"""Recent speed of the engine. Pure."""

from typing import Final

_MEMORY: Final = 0.9  # weight of the previous value when a sentence is added


class SpeedMeter:
    """Exponentially weighted seconds of compute and of audio."""

    def __init__(self) -> None:
        self._busy_s = 0.0
        self._audio_s = 0.0

    def add(self, busy_s: float, audio_s: float) -> None:
        """Add a sentence."""
        self._busy_s = self._busy_s * _MEMORY + busy_s
        self._audio_s = self._audio_s * _MEMORY + audio_s

    @property
    def real_time_factor(self) -> float | None:
        """Return seconds of compute per second of audio, or None before the first sentence."""
        return self._busy_s / self._audio_s if self._audio_s else None
