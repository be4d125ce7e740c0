"""A client that leaves stops the work for it, at once and everywhere."""

import asyncio
from pathlib import Path

import aiohttp

from services.common.bus import topology
from services.common.bus.nats.connection import NatsBus
from services.common.wire import subjects
from tests.chaos.leavers import SETTINGS, chunks_until_silence, leave
from tests.chaos.parts import house

LEAVERS = 12
# The last step ends within 250 ms of the leaving by far the most times; the rest is for a machine that does more.
MOST_S = 1.0


async def test_nothing_is_computed_or_queued_for_a_client_that_left(tmp_path: Path) -> None:
    async with (
        house(tmp_path, workers=2, settings=SETTINGS) as service,
        aiohttp.ClientSession() as session,
    ):
        await service.until_ready(session)
        bus = await NatsBus.connect(service.nats.url, name="observer")
        for number in range(LEAVERS):
            listener = await bus.subscribe(subjects.AUDIO, limit=10_000)
            left_s = await leave(session, service.address(), number)
            last = await chunks_until_silence(listener, quiet_s=MOST_S)
            await listener.close()
            assert len(last) == 1
            assert max(last.values()) - left_s < MOST_S
        async with asyncio.timeout(60):
            while await bus.message_count(topology.REQUESTS) + await bus.message_count(
                topology.SENTENCES
            ):
                await asyncio.sleep(0.1)
        await bus.close()
