"""The JetStream client shared by all operations of the bus, with its two retry loops."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import nats.errors
import nats.js.errors
import structlog
from nats.aio.client import Client
from nats.js import JetStreamContext, api

from services.common.bus.nats.errors import too_large, translated
from services.common.runtime.cancellation import cancellation_kept
from services.common.wire.failures import BusUnavailable

log = structlog.get_logger()

_UNANSWERED: Final = (
    nats.errors.TimeoutError,
    nats.js.errors.NoStreamResponseError,
    nats.errors.NoRespondersError,
    nats.errors.OutboundBufferLimitError,
)
_RETRY_PUBLISH_S: Final = 0.1
_RETRY_SETUP_S: Final = 0.3

_ResultT = TypeVar("_ResultT")


class JetStreamOperations:
    """Base class of the bus's operations on a connected client."""

    def __init__(self, client: Client, *, patience_s: float) -> None:
        """Wrap a connected client.

        `patience_s` is how long an operation is retried before it raises BusUnavailable.
        """
        self._client = client
        self._jetstream: JetStreamContext = client.jetstream(timeout=2.0)
        self._patience_s = patience_s
        self._unstored = 0

    @property
    def unstored(self) -> int:
        """Return how many messages were given up because the server did not store them in time."""
        return self._unstored

    async def _publish_until_stored(
        self, subject: str, payload: bytes, headers: dict[str, str], ttl: float | None = None
    ) -> api.PubAck:
        """Publish to a stream, and repeat it until the server answers.

        Raises APIError if the server refuses the message, BusUnavailable, TextTooLong.
        """
        give_up_at_s = asyncio.get_running_loop().time() + self._patience_s

        while True:
            try:
                with cancellation_kept():
                    return await self._jetstream.publish(
                        subject, payload, headers=headers, msg_ttl=ttl
                    )
            except _UNANSWERED:
                if asyncio.get_running_loop().time() > give_up_at_s:
                    self._unstored += 1
                    raise BusUnavailable("NATS did not store the message in time") from None
                await asyncio.sleep(_RETRY_PUBLISH_S)
            except nats.errors.MaxPayloadError:
                raise too_large() from None

    async def _retry_until_ready(self, attempt: Callable[[], Awaitable[_ResultT]]) -> _ResultT:
        """Await `attempt` until it succeeds: servers that just started may still elect a leader.

        Raises BusUnavailable.
        """
        give_up_at_s = asyncio.get_running_loop().time() + self._patience_s

        while True:
            try:
                async with translated():
                    return await attempt()
            except BusUnavailable as failure:
                if asyncio.get_running_loop().time() > give_up_at_s:
                    raise
                log.warning("bus_not_ready", detail=str(failure))

            await asyncio.sleep(_RETRY_SETUP_S)
