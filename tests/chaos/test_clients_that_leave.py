"""A client that leaves stops the work for it, at once and everywhere."""

import asyncio
import time
from pathlib import Path

import aiohttp

from services.common.bus import topology
from services.common.bus.connection import NatsBus
from services.common.bus.ports import Listener
from services.common.wire import codec, subjects
from services.common.wire.messages import AudioChunk, RequestEvent
from tests.chaos.listeners import VOICE
from tests.chaos.parts import house

TEXT = " ".join(f"This is sentence number {number}, and it goes on for a while." for number in range(40))
SETTINGS = {"TONE_REAL_TIME_FACTOR": "0.2", "WORKER_SLOTS": "4"}
LEAVERS = 12
# The last step ends within 250 ms of the leaving by far the most times; the rest is for a machine that does more.
MOST_S = 1.0


async def leave(session: aiohttp.ClientSession, address: str, seed: int) -> float:
    """Begin to listen, leave in the middle, and return when (monotonic seconds)."""
    form = aiohttp.FormData({"text": TEXT, "language": "en", "seed": str(seed)})
    form.add_field("reference_audio", VOICE, filename="voice.wav")
    async with session.post(f"{address}/stream", data=form) as response:
        assert response.status == 200
        await response.content.readexactly(60_000)
        response.close()  # with no good-bye
    return time.monotonic()


async def chunks_until_silence(listener: Listener, quiet_s: float) -> dict[str, float]:
    """Return when each request's last chunk came, once none has come for so long."""
    last: dict[str, float] = {}
    while (heard := await listener.next(quiet_s)) is not None:
        event = codec.decode(heard.payload, RequestEvent)  # type: ignore[arg-type]  # a union is a type to msgspec
        if isinstance(event, AudioChunk):
            last[event.request] = time.monotonic()
    return last


async def test_nothing_is_computed_or_queued_for_a_client_that_left(tmp_path: Path) -> None:
    async with house(tmp_path, workers=2, settings=SETTINGS) as service, aiohttp.ClientSession() as session:
        await service.until_ready(session)
        bus = await NatsBus.connect(service.nats.url, name="observer")
        for number in range(LEAVERS):
            listener = await bus.listen(subjects.AUDIO, limit=10_000)
            left_s = await leave(session, service.address(), number)
            last = await chunks_until_silence(listener, quiet_s=MOST_S)
            await listener.close()
            assert len(last) == 1
            assert max(last.values()) - left_s < MOST_S
        async with asyncio.timeout(10):
            while await bus.waiting(topology.REQUESTS) + await bus.waiting(topology.SENTENCES):
                await asyncio.sleep(0.1)
        await bus.close()
