"""Fairness: the shares of two tenants, and the wait of a greeting while a book is spoken."""

import asyncio
import random
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from services.common.bus.nats.connection import NatsBus
from services.common.runtime.lifecycle import tasks
from services.common.wire import subjects
from tests.chaos.load import WAV_HEADER, form_of, text_of
from tests.chaos.parts import House

GREETING = "Good morning, and welcome to all of you."


def jain(shares: list[float]) -> float:
    """Return the fairness index of Jain, Chiu and Hawe (1984): 1 where all have the same, 1/n where one has all."""
    return sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares))


async def drain(
    session: aiohttp.ClientSession, address: str, text: str, seed: int, begun: asyncio.Event
) -> None:
    """Listen to a long text until this task is cancelled."""
    async with session.post(f"{address}/stream", data=form_of(text, seed)) as response:
        assert response.status == 200, f"refused with {response.status}"
        await response.content.readexactly(WAV_HEADER + 2)
        begun.set()
        while await response.content.readany():
            pass


@asynccontextmanager
async def listening(
    session: aiohttp.ClientSession, address: str, texts: list[str]
) -> AsyncIterator[None]:
    """Stream all these texts while the block runs, which begins when all have audio."""
    begun = [asyncio.Event() for _ in texts]
    async with tasks() as group:
        draining = [
            group.create_task(drain(session, address, text, seed, event))
            for seed, (text, event) in enumerate(zip(texts, begun, strict=True))
        ]
        async with asyncio.timeout(60):
            for event in begun:
                await event.wait()
        try:
            yield
        finally:
            for task in draining:
                task.cancel()


async def shares(
    service: House, session: aiohttp.ClientSession, *, requests: tuple[int, int], seconds: float
) -> list[float]:
    """Return how much audio is made for two tenants, each an edge's, with so many long texts in flight."""
    draw = random.Random(3)
    texts = [[text_of(draw, 400) for _ in range(count)] for count in requests]
    async with (
        listening(session, service.address(0), texts[0]),
        listening(session, service.address(1), texts[1]),
    ):
        await asyncio.sleep(8)  # what the first of them had queued while it was alone is spoken
        made = await _made(service, seconds)
    return [float(made["small"]), float(made["large"])]


async def _made(service: House, seconds: float) -> Counter[str]:
    """Count the bytes of audio that are made for each tenant in so many seconds."""
    bus = await NatsBus.connect(service.nats.url, name="observer")
    listener, made, until_s = (
        await bus.subscribe(subjects.AUDIO, limit=10_000),
        Counter[str](),
        time.monotonic() + seconds,
    )
    while (left_s := until_s - time.monotonic()) > 0:
        heard = await listener.next(left_s)
        if heard is not None:
            made[heard.subject.split(".")[3]] += len(heard.payload)
    await bus.close()
    return made


async def greeting_s(session: aiohttp.ClientSession, address: str, times: int) -> float:
    """Return the median time to a greeting's first audio, in seconds."""
    took = []
    for seed in range(times):
        began_s = time.monotonic()
        async with session.post(f"{address}/stream", data=form_of(GREETING, seed)) as response:
            assert response.status == 200, f"refused with {response.status}"
            await response.content.readexactly(WAV_HEADER + 2)
            took.append(time.monotonic() - began_s)
            await response.content.read()
    return statistics.median(took)


async def greeting_idle_and_beside_a_book(
    session: aiohttp.ClientSession, address: str, *, characters: int, times: int
) -> tuple[float, float, float]:
    """Return the median time to a greeting's first audio: alone, while a book is being divided, while it is spoken."""
    draw = random.Random(4)
    book = text_of(draw, characters // 50)[:characters]
    await greeting_s(session, address, 2)  # the voice is known from here on
    idle_s = await greeting_s(session, address, times)
    dividing = asyncio.create_task(drain(session, address, book, 1, begun := asyncio.Event()))
    try:
        while_divided = []
        while not begun.is_set() and not dividing.done():
            while_divided.append(await greeting_s(session, address, 1))
        beside_s = await greeting_s(session, address, times)
        assert not dividing.done(), "the book was over too soon"
    finally:
        dividing.cancel()
        await asyncio.wait([dividing])
    return idle_s, max(while_divided), beside_s
