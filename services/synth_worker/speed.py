"""How fast the engine has been of late."""

from typing import Final

_MEMORY: Final = 0.9  # what an average keeps of itself when a sentence is added


class SpeedMeter:
    """Exponentially weighted seconds of work and of sound."""

    def __init__(self) -> None:
        self._work_s = 0.0
        self._sound_s = 0.0

    def note(self, work_s: float, sound_s: float) -> None:
        """Add a sentence."""
        self._work_s = self._work_s * _MEMORY + work_s
        self._sound_s = self._sound_s * _MEMORY + sound_s

    @property
    def real_time_factor(self) -> float | None:
        """Return seconds of work for a second of sound, or None before the first sentence."""
        return self._work_s / self._sound_s if self._sound_s else None
