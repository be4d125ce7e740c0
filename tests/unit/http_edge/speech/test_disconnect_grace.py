"""The mark of a listener, while its cancellation is lost once."""

import asyncio
from typing import Any

from services.common.wire.failures import BusUnavailable
from services.http_edge.speech.disconnect_grace import DisconnectGrace
from tests.support.buses import memory_bus
from tests.support.service import speech_request


class LosesACancellation:
    """A request store whose first write turns a cancellation into a failure of the bus."""

    def __init__(self) -> None:
        self.writing = asyncio.Event()

    async def refresh_listener(self, _tenant: str, _request: str) -> None:
        if self.writing.is_set():
            return
        self.writing.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise BusUnavailable("NATS did not store the message in time") from None


async def test_a_listener_is_not_marked_after_it_left() -> None:
    store: Any = LosesACancellation()
    bus = await memory_bus()

    async with asyncio.TaskGroup() as group:
        grace = DisconnectGrace(bus, store, 0.0, group, asyncio.Event())
        async with grace.listening(speech_request("ab" * 32)):
            await store.writing.wait()

        assert "listening" not in {task.get_name() for task in asyncio.all_tasks()}
