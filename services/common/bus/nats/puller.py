"""Pulls from a work queue on a real NATS server, one message at a time.

nats-py's `fetch` loses the message that it has just received when it is cancelled. Here, the task that waits for a
message outlives a call of `next` that is cancelled or times out, so that the message is returned by the following call,
or nak'ed by `close`. Before `close` returns, the server has confirmed that it sends no more.
"""

import asyncio
import json
from contextlib import suppress
from typing import Final

import nats.errors
import nats.js.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js import api

from services.common.bus.nats.subscriptions import GONE, NatsDelivery
from services.common.bus.topology import Consumer
from services.common.runtime.deadline import Deadline
from services.common.runtime.lifecycle import cancel_until_done
from services.common.wire.failures import BusUnavailable

log = structlog.get_logger()

_NEXT: Final = "$JS.API.CONSUMER.MSG.NEXT"
_NAK_DELAY_S: Final = 0.2  # longer than this process continues to pull
_EARLY_S: Final = 0.0001  # a request expires before `next` returns
_RETRY_S: Final = 0.2
_CLOSE_S: Final = 1.0  # of a server that does not answer
# What a request without a message is answered with: no message, expired, the consumer or its leader changed.
_EMPTY: Final = (
    api.StatusCode.NO_MESSAGES,
    api.StatusCode.REQUEST_TIMEOUT,
    api.StatusCode.CONFLICT,
)


class NatsPuller:
    """One process's membership of a durable consumer."""

    def __init__(
        self, client: Client, consumer: Consumer, inbox: str, subscription: Subscription
    ) -> None:
        self._client = client
        self._subject = f"{_NEXT}.{consumer.stream}.{consumer.name}"
        self._inbox = inbox
        self._subscription = subscription
        self._requests = 0
        self._arriving: asyncio.Task[Msg] | None = None

    @classmethod
    async def bind(cls, client: Client, consumer: Consumer) -> "NatsPuller":
        """Return a puller of a consumer that exists."""
        inbox = client.new_inbox()
        return cls(client, consumer, inbox, await client.subscribe(f"{inbox}.*"))

    async def next(self, timeout_s: float) -> NatsDelivery | None:
        """Request one message and return it, or None after the timeout."""
        try:
            message = await self._received(timeout_s)
        except (nats.errors.Error, OSError) as error:
            # No stream while the server restarts, no quorum, a lost connection: transient, or visible on /readyz.
            log.warning("pull_failed", error=type(error).__name__)
            await asyncio.sleep(min(timeout_s, _RETRY_S))
            return None
        return None if message is None else NatsDelivery(message)

    async def _received(self, timeout_s: float) -> Msg | None:
        late = self._arrived()

        if late is not None and _status(late) is None:
            return late  # the answer to an earlier request

        self._requests += 1
        reply = f"{self._inbox}.{self._requests}"
        request = {"batch": 1, "expires": int((timeout_s - _EARLY_S) * 1e9)}
        deadline = Deadline.after(timeout_s)
        await self._client.publish(self._subject, json.dumps(request).encode(), reply)

        while True:
            await asyncio.wait({self._arrival()}, timeout=max(0.0, deadline.left_s))
            message = self._arrived()

            if message is None or (status := _status(message)) is None:
                return message
            if message.subject != reply:
                continue  # the end of an earlier request
            if status in _EMPTY:
                return None
            raise nats.js.errors.APIError.from_msg(message)

    def _arrival(self) -> asyncio.Task[Msg]:
        """Return the task that ends when the next message has arrived. Only `close` cancels it."""
        if self._arriving is None:
            waiting = self._subscription.next_msg(timeout=None)
            self._arriving = asyncio.create_task(waiting, name="pulled")
        return self._arriving

    def _arrived(self) -> Msg | None:
        """Return a message that has arrived, each one once. Raises what the connection failed with."""
        if self._arriving is None or not self._arriving.done():
            return None
        arrived, self._arriving = self._arriving, None
        return None if arrived.cancelled() else arrived.result()

    async def close(self) -> None:
        """Pull nothing more, and nak the messages that arrived and were not returned.

        A pull here could receive a message, nak it and receive it again until no attempt is left.
        """
        draining = asyncio.create_task(self._drain(), name="drain")
        try:
            with suppress(BusUnavailable, *GONE):
                async with asyncio.timeout(_CLOSE_S):
                    await self._nak_until_done(draining)
        except TimeoutError:
            log.warning("pull_failed", error="TimeoutError")
        finally:
            arriving = self._arrival()
            await cancel_until_done(draining, arriving)
            # after a drain none; without one, the server redelivers it
            if not arriving.cancelled():
                arriving.exception()

    async def _nak_until_done(self, draining: asyncio.Task[None]) -> None:
        while not draining.done() or self._subscription.pending_msgs:
            await asyncio.wait((self._arrival(), draining), return_when=asyncio.FIRST_COMPLETED)
            message = self._arrived()
            if message is not None and _status(message) is None:
                await NatsDelivery(message).nak(_NAK_DELAY_S)

    async def _drain(self) -> None:
        """Unsubscribe, and wait until all that the server had sent before has arrived and was taken."""
        with suppress(*GONE, nats.errors.FlushTimeoutError):
            await self._subscription.drain()  # type: ignore[no-untyped-call]


def _status(message: Msg) -> str | None:
    """Return the status code of an answer without a message, None of a message."""
    return (message.headers or {}).get(api.Header.STATUS)
