"""A deadline that a jump of the machine's clock does not move."""

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Deadline:
    """A moment on this process's monotonic clock.

    Deadlines travel as Unix time, so machines have to agree on the time when one is met; from then on it is counted
    on the monotonic clock, which cannot be set.
    """

    monotonic_s: float

    @classmethod
    def at(cls, unix_ms: int) -> "Deadline":
        """Return the deadline that a message names."""
        return cls(time.monotonic() + unix_ms / 1000 - time.time())

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """Return the moment so long from now."""
        return cls(time.monotonic() + seconds)

    @property
    def left_s(self) -> float:
        """Return how long it is until then, in seconds; negative afterwards."""
        return self.monotonic_s - time.monotonic()

    @property
    def passed(self) -> bool:
        """Return whether it has passed."""
        return self.left_s < 0
