"""Subscriptions on a real NATS server: core listeners, and deliveries from a work queue."""

import time
from typing import Final

import nats.errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from services.common.bus.nats.errors import translated
from services.common.bus.ports import Received
from services.common.runtime.cancellation import cancellation_kept
from services.common.wire.failures import BusUnavailable

# a connection or subscription that ends, or has ended
GONE: Final = (
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
        except GONE:
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
