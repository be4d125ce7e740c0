"""Many listeners while processes die: each gets every sample once, in order, and nothing is left behind."""

import asyncio
import random
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp

from services.common.bus import topology
from services.common.bus.nats.connection import NatsBus
from services.common.runtime.lifecycle import tasks
from tests.chaos.failover import Observer
from tests.chaos.faults import Trouble, plan
from tests.chaos.listeners import Order, Tally, listen, order_of
from tests.chaos.parts import House, house

_SETTINGS: Final = {
    "TONE_REAL_TIME_FACTOR": "0.06",
    "WORKER_SLOTS": "4",
    "WORKER_EXPRESS_SLOTS": "2",
}
_CLIENT_TIMEOUT: Final = aiohttp.ClientTimeout(total=300)
_CLEAN_S: Final = 20.0


@dataclass
class Report:
    """The results of a storm."""

    tally: Tally
    faults: dict[str, int]
    waits_s: list[float]  # from a worker's fault to new audio, sorted
    took_s: float
    left: list[str] = field(default_factory=list)  # what should be gone and is not


async def storm(
    folder: Path, *, streams: int, seed: int, at_once: int = 8, mean_gap_s: float = 2.0
) -> Report:
    """Let so many clients listen, so many at once, while faults of this seed happen."""
    began_s, tally, observer = time.monotonic(), Tally(), Observer()
    async with (
        house(folder, settings=_SETTINGS) as service,
        aiohttp.ClientSession(timeout=_CLIENT_TIMEOUT) as session,
        _observed(service, observer),
    ):
        await service.until_ready(session)
        before = await _settled(service, session)
        trouble, stop = Trouble(service), asyncio.Event()
        async with tasks() as group:
            group.create_task(trouble.make(plan(seed, mean_gap_s), stop), name="trouble")
            await _everybody(session, service.address(), _orders(streams, seed), at_once, tally)
            stop.set()
        await service.until_ready(session)
        left = await _left(service, session, before)
        left += await _ended(service)
    waits_s = sorted(observer.waits_s(trouble.worker_faults_s))
    return Report(tally, trouble.done, waits_s, time.monotonic() - began_s, left)


@asynccontextmanager
async def _observed(service: House, observer: Observer) -> AsyncIterator[None]:
    stop = asyncio.Event()
    bus = await NatsBus.connect(service.nats.url, name="observer")
    await bus.establish(topology.topology())
    async with tasks() as group:
        group.create_task(observer.follow(bus, stop), name="observer")
        try:
            yield
        finally:
            stop.set()
    await bus.close()


def _orders(streams: int, seed: int) -> Iterator[Order]:
    """Yield so many orders, the same for the same seed."""
    draw = random.Random(seed)
    for _ in range(streams):
        yield order_of(draw)


async def _everybody(
    session: aiohttp.ClientSession,
    address: str,
    orders: Iterator[Order],
    at_once: int,
    tally: Tally,
) -> None:
    """Hear all orders out, so many at once."""

    async def one_after_another() -> None:
        for order in orders:
            await listen(session, address, order, tally)

    async with tasks() as group:
        for _ in range(at_once):
            group.create_task(one_after_another())


async def _settled(service: House, session: aiohttp.ClientSession) -> dict[str, int]:
    """Return how many subscriptions there are once all processes pull, which is the last thing that they begin."""
    async with asyncio.timeout(_CLEAN_S):
        before = await _standing(service, session)
        while True:
            await asyncio.sleep(1)
            now = await _standing(service, session)
            if now == before and await _all_pull(service, session):
                return now
            before = now


async def _all_pull(service: House, session: aiohttp.ClientSession) -> bool:
    """Return whether as many pulls wait at each work queue as there are processes that work on it."""
    edges, splitters, workers = len(service.edges), len(service.splitters), len(service.workers)
    wanted = {
        topology.JOBS: edges,
        topology.REQUESTS: splitters,
        topology.SENTENCES: 2 * workers,
    }  # workers: two lanes
    streams = await service.monitor(session, "jsz?streams=1&consumers=1")
    pulls = {
        stream["name"]: sum(
            consumer["num_waiting"] for consumer in stream.get("consumer_detail") or ()
        )
        for stream in streams["account_details"][0]["stream_detail"]  # type: ignore[index]
    }
    return all(pulls.get(name, 0) >= count for name, count in wanted.items())


async def _standing(service: House, session: aiohttp.ClientSession) -> dict[str, int]:
    """Return how many subscriptions each kind of process holds now."""
    said = await service.monitor(session, "connz?subs=1")
    connections = said["connections"]
    assert isinstance(connections, list)
    counts: dict[str, int] = {}
    for connection in connections:
        # one that has just been opened has none, and no subscriptions
        name = connection.get("name", "observer")
        if name != "observer":
            counts[name] = counts.get(name, 0) + connection["subscriptions"]
    return counts


async def _left(
    service: House, session: aiohttp.ClientSession, before: dict[str, int]
) -> list[str]:
    """Return what still exists after all listeners have finished, after some seconds of grace."""
    give_up_s = time.monotonic() + _CLEAN_S
    while (left := await _look(service, session, before)) and time.monotonic() < give_up_s:
        await asyncio.sleep(0.5)
    return left


async def _look(
    service: House, session: aiohttp.ClientSession, before: dict[str, int]
) -> list[str]:
    left: list[str] = []
    streams = await service.monitor(session, "jsz?streams=1&consumers=1")
    for stream in streams["account_details"][0]["stream_detail"]:  # type: ignore[index]
        name, state = stream["name"], stream["state"]
        if name in (topology.REQUESTS, topology.SENTENCES, topology.DEAD) and state["messages"]:
            left.append(f"{state['messages']} messages in {name}")
        wanted = {topology.REQUESTS: 1, topology.SENTENCES: 2, topology.JOBS: 1}.get(name, 0)
        if state["consumer_count"] != wanted:
            left.append(f"{state['consumer_count']} consumers on {name}")
    after = await _standing(service, session)
    left += [
        f"{after[name] - before.get(name, 0):+d} subscriptions of {name}"
        for name in after
        if after[name] > before.get(name, 0)
    ]
    async with session.get(f"{service.address()}/metrics") as response:
        in_flight = re.search(r"^tts_requests_in_flight (\S+)", await response.text(), re.MULTILINE)
    if in_flight is None or float(in_flight[1]):
        left.append("requests in flight at the edge")
    return left


async def _ended(service: House) -> list[str]:
    """Stop every process as an operator would, and return those that did not end well."""
    statuses = await asyncio.gather(*(part.stop() for part in service.parts))
    return [
        f"{part.name} ended with status {status}"
        for part, status in zip(service.parts, statuses, strict=True)
        if status
    ]
