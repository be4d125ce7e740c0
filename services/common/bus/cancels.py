"""Cancelled requests: pushed to the processes that work on one, and looked up by those that receive it later."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import structlog

from services.common.bus.ports import Bus, Received
from services.common.wire import codec
from services.common.wire.addressing import is_cancel_of
from services.common.wire.failures import MalformedMessage
from services.common.wire.identity import Identity, identity_of
from services.common.wire.messages import CancelSpeech
from services.common.wire.subjects import CANCELS, CancelSubject, parse_as

log = structlog.get_logger()

# cancels may overtake the messages of their request; older ones have none left
_REMEMBERED: Final = 10_000


class Cancels:
    """The cancellations that this process received. `follow` fills it."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._heard: OrderedDict[Identity, None] = OrderedDict()
        self._watchers: dict[Identity, list[Callable[[], None]]] = {}

    async def follow(self, stop: asyncio.Event) -> None:
        """Listen until `stop` is set."""
        listener = await self._bus.subscribe(CANCELS, limit=_REMEMBERED)
        try:
            while not stop.is_set():
                heard = await listener.next(1.0)
                if heard is not None and (cancelled := _cancelled(heard)) is not None:
                    self._hear(cancelled)
        finally:
            await listener.close()

    def _hear(self, key: Identity) -> None:
        self._heard[key] = None
        while len(self._heard) > _REMEMBERED:
            self._heard.popitem(last=False)
        for act in list(self._watchers.get(key, ())):
            act()

    def __contains__(self, key: Identity) -> bool:
        return key in self._heard

    @contextmanager
    def watch(self, key: Identity, act: Callable[[], None]) -> Iterator[None]:
        """Call `act` when the request is cancelled while the block runs; at once where it is cancelled already."""
        self._watchers.setdefault(key, []).append(act)
        try:
            if key in self:
                act()
            yield
        finally:
            self._watchers[key].remove(act)
            if not self._watchers[key]:
                del self._watchers[key]


def _cancelled(heard: Received) -> Identity | None:
    """Return the request that a message cancels; None for one that is malformed, or names another than its subject."""
    subject = parse_as(heard.subject, CancelSubject)
    try:
        message = codec.decode(heard.payload, CancelSpeech)
    except MalformedMessage as error:
        log.warning("cancel_malformed", detail=str(error))
        return None
    return identity_of(subject) if subject is not None and is_cancel_of(message, subject) else None
