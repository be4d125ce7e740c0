"""A deadline that does not depend on changes of the machine's clock."""

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
        """Return the deadline of a message, given in Unix milliseconds."""
        return cls(time.monotonic() + unix_ms / 1000 - time.time())

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """Return the deadline this many seconds from now."""
        return cls(time.monotonic() + seconds)

    @property
    def left_s(self) -> float:
        """Return the time until the deadline, in seconds; negative after it."""
        return self.monotonic_s - time.monotonic()

    @property
    def passed(self) -> bool:
        """Return whether it has passed."""
        return self.left_s < 0
