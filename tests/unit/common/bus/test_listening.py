"""Waiting for a message or for the stop of the process."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.common.bus.listening import next_before
from services.common.bus.ports import Bus
from services.common.wire.failures import BusUnavailable
from tests.support.buses import bus_of


@pytest.fixture(params=["memory", "nats"])
async def bus(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bus]:
    async with bus_of(request.param, tmp_path) as bus:
        yield bus


async def test_messages_come_in_order_and_a_stop_ends_the_wait_at_once(bus: Bus) -> None:
    stop = asyncio.Event()
    listener = await bus.subscribe("test.>", limit=8)
    for number in range(3):
        await bus.send(f"test.{number}", b"a")
    received = [await next_before(stop, listener) for _ in range(3)]
    assert [one.subject for one in received if one] == ["test.0", "test.1", "test.2"]

    waiting = asyncio.create_task(next_before(stop, listener))
    await asyncio.sleep(0)
    stop.set()
    assert await waiting is None
    await listener.close()


async def test_no_task_is_left_when_the_wait_is_cancelled(bus: Bus) -> None:
    listener = await bus.subscribe("test.>", limit=8)
    before = asyncio.all_tasks()
    waiting = asyncio.create_task(next_before(asyncio.Event(), listener))
    await asyncio.sleep(0.05)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert asyncio.all_tasks() == before
    await listener.close()


async def test_a_closed_connection_is_reported(tmp_path: Path) -> None:
    async with bus_of("nats", tmp_path) as bus:
        listener = await bus.subscribe("test.>", limit=8)
        await bus.close()
        with pytest.raises(BusUnavailable):
            await next_before(asyncio.Event(), listener)
