"""Cancelled requests: who works on one is told at once, and who meets one later finds it here."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from services.common.bus.ports import Bus
from services.common.wire.subjects import CANCELS, RequestKey, cancelled_request

_REMEMBERED: Final = 10_000  # cancels may overtake the messages of their request; older ones have none left


class Cancels:
    """The cancels that this process heard. `follow` fills it."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._heard: OrderedDict[RequestKey, None] = OrderedDict()
        self._watchers: dict[RequestKey, list[Callable[[], None]]] = {}

    async def follow(self, stop: asyncio.Event) -> None:
        """Listen until `stop` is set."""
        listener = await self._bus.listen(CANCELS, limit=_REMEMBERED)
        try:
            while not stop.is_set():
                heard = await listener.next(1.0)
                if heard is not None:
                    self._hear(cancelled_request(heard.subject))
        finally:
            await listener.close()

    def _hear(self, key: RequestKey) -> None:
        self._heard[key] = None
        while len(self._heard) > _REMEMBERED:
            self._heard.popitem(last=False)
        for act in list(self._watchers.get(key, ())):
            act()

    def __contains__(self, key: RequestKey) -> bool:
        return key in self._heard

    @contextmanager
    def watch(self, key: RequestKey, act: Callable[[], None]) -> Iterator[None]:
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
