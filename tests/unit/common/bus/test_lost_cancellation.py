"""A task that waits for a message is cancelled even if the message arrives at the same moment."""

import asyncio
from pathlib import Path

import pytest
from nats.aio.msg import Msg

from services.common.bus.nats.connection import NatsBus
from tests.support.buses import bus_of


async def test_a_cancellation_that_meets_a_message_ends_the_waiting_task(tmp_path: Path) -> None:
    async with bus_of("nats", tmp_path) as bus:
        assert isinstance(bus, NatsBus)
        subscription = await bus.subscribe("test.message", limit=1)
        waiting = asyncio.create_task(subscription.next(10))
        await asyncio.sleep(0.05)

        # nats-py's own wait loses it before Python 3.12: the message, then the cancellation
        arrived = Msg(_client=bus._client, subject="test.message", data=b"")
        subscription._subscription._pending_queue.put_nowait(arrived)
        waiting.cancel()

        with pytest.raises(asyncio.CancelledError):
            await waiting
