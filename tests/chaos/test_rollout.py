"""Every process is replaced, one after another, without any listener noticing."""

import asyncio
import itertools
import random
from pathlib import Path

import aiohttp

from services.common.runtime.lifecycle import tasks
from tests.chaos.listeners import Tally, listen, order_of
from tests.chaos.parts import House, Part, house

SETTINGS = {
    "HTTP_DRAIN_S": "1",
    "TONE_REAL_TIME_FACTOR": "0.06",
    "WORKER_SLOTS": "4",
    "WORKER_EXPRESS_SLOTS": "2",
}


async def replaced(part: Part) -> int:
    """End a process as a rolling update would, start its successor, and return how it ended."""
    status = await part.stop()
    await part.start()
    return status


async def ready(session: aiohttp.ClientSession, service: House, edge: int) -> bool:
    """Return whether an edge takes requests, as a load balancer checks it."""
    try:
        async with session.get(f"{service.address(edge)}/readyz") as response:
            return response.status == 200
    except aiohttp.ClientConnectionError:
        return False


async def test_replacing_every_process_under_load_fails_no_request(tmp_path: Path) -> None:
    tally, draw, done = Tally(), random.Random(5), asyncio.Event()
    async with (
        house(tmp_path, edges=2, workers=2, settings=SETTINGS) as service,
        aiohttp.ClientSession() as session,
    ):
        await service.until_ready(session)

        async def keep_listening() -> None:
            for edge in itertools.cycle(range(2)):
                if done.is_set():
                    return
                if await ready(session, service, edge):
                    await listen(session, service.address(edge), order_of(draw), tally)

        async with tasks() as group:
            for _ in range(4):
                group.create_task(keep_listening())
            statuses = []
            for part in service.parts:
                statuses.append(await replaced(part))
                await service.until_ready(session)
                await tally.until_more_are_whole(2)
            done.set()
    assert statuses == [0] * 6
    assert tally.faults == []
