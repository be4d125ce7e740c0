"""Clients that disconnect in the middle of a stream, and a subscriber that records when their audio stops."""

import time

import aiohttp

from services.common.bus.ports import Subscription
from services.common.wire import codec
from services.common.wire.messages import AudioChunk, RequestEvent
from tests.chaos.listeners import VOICE

TEXT = " ".join(
    f"This is sentence number {number}, and it goes on for a while." for number in range(40)
)
SETTINGS = {"TONE_REAL_TIME_FACTOR": "0.2", "WORKER_SLOTS": "4"}  # steps of 50 ms


async def leave(session: aiohttp.ClientSession, address: str, seed: int) -> float:
    """Begin to listen, leave in the middle, and return when (monotonic seconds)."""
    form = aiohttp.FormData({"text": TEXT, "language": "en", "seed": str(seed)})
    form.add_field("reference_audio", VOICE, filename="voice.wav")
    async with session.post(f"{address}/stream", data=form) as response:
        assert response.status == 200
        await response.content.readexactly(60_000)
        response.close()  # with no good-bye
    return time.monotonic()


async def chunks_until_silence(listener: Subscription, quiet_s: float) -> dict[str, float]:
    """Return when each request's last chunk came, once none has come for so long."""
    last: dict[str, float] = {}
    while (heard := await listener.next(quiet_s)) is not None:
        event = codec.decode(heard.payload, RequestEvent)  # type: ignore[arg-type]  # a union is a type to msgspec
        if isinstance(event, AudioChunk):
            last[event.request] = time.monotonic()
    return last
