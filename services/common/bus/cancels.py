"""Cancelled requests: running work is notified, and work that starts later looks them up."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import structlog

from services.common.bus.listening import next_before
from services.common.bus.ports import Bus, Received
from services.common.wire import codec
from services.common.wire.addressing import is_cancel_of
from services.common.wire.failures import MalformedMessage
from services.common.wire.identity import Identity, identity_of
from services.common.wire.messages import CancelSpeech
from services.common.wire.subjects import CANCELS, CancelSubject, parse_as

log = structlog.get_logger()

# A cancellation can overtake the messages of its request, so the latest ones are stored.
_MAX_STORED: Final = 10_000


class Cancels:
    """The cancellations that this process received; `follow` adds to them."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._cancelled: OrderedDict[Identity, None] = OrderedDict()
        self._watchers: dict[Identity, list[Callable[[], None]]] = {}

    async def follow(self, stop: asyncio.Event) -> None:
        """Listen until `stop` is set."""
        listener = await self._bus.subscribe(CANCELS, limit=_MAX_STORED)
        try:
            while not stop.is_set():
                received = await next_before(stop, listener)
                if received is None:
                    continue
                if (request := _cancelled_request(received)) is not None:
                    self._add(request)
        finally:
            await listener.close()

    def _add(self, key: Identity) -> None:
        self._cancelled[key] = None

        while len(self._cancelled) > _MAX_STORED:
            self._cancelled.popitem(last=False)

        for act in list(self._watchers.get(key, ())):
            act()

    def __contains__(self, key: Identity) -> bool:
        return key in self._cancelled

    @contextmanager
    def watch(self, key: Identity, act: Callable[[], None]) -> Iterator[None]:
        """Call `act` if the request is cancelled while the block runs, or was cancelled before."""
        self._watchers.setdefault(key, []).append(act)
        try:
            if key in self:
                act()
            yield
        finally:
            self._watchers[key].remove(act)
            if not self._watchers[key]:
                del self._watchers[key]


def _cancelled_request(received: Received) -> Identity | None:
    """Return the request that a message cancels.

    None for a malformed message, or one that names another request than its subject.
    """
    subject = parse_as(received.subject, CancelSubject)
    try:
        message = codec.decode(received.payload, CancelSpeech)
    except MalformedMessage as error:
        log.warning("cancel_malformed", detail=str(error))
        return None
    return identity_of(subject) if subject is not None and is_cancel_of(message, subject) else None
