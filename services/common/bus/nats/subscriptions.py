"""Subscriptions on a real NATS server: core listeners, pulls from a work queue, deliveries."""

import asyncio
import time
from typing import Final

import nats.errors
import structlog
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js import JetStreamContext

from services.common.bus.nats.errors import translated
from services.common.bus.ports import Received
from services.common.runtime.cancellation import cancellation_kept
from services.common.wire.failures import BusUnavailable

log = structlog.get_logger()

_NAK_DELAY_S: Final = 0.2  # longer than this process continues to pull
_GONE = (
    nats.errors.ConnectionClosedError,
    nats.errors.BadSubscriptionError,
    nats.errors.ConnectionDrainingError,
)


class NatsSubscription:
    """A core subscription."""

    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription

    async def next(self, timeout_s: float) -> Received | None:
        """Return the next message, or None after the timeout."""
        try:
            with cancellation_kept():
                message = await self._subscription.next_msg(timeout=timeout_s)
        except nats.errors.TimeoutError:
            return None
        except (nats.errors.ConnectionClosedError, nats.errors.BadSubscriptionError):
            raise BusUnavailable("the connection to NATS was closed") from None
        return Received(message.subject, message.data, message.reply, message.headers or {})

    async def close(self) -> None:
        """Unsubscribe; a lost connection has done so already."""
        try:
            await self._subscription.unsubscribe()
        except _GONE:
            return


class NatsPuller:
    """A pull subscription on a durable consumer."""

    def __init__(self, subscription: JetStreamContext.PullSubscription) -> None:
        self._subscription = subscription

    async def next(self, timeout_s: float) -> "NatsDelivery | None":
        """Fetch one message."""
        try:
            with cancellation_kept():  # a message that was fetched is redelivered
                [message] = await self._subscription.fetch(1, timeout=timeout_s)
        except nats.errors.TimeoutError:
            return None
        except (nats.errors.Error, OSError) as error:
            # No stream while the server restarts, no quorum, a lost connection: transient, or visible on /readyz.
            log.warning("pull_failed", error=type(error).__name__)
            await asyncio.sleep(min(timeout_s, 0.2))
            return None
        return NatsDelivery(message)

    async def close(self) -> None:
        """Nak the messages that a timed-out fetch had received, and pull nothing more.

        A pull here could receive a message, nak it and receive it again until no attempt is left.
        """
        while self._subscription.pending_msgs:
            late = await self.next(timeout_s=0.02)
            if late is not None:
                await late.nak(_NAK_DELAY_S)
        try:
            await self._subscription.unsubscribe()
        except _GONE:
            return


class NatsDelivery:
    """A JetStream message that is ack-pending."""

    def __init__(self, message: Msg) -> None:
        self._message = message
        metadata = message.metadata
        self.subject: str = message.subject
        self.payload: bytes = message.data
        self.headers: dict[str, str] = message.headers or {}
        self.attempt: int = metadata.num_delivered or 1
        self.age_s: float = max(0.0, time.time() - metadata.timestamp.timestamp())

    async def ack(self) -> None:
        """Ack and wait until the server confirms it, so that a lost ack is noticed."""
        async with translated():
            await self._message.ack_sync(timeout=2)

    async def nak(self, delay_s: float) -> None:
        """Nak with a delay."""
        async with translated():
            await self._message.nak(delay=delay_s)

    async def term(self) -> None:
        """Term."""
        async with translated():
            await self._message.term()

    async def extend(self) -> None:
        """Extend the acknowledgement wait (NATS: in progress)."""
        async with translated():
            await self._message.in_progress()
