"""Jobs that clients follow: watched once for all of them, within bounds."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
import pytest

from services.common.bus import topology
from services.common.bus.memory import MemoryBus
from services.common.wire.failures import BusUnavailable
from services.common.wire.messages import JobProgress
from services.http_edge.errors import TooManyRequests, TooManyStreams, UnknownJob
from services.http_edge.jobs.events import JobEvents, WatchedJob
from services.http_edge.jobs.store import JobStore
from services.http_edge.speech.request_store import RequestStore

JOB = JobProgress(job="a-long-book", state="running", created_unix_ms=1, deadline_unix_ms=2)


class CountingBus(MemoryBus):
    """A bus that counts what is read of it, and may be away."""

    def __init__(self) -> None:
        super().__init__()
        self.read: Counter[str] = Counter()
        self.away = False

    async def get_value(self, bucket: str, key: str) -> bytes | None:
        self.read[key] += 1
        if self.away:
            raise BusUnavailable("NATS does not answer")
        return await super().get_value(bucket, key)


async def store_of(tenant: str = "public") -> tuple[CountingBus, JobStore]:
    bus = CountingBus()
    await bus.establish(topology.topology())
    store = JobStore(bus, RequestStore(bus, topology.PROGRESS, tenant))
    await store.note(JOB)
    return bus, store


@asynccontextmanager
async def job_news(most: int = 100, most_of_tenant: int = 100) -> AsyncIterator[JobEvents]:
    async with asyncio.TaskGroup() as group:
        draining = asyncio.Event()
        news = JobEvents(most, most_of_tenant, group, draining)
        group.create_task(news.part())
        yield news
        draining.set()


async def follow(watched: WatchedJob, draining: asyncio.Event, seen: list[JobProgress | None]) -> None:
    async for progress in watched.changes(draining):
        seen.append(progress)  # noqa: PERF401  # each is wanted when it comes


async def test_a_job_is_read_once_a_change_however_many_follow_it() -> None:
    bus, store = await store_of()
    seen: list[list[JobProgress | None]] = [[] for _ in range(50)]
    async with job_news() as news, AsyncExitStack() as stack, asyncio.TaskGroup() as clients:
        for each in seen:
            watched = await stack.enter_async_context(news.following(store, JOB.job))
            assert await watched.first() == JOB
            clients.create_task(follow(watched, news.draining, each))
        await asyncio.sleep(0.2)
        assert bus.read["job.public.a-long-book"] == 1
        assert bus.listeners == 1
        spoken = msgspec.structs.replace(JOB, spoken=1)
        await store.note(spoken)
        await asyncio.sleep(0.1)
        done = msgspec.structs.replace(JOB, spoken=1, state="done")
        await store.note(done)
    assert all(each == [JOB, spoken, done] for each in seen)
    assert bus.read["job.public.a-long-book"] == 3
    assert bus.listeners == 0


async def test_followers_are_let_go_when_the_edge_stops() -> None:
    _, store = await store_of()
    seen = list[JobProgress | None]()
    async with job_news() as news, news.following(store, JOB.job) as watched:
        following = asyncio.create_task(follow(watched, news.draining, seen))
        await asyncio.sleep(0.05)
        assert not following.done()
        news.draining.set()
        await asyncio.wait_for(following, 5)
    assert seen == [JOB]


async def test_a_job_that_is_not_there_is_told_to_each_and_looked_for_again_by_the_next() -> None:
    bus, store = await store_of()
    other = msgspec.structs.replace(JOB, job="another-book")
    async with job_news() as news:
        for _ in range(2):
            with pytest.raises(UnknownJob):
                async with news.following(store, other.job) as watched:
                    await watched.first()
        await store.note(other)
        async with news.following(store, other.job) as watched:
            assert await watched.first() == other
    assert bus.listeners == 0


async def test_a_nats_that_is_away_for_a_while_ends_no_following(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.http_edge.jobs.events._RECHECK_S", 0.05)
    monkeypatch.setattr("services.http_edge.jobs.events._AWAY_S", 0.05)
    bus, store = await store_of()
    seen = list[JobProgress | None]()
    async with job_news() as news, news.following(store, JOB.job) as watched:
        await watched.first()
        following = asyncio.create_task(follow(watched, news.draining, seen))
        bus.away = True
        await asyncio.sleep(0.2)
        bus.away = False
        done = msgspec.structs.replace(JOB, state="done")
        bus._buckets[topology.PROGRESS]["job.public.a-long-book"] = msgspec.msgpack.encode(done)  # its news was lost
        await asyncio.wait_for(following, 5)
    assert [each and each.state for each in seen] == ["running", "done"]


async def test_followers_are_bounded_by_tenant_and_in_all_and_leave_their_room() -> None:
    _, one = await store_of("one")
    _, two = await store_of("two")
    async with job_news(most=3, most_of_tenant=2) as news:
        async with AsyncExitStack() as stack:
            for _ in range(2):
                await stack.enter_async_context(news.following(one, JOB.job))
            with pytest.raises(TooManyStreams, match="at most 2"):
                await stack.enter_async_context(news.following(one, "another-book"))
            await stack.enter_async_context(news.following(two, JOB.job))
            with pytest.raises(TooManyRequests):
                await stack.enter_async_context(news.following(two, JOB.job))
        async with news.following(one, JOB.job), news.following(one, JOB.job):
            pass
        assert not news._followers
        assert not news._watched


async def test_nothing_is_read_again_to_tell_how_long_sentences_are() -> None:
    bus, store = await store_of()
    await store.add(JOB.job, 0, bytes(10))
    await store.add(JOB.job, 1, bytes(20))
    read = bus.read.copy()
    async with job_news() as news, news.following(store, JOB.job) as watched:
        assert await asyncio.gather(*[watched.lengths(2) for _ in range(20)]) == [[10, 20]] * 20
    assert bus.read["lengths.public.a-long-book.0"] == read["lengths.public.a-long-book.0"] + 1
