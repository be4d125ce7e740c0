"""In-memory subscriptions: core listeners, pulls from a work queue, and their deliveries."""

import asyncio
from collections.abc import Callable

from services.common.bus.memory.streams import MemoryStreams, StoredMessage, now_s
from services.common.bus.ports import Received
from services.common.bus.topology import Consumer


class MemorySubscription:
    """A core subscription with a bounded queue."""

    def __init__(
        self,
        subject: str,
        *,
        limit: int,
        group: str = "",
        on_close: Callable[["MemorySubscription"], None] = lambda _subscription: None,
    ) -> None:
        self.subject = subject
        self.group = group
        self._on_close = on_close
        self._queue: asyncio.Queue[Received] = asyncio.Queue(limit)

    def offer(self, message: Received) -> None:
        """Queue a message; drop it if the queue is full."""
        if not self._queue.full():
            self._queue.put_nowait(message)

    async def next(self, timeout_s: float) -> Received | None:
        """Return the next message, or None after the timeout."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._queue.get()
        except TimeoutError:
            return None

    async def close(self) -> None:
        """Unsubscribe."""
        self._on_close(self)


class MemoryPuller:
    """One process's membership of a work queue."""

    def __init__(self, streams: MemoryStreams, consumer: Consumer) -> None:
        self._streams = streams
        self._consumer = consumer

    async def next(self, timeout_s: float) -> "MemoryDelivery | None":
        """Return the next visible message, or None after the timeout."""
        give_up_at_s = now_s() + timeout_s

        while True:
            looked_at_s = now_s()
            queued = self._deliverable()

            for message in queued:
                if message.visible_at_s <= looked_at_s:
                    return self._deliver(message, looked_at_s)

            if looked_at_s >= give_up_at_s:
                return None

            visible_at_s = min([message.visible_at_s for message in queued], default=give_up_at_s)
            wait_s = min(visible_at_s, give_up_at_s) - looked_at_s
            await self._streams.changed(max(0.0, wait_s))

    def _deliverable(self) -> list[StoredMessage]:
        """Return the queued messages that have attempts left, oldest first."""
        return [
            message
            for message in self._streams.queued(self._consumer)
            if message.attempts < self._consumer.max_deliver
        ]

    def _deliver(self, message: StoredMessage, delivered_at_s: float) -> "MemoryDelivery":
        message.attempts += 1
        message.visible_at_s = delivered_at_s + self._consumer.ack_wait_s
        return MemoryDelivery(self._streams, self._consumer, message, delivered_at_s)

    async def close(self) -> None:
        """Do nothing: every fetched message was returned by `next`."""


class MemoryDelivery:
    """A message that is ack-pending."""

    def __init__(
        self,
        streams: MemoryStreams,
        consumer: Consumer,
        message: StoredMessage,
        delivered_at_s: float,
    ) -> None:
        self._streams = streams
        self._consumer = consumer
        self._message = message
        self.subject = message.subject
        self.payload = message.payload
        self.headers = message.headers
        self.attempt = message.attempts
        self.age_s = delivered_at_s - message.published_at_s

    async def ack(self) -> None:
        """Remove the message from the queue."""
        self._streams.remove(self._consumer.stream, self._message.sequence)

    async def nak(self, delay_s: float) -> None:
        """Redeliver the message after the delay."""
        self._message.visible_at_s = now_s() + delay_s
        self._streams.wake()

    async def term(self) -> None:
        """Remove the message from the queue without success."""
        self._streams.remove(self._consumer.stream, self._message.sequence)

    async def extend(self) -> None:
        """Restart the acknowledgement wait."""
        self._message.visible_at_s = now_s() + self._consumer.ack_wait_s
