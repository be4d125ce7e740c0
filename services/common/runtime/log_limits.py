"""Rate limits for log lines that clients can cause: a burst, a rate, and a count of those dropped."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_LOGGERS: Final = ("asyncio", "aiohttp.server")
_BURST: Final = 10
_A_SECOND: Final = 0.5


class LogLimit:
    """A token bucket of log lines."""

    def __init__(self, *, burst: float, a_second: float) -> None:
        self._burst = self._tokens = burst
        self._a_second = a_second
        self._at_s = time.monotonic()
        self._left_out = 0

    def allows(self) -> int | None:
        """Return how many lines were dropped since the last allowed one; None to drop this line."""
        now_s = time.monotonic()
        self._tokens = min(self._burst, self._tokens + (now_s - self._at_s) * self._a_second)
        self._at_s = now_s
        if self._tokens < 1:
            self._left_out += 1
            return None
        self._tokens -= 1
        left_out, self._left_out = self._left_out, 0
        return left_out


class _Limit(logging.Filter):
    """A logging filter that limits the records of a logger."""

    def __init__(self) -> None:
        super().__init__()
        self._sparing = LogLimit(burst=_BURST, a_second=_A_SECOND)

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log the record."""
        left_out = self._sparing.allows()
        if left_out:
            record.msg = f"{record.getMessage()} ({left_out} lines left out before)"
            record.args = ()
        return left_out is not None


@contextmanager
def limited_logs() -> Iterator[None]:
    """Limit the logs of the event loop (failed accepts) and the HTTP server while the block runs."""
    limits = [(logging.getLogger(name), _Limit()) for name in _LOGGERS]
    for logger, limit in limits:
        logger.addFilter(limit)
    try:
        yield
    finally:
        for logger, limit in limits:
            logger.removeFilter(limit)
