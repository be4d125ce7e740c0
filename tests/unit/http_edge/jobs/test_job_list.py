"""Pages of the list of jobs: their order, their cursors, and how much is read for each."""

import time
from collections.abc import Sequence

import pytest

from services.common.bus import topology
from services.common.bus.memory.bus import MemoryBus
from services.common.wire import codec
from services.common.wire.messages import JobProgress
from services.http_edge.errors import BadRequest
from services.http_edge.jobs.job_list import Entry, JobFilter, JobList, JobPage, parse_cursor
from tests.support.buses import memory_bus

HOUR_MS = 3_600_000
KEPT_MS = 36 * HOUR_MS


class CountingBus(MemoryBus):
    """Counts the values that are read."""

    read = 0

    async def get_values(self, bucket: str, keys: Sequence[str]) -> dict[str, bytes]:
        self.read += len(keys)
        return await super().get_values(bucket, keys)


async def counting_bus() -> CountingBus:
    bus = CountingBus()
    await bus.establish(topology.topology())
    return bus


async def stored(bus: MemoryBus, job: str, created_unix_ms: int, state: str = "done") -> None:
    progress = JobProgress(
        job=job,
        state=state,  # type: ignore[arg-type]  # checked where it is decoded
        created_unix_ms=created_unix_ms,
        deadline_unix_ms=created_unix_ms,
    )
    await bus.put_value(topology.PROGRESS, f"job.acme.{job}", codec.encode(progress))
    await JobList(bus).put("acme", progress)


def now_ms() -> int:
    return round(time.time() * 1000)


async def page(
    bus: MemoryBus, *, limit: int = 10, after: str | None = None, states: Sequence[str] = ()
) -> JobPage:
    return await JobList(bus).page(
        "acme",
        limit=limit,
        after=None if after is None else parse_cursor(after),
        wanted=JobFilter(states=states),
        oldest_unix_ms=now_ms() - KEPT_MS,
    )


async def test_all_pages_together_have_every_job_once_over_days() -> None:
    bus = await memory_bus()
    begin = now_ms()
    expected = [f"job-{number:05}" for number in range(100)]
    for number, job in enumerate(expected):
        await stored(bus, job, begin - number * HOUR_MS // 4)

    found: list[str] = []
    cursor = None
    while True:
        jobs, cursor = await page(bus, limit=7, after=cursor)
        found += [progress.job for progress in jobs]
        if cursor is None:
            break
    assert found == expected


async def test_jobs_of_the_same_millisecond_are_each_listed_once() -> None:
    bus = await memory_bus()
    moment = now_ms()
    for number in range(5):
        await stored(bus, f"job-{number:05}", moment)
    first = await page(bus, limit=2)
    second = await page(bus, limit=3, after=first.next)
    listed = [progress.job for progress in (*first.jobs, *second.jobs)]
    assert listed == [f"job-{number:05}" for number in (4, 3, 2, 1, 0)]
    assert second.next is None


async def test_a_page_of_a_thousand_jobs_reads_only_those_that_it_has() -> None:
    bus = await counting_bus()
    begin = now_ms()
    for number in range(1_000):
        await stored(bus, f"job-{number:05}", begin - number)
    assert len((await page(bus, limit=50)).jobs) == 50
    assert bus.read == 51


async def test_a_page_stops_after_comparing_a_thousand_jobs_with_the_cursor_of_the_next() -> None:
    bus = await counting_bus()
    begin = now_ms()
    for number in range(1_200):
        await stored(bus, f"job-{number:05}", begin - number)
    await stored(bus, "the-oldest", begin - 2_000, state="failed")
    first = await page(bus, states=("failed",))
    assert first.jobs == []
    assert bus.read == 1_000
    second = await page(bus, states=("failed",), after=first.next)
    assert [progress.job for progress in second.jobs] == ["the-oldest"]


async def test_a_job_of_another_tenant_is_never_listed() -> None:
    bus = await memory_bus()
    await stored(bus, "job-00001", now_ms())
    found = await JobList(bus).page(
        "globex", limit=10, after=None, wanted=JobFilter(), oldest_unix_ms=now_ms() - KEPT_MS
    )
    assert found == JobPage([], None)


@pytest.mark.parametrize("cursor", ["", "-", "12-", "x-12345678", "1-12345678 ", "1-1234567\n8"])
def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(BadRequest, match="after must be"):
        parse_cursor(cursor)


def test_a_cursor_names_the_job_it_was_made_of() -> None:
    entry = Entry(1_790_000_000_000, "a-job_with-dashes")
    assert parse_cursor(entry.cursor) == entry
