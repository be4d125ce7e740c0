"""The room of a tenant's job results: bounded however many jobs begin at once, and given back."""

import asyncio
import time

import pytest

from services.common.bus import topology
from services.common.bus.memory import MemoryBus
from services.common.wire.failures import QueueFull
from services.http_edge.errors import ResultsFull
from services.http_edge.jobs import results_quota
from services.http_edge.jobs.results_quota import ResultsQuota
from tests.support.buses import memory_bus

KEPT_S = 24 * 3600.0


def room(bus: MemoryBus, tenant: str = "acme", most_bytes: int = 1_000_000, share: float = 1.0) -> ResultsQuota:
    return ResultsQuota(bus, tenant, KEPT_S, most_bytes, share)


def in_an_hour() -> int:
    return round((time.time() + 3600) * 1000)


async def test_of_many_jobs_at_once_no_more_begin_than_there_is_room_for() -> None:
    bus = await memory_bus()
    edges = [room(bus), room(bus)]
    answers = await asyncio.gather(
        *(edges[number % 2].take(f"job-{number:04}", 300_000, in_an_hour()) for number in range(20)),
        return_exceptions=True,
    )
    assert sum(answer is None for answer in answers) == 3
    assert sum(isinstance(answer, ResultsFull) for answer in answers) == 17
    assert await edges[0].used_bytes() == 900_000
    await room(bus, "globex").take("job-0000", 900_000, in_an_hour())


async def test_a_job_takes_room_once_grows_within_the_bound_and_keeps_what_it_really_has() -> None:
    own = room(await memory_bus())
    await own.take("the-job", 300_000, in_an_hour())
    await own.take("the-job", 300_000, in_an_hour())  # another edge continues it
    assert await own.used_bytes() == 300_000
    assert await own.need("the-job", 200_000) == 300_000
    assert await own.need("the-job", 350_000) >= 350_000
    with pytest.raises(ResultsFull, match="delete jobs"):
        await own.need("the-job", 1_000_001)
    await own.settle("the-job", 120_000)
    assert await own.used_bytes() == 120_000
    await asyncio.gather(*(own.settle("the-job", 0) for _ in range(4)))
    assert await own.used_bytes() == 0
    await own.settle("never-begun", 0)
    assert await own.used_bytes() == 0


async def test_what_is_never_given_back_is_counted_no_longer_than_it_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    own = room(await memory_bus())
    await own.take("lost-job", 900_000, in_an_hour())
    now_s = time.time()
    monkeypatch.setattr(results_quota.time, "time", lambda: now_s + KEPT_S)
    assert await own.used_bytes() == 900_000
    monkeypatch.setattr(results_quota.time, "time", lambda: now_s + KEPT_S + 3 * 3600)
    assert await own.used_bytes() == 0


async def test_without_a_setting_a_tenant_has_its_share_of_the_store() -> None:
    bus = await memory_bus()
    half = topology.topology().stores[1].max_bytes // 2
    own = room(bus, most_bytes=0, share=0.5)
    await own.take("the-job", half, in_an_hour())
    with pytest.raises(ResultsFull):
        await own.take("other-job", 1, in_an_hour())


async def test_a_job_for_which_the_store_has_no_room_takes_none() -> None:
    bus = await memory_bus()
    bus._most[topology.RESULTS] = 1_000
    await bus.put_object(topology.RESULTS, "globex/a-job/0", bytes(900))
    with pytest.raises(QueueFull):
        await room(bus).take("the-job", 200, in_an_hour())
    assert await room(bus).used_bytes() == 0
