"""The storage quota of job results holds for concurrent jobs, and reservations are released."""

import asyncio
import time

import pytest

from services.common.bus import topology
from services.common.bus.memory.bus import MemoryBus
from services.common.wire.failures import QueueFull
from services.http_edge.errors import ResultsFull
from services.http_edge.jobs import results_quota
from services.http_edge.jobs.results_quota import ResultsQuota
from tests.support.buses import memory_bus

KEPT_S = 24 * 3600.0


def quota_of(bus: MemoryBus, most_bytes: int = 1_000_000, share: float = 1.0) -> ResultsQuota:
    return ResultsQuota(bus, KEPT_S, most_bytes, share)


def in_an_hour() -> int:
    return round((time.time() + 3600) * 1000)


async def test_concurrent_jobs_start_only_while_they_fit_the_quota() -> None:
    bus = await memory_bus()
    edges = [quota_of(bus), quota_of(bus)]
    answers = await asyncio.gather(
        *(
            edges[number % 2].reserve("acme", f"job-{number:04}", 300_000, in_an_hour())
            for number in range(20)
        ),
        return_exceptions=True,
    )
    assert sum(answer is None for answer in answers) == 3
    assert sum(isinstance(answer, ResultsFull) for answer in answers) == 17
    assert await edges[0].used_bytes("acme") == 900_000
    await quota_of(bus).reserve("globex", "job-0000", 900_000, in_an_hour())


async def test_a_job_reserves_once_grows_within_the_quota_and_settles_at_its_actual_size() -> None:
    quota = quota_of(await memory_bus())
    await quota.reserve("acme", "the-job", 300_000, in_an_hour())
    await quota.reserve("acme", "the-job", 300_000, in_an_hour())  # another edge continues it
    assert await quota.used_bytes("acme") == 300_000
    assert await quota.extend("acme", "the-job", 200_000) == 300_000
    assert await quota.extend("acme", "the-job", 350_000) >= 350_000
    with pytest.raises(ResultsFull, match="delete jobs"):
        await quota.extend("acme", "the-job", 1_000_001)
    await quota.settle("acme", "the-job", 120_000)
    assert await quota.used_bytes("acme") == 120_000
    await asyncio.gather(*(quota.settle("acme", "the-job", 0) for _ in range(4)))
    assert await quota.used_bytes("acme") == 0
    await quota.settle("acme", "never-begun", 0)
    assert await quota.used_bytes("acme") == 0


async def test_a_reservation_that_is_never_released_expires_with_the_results(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    quota = quota_of(await memory_bus())
    await quota.reserve("acme", "lost-job", 900_000, in_an_hour())
    now_s = time.time()
    monkeypatch.setattr(results_quota.time, "time", lambda: now_s + KEPT_S)
    assert await quota.used_bytes("acme") == 900_000
    monkeypatch.setattr(results_quota.time, "time", lambda: now_s + KEPT_S + 3 * 3600)
    assert await quota.used_bytes("acme") == 0


async def test_without_a_setting_the_quota_is_a_share_of_the_store() -> None:
    bus = await memory_bus()
    half = topology.topology().stores[1].max_bytes // 2
    quota = quota_of(bus, most_bytes=0, share=0.5)
    await quota.reserve("acme", "the-job", half, in_an_hour())
    with pytest.raises(ResultsFull):
        await quota.reserve("acme", "other-job", 1, in_an_hour())


async def test_a_job_that_does_not_fit_the_store_reserves_nothing() -> None:
    bus = await memory_bus()
    bus._max_bytes[topology.RESULTS] = 1_000
    await bus.put_object(topology.RESULTS, "globex/a-job/0", bytes(900))
    with pytest.raises(QueueFull):
        await quota_of(bus).reserve("acme", "the-job", 200, in_an_hour())
    assert await quota_of(bus).used_bytes("acme") == 0
