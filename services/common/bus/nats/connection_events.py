"""Logs the events of a NATS connection: errors, disconnects, reconnects, dropped messages."""

import math
import time
from typing import Final

import nats.errors
import structlog

from services.common.runtime.log_limits import LogLimit

log = structlog.get_logger()

_DROPPED_LOG_INTERVAL_S: Final = 10.0
_ERRORS_LOGGED: Final = 5  # at once
_ERROR_LOG_INTERVAL_S: Final = 30.0  # between later ones


class ConnectionEvents:
    """The callbacks of a client. A disconnect is not logged while the connection is being closed."""

    def __init__(self) -> None:
        self.closing = False
        # while NATS is down, the client reports an error with each attempt to reconnect, ten times a second
        self._errors = LogLimit(burst=_ERRORS_LOGGED, a_second=1 / _ERROR_LOG_INTERVAL_S)
        self._dropped = 0
        self._logged_at_s = -math.inf

    async def on_error(self, error: Exception) -> None:
        """Log an error of the client."""
        if isinstance(error, nats.errors.SlowConsumerError):
            self._count_dropped()
            return

        if (left_out := self._errors.allows()) is not None:
            log.warning(
                "bus_error",
                error=type(error).__name__,
                detail=str(error)[:200],
                **({"left_out": left_out} if left_out else {}),
            )

    def _count_dropped(self) -> None:
        """Count a message that a full subscription dropped; log the count at most every 10 s."""
        self._dropped += 1
        now_s = time.monotonic()

        if now_s - self._logged_at_s > _DROPPED_LOG_INTERVAL_S:
            log.warning("listener_slow", dropped=self._dropped)
            self._dropped = 0
            self._logged_at_s = now_s

    async def on_disconnect(self) -> None:
        """Log a lost connection."""
        if not self.closing:
            log.warning("bus_disconnected")

    async def on_reconnect(self) -> None:
        """Log that the connection was restored."""
        log.info("bus_reconnected")
