"""Jobs that clients follow: each is watched once, and the number of followers is limited."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
import pytest

from services.common.bus import topology
from services.common.bus.memory.bus import MemoryBus
from services.common.wire.failures import BusUnavailable
from services.common.wire.messages import JobProgress
from services.http_edge.errors import TooManyRequests, TooManyStreams, UnknownJob
from services.http_edge.jobs.events import JobEvents, WatchedJob
from services.http_edge.jobs.store import JobStore
from services.http_edge.speech.request_store import RequestStore

JOB = JobProgress(job="a-long-book", state="running", created_unix_ms=1, deadline_unix_ms=2)


class CountingBus(MemoryBus):
    """A bus that counts its reads, and can be made unavailable."""

    def __init__(self) -> None:
        super().__init__()
        self.read: Counter[str] = Counter()
        self.unavailable = False

    async def get_value(self, bucket: str, key: str) -> bytes | None:
        self.read[key] += 1
        if self.unavailable:
            raise BusUnavailable("NATS does not answer")
        return await super().get_value(bucket, key)


async def job_store() -> tuple[CountingBus, JobStore]:
    bus = CountingBus()
    await bus.establish(topology.topology())
    store = JobStore(bus, RequestStore(bus, topology.PROGRESS))
    await store.note("public", JOB)
    return bus, store


@asynccontextmanager
async def job_events(most: int = 100, most_of_tenant: int = 100) -> AsyncIterator[JobEvents]:
    async with asyncio.TaskGroup() as group:
        draining = asyncio.Event()
        events = JobEvents(most, most_of_tenant, group, draining)
        group.create_task(events.wake_on_drain())
        yield events
        draining.set()


async def follow(
    watched: WatchedJob, draining: asyncio.Event, seen: list[JobProgress | None]
) -> None:
    async for progress in watched.changes(draining):
        seen.append(progress)  # noqa: PERF401  # each is needed as soon as it arrives


async def test_a_job_is_read_once_per_change_however_many_clients_follow_it() -> None:
    bus, store = await job_store()
    seen: list[list[JobProgress | None]] = [[] for _ in range(50)]
    async with job_events() as events, AsyncExitStack() as stack, asyncio.TaskGroup() as clients:
        for each in seen:
            watched = await stack.enter_async_context(events.following(store, "public", JOB.job))
            assert await watched.first() == JOB
            clients.create_task(follow(watched, events.draining, each))
        await asyncio.sleep(0.2)
        assert bus.read["job.public.a-long-book"] == 1
        assert bus.listeners == 1
        spoken = msgspec.structs.replace(JOB, spoken=1)
        await store.note("public", spoken)
        await asyncio.sleep(0.1)
        done = msgspec.structs.replace(JOB, spoken=1, state="done")
        await store.note("public", done)
    assert all(each == [JOB, spoken, done] for each in seen)
    assert bus.read["job.public.a-long-book"] == 3
    assert bus.listeners == 0


async def test_followers_end_when_the_edge_stops() -> None:
    _, store = await job_store()
    seen = list[JobProgress | None]()
    async with job_events() as events, events.following(store, "public", JOB.job) as watched:
        following = asyncio.create_task(follow(watched, events.draining, seen))
        await asyncio.sleep(0.05)
        assert not following.done()
        events.draining.set()
        await asyncio.wait_for(following, 5)
    assert seen == [JOB]


async def test_an_unknown_job_fails_each_follower_and_is_looked_up_again_by_the_next() -> None:
    bus, store = await job_store()
    other = msgspec.structs.replace(JOB, job="another-book")
    async with job_events() as events:
        for _ in range(2):
            with pytest.raises(UnknownJob):
                async with events.following(store, "public", other.job) as watched:
                    await watched.first()
        await store.note("public", other)
        async with events.following(store, "public", other.job) as watched:
            assert await watched.first() == other
    assert bus.listeners == 0


async def test_followers_survive_a_nats_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.http_edge.jobs.events._RECHECK_S", 0.05)
    monkeypatch.setattr("services.http_edge.jobs.events._AWAY_S", 0.05)
    bus, store = await job_store()
    seen = list[JobProgress | None]()
    async with job_events() as events, events.following(store, "public", JOB.job) as watched:
        await watched.first()
        following = asyncio.create_task(follow(watched, events.draining, seen))
        bus.unavailable = True
        await asyncio.sleep(0.2)
        bus.unavailable = False
        done = msgspec.structs.replace(JOB, state="done")
        # the change message was lost
        bus._buckets[topology.PROGRESS]["job.public.a-long-book"] = msgspec.msgpack.encode(done)
        await asyncio.wait_for(following, 5)
    assert [each and each.state for each in seen] == ["running", "done"]


async def test_followers_are_limited_per_tenant_and_in_total_and_free_their_slots() -> None:
    _, store = await job_store()
    await store.note("one", JOB)
    await store.note("two", JOB)
    async with job_events(most=3, most_of_tenant=2) as events:
        async with AsyncExitStack() as stack:
            for _ in range(2):
                await stack.enter_async_context(events.following(store, "one", JOB.job))
            with pytest.raises(TooManyStreams, match="at most 2"):
                await stack.enter_async_context(events.following(store, "one", "another-book"))
            await stack.enter_async_context(events.following(store, "two", JOB.job))
            with pytest.raises(TooManyRequests):
                await stack.enter_async_context(events.following(store, "two", JOB.job))
        async with events.following(store, "one", JOB.job), events.following(store, "one", JOB.job):
            pass
        assert not events._followers
        assert not events._watched


async def test_sentence_lengths_are_read_once_for_all_followers() -> None:
    bus, store = await job_store()
    await store.add("public", JOB.job, 0, bytes(10))
    await store.add("public", JOB.job, 1, bytes(20))
    read = bus.read.copy()
    async with job_events() as events, events.following(store, "public", JOB.job) as watched:
        assert await asyncio.gather(*[watched.lengths(2) for _ in range(20)]) == [[10, 20]] * 20
    assert bus.read["lengths.public.a-long-book.0"] == read["lengths.public.a-long-book.0"] + 1
