"""The rule by which requests are repeated. Pure, except for the random jitter."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

_JITTER: Final = (
    0.25  # of `Retry-After`, so that clients that were refused together do not return together
)


@dataclass(frozen=True)
class Retry:
    """Limits of repetition. A transfer that makes progress starts to count from 0 again."""

    attempts: int = 6  # in total, the first one included
    first_s: float = 0.5  # upper limit of the first delay; doubled for each further one
    longest_s: float = 10.0  # of the delays that the client chooses
    longest_retry_after_s: float = 60.0  # if the service asks for more, the error is raised at once

    def delay_s(
        self,
        failures: int,
        retry_after_s: float | None = None,
        chance: Callable[[], float] = random.random,
    ) -> float | None:
        """Return how long to wait after so many failures in a row; None: give up.

        `chance` returns a number from 0 to 1.
        """
        if failures >= self.attempts:
            return None

        if retry_after_s is None:
            limit = min(self.longest_s, self.first_s * 2.0 ** (failures - 1))
            return limit * (0.5 + 0.5 * chance())

        if retry_after_s > self.longest_retry_after_s:
            return None

        return retry_after_s + max(retry_after_s, self.first_s) * _JITTER * chance()


NEVER: Final = Retry(attempts=1)


def retry_after_s(header: str | None, now: datetime | None = None) -> float | None:
    """Return the seconds of a `Retry-After` header, which holds seconds or a date; None if invalid."""
    if header is None:
        return None

    text = header.strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)

    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return None

    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - (now or datetime.now(UTC))).total_seconds())
