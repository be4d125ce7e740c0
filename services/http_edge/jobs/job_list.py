"""The list of a tenant's jobs, newest first, page by page.

How it works

Each job has an entry in the bucket: a key with the time of creation, in milliseconds, below the number
of a period of six hours. A page reads the names of the entries of one period after another, back from the newest, and
then the progress of only as many jobs as it shows. A cursor is the time and id of the last job of a page, so jobs that
are created or deleted meanwhile move nothing. An entry is stored again while its job runs and when it ends, so it
expires with the job.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from typing import Final, NamedTuple

from services.common.bus import topology
from services.common.bus.ports import Bus
from services.common.wire import codec
from services.common.wire.identity import Identity, tenant_key
from services.common.wire.messages import JobProgress
from services.http_edge.errors import BadRequest

MOST_LISTED: Final = 200  # jobs per page
QUEUED: Final = "job"  # the origin of jobs that were queued
CURSOR_PATTERN: Final = r"[0-9]{1,15}-[A-Za-z0-9_-]{8,64}"
_MOST_READ: Final = 1_000  # jobs whose state a page compares
_READ_AT_ONCE: Final = 250
_PERIOD_MS: Final = 6 * 3_600_000
_MOST_PERIODS_AT_ONCE: Final = 16
_RECORD: Final = "listed"
_ENTRY: Final = b"1"


class Entry(NamedTuple):
    """A job in the list. In order of age."""

    created_unix_ms: int
    job: str

    @property
    def cursor(self) -> str:
        """Return the cursor of the jobs after it."""
        return f"{self.created_unix_ms}-{self.job}"

    def key(self, tenant: str) -> str:
        """Return its key in the bucket."""
        period = self.created_unix_ms // _PERIOD_MS
        return tenant_key(tenant, _RECORD, period, self.created_unix_ms, self.job)


@dataclass(frozen=True)
class JobFilter:
    """The jobs that a list shows."""

    states: Collection[str] = ()  # empty: any
    origin: str = ""  # `job` or `request`; empty: any
    label: str = ""  # empty: any, also none

    @property
    def selects(self) -> bool:
        """Return whether it leaves out any jobs."""
        return bool(self.states or self.origin or self.label)

    def matches(self, progress: JobProgress) -> bool:
        """Return whether the list shows this job."""
        return (
            (not self.states or progress.state in self.states)
            and (not self.origin or self.origin == (progress.origin or QUEUED))
            and (not self.label or self.label == progress.label)
        )


class JobPage(NamedTuple):
    """Some jobs, newest first."""

    jobs: list[JobProgress]
    next: str | None  # the cursor of the next page; None: there is none


def parse_cursor(given: str) -> Entry:
    """Return the entry that a cursor names. Raises BadRequest."""
    if not re.fullmatch(CURSOR_PATTERN, given):
        raise BadRequest("after must be the `next` of the page before")
    created, _, job = given.partition("-")
    return Entry(int(created), job)


@dataclass(frozen=True)
class JobList:
    """The lists of all tenants. Every method raises BusUnavailable."""

    bus: Bus

    async def put(self, tenant: str, progress: JobProgress) -> None:
        """Add a job, or keep its entry for as long as its progress. Raises QueueFull."""
        await self.bus.put_value(topology.PROGRESS, _entry(progress).key(tenant), _ENTRY)

    async def drop(self, tenant: str, progress: JobProgress) -> None:
        """Remove a job."""
        await self.bus.drop_value(topology.PROGRESS, _entry(progress).key(tenant))

    async def page(
        self,
        tenant: str,
        *,
        limit: int,
        after: Entry | None,
        wanted: JobFilter,
        oldest_unix_ms: int,
    ) -> JobPage:
        """Return the jobs after a cursor that match a filter.

        A page compares at most `_MOST_READ` jobs, so it can have fewer jobs than `limit` and yet a next
        page. `oldest_unix_ms`: jobs that were created before it have expired.
        """
        found: list[tuple[Entry, JobProgress]] = []
        read = 0
        at_once = _READ_AT_ONCE if wanted.selects else limit + 1

        async for entries in self._entries(tenant, after, oldest_unix_ms, at_once):
            for entry, progress in await self._progress(tenant, entries):
                read += 1
                if progress is not None and wanted.matches(progress):
                    found.append((entry, progress))
                if len(found) > limit:
                    return _page(found[:limit], found[limit - 1][0])
                if read == _MOST_READ:
                    return _page(found, entry)

        return _page(found, None)

    async def _entries(
        self, tenant: str, after: Entry | None, oldest_unix_ms: int, at_once: int
    ) -> AsyncIterator[list[Entry]]:
        """Yield the entries after a cursor, newest first, in groups of at most `at_once`."""
        newest_ms = after.created_unix_ms if after else round(time.time() * 1000) + _PERIOD_MS
        period = newest_ms // _PERIOD_MS
        oldest = oldest_unix_ms // _PERIOD_MS
        count = 1

        while period >= oldest:
            periods = range(period, max(oldest, period - count + 1) - 1, -1)
            groups = await asyncio.gather(*(self._of_period(tenant, each) for each in periods))
            entries = [entry for group in groups for entry in group if not after or entry < after]
            for begin in range(0, len(entries), at_once):
                yield entries[begin : begin + at_once]

            period -= count
            count = min(2 * count, _MOST_PERIODS_AT_ONCE)

    async def _of_period(self, tenant: str, period: int) -> list[Entry]:
        """Return the entries of a period, newest first."""
        key_filter = tenant_key(tenant, _RECORD, period, "*", "*")
        held = await self.bus.count_by_subject(
            f"KV_{topology.PROGRESS}", topology.value_subject(topology.PROGRESS, key_filter)
        )
        parts = (subject.rsplit(".", 2) for subject in held)
        return sorted((Entry(int(created), job) for _, created, job in parts), reverse=True)

    async def _progress(
        self, tenant: str, entries: list[Entry]
    ) -> list[tuple[Entry, JobProgress | None]]:
        """Return the progress of each job; None for one that has expired."""
        keys = [Identity(tenant, "job", entry.job).key("job") for entry in entries]
        values = await self.bus.get_values(topology.PROGRESS, keys)
        return [
            (entry, codec.decode(values[key], JobProgress) if values.get(key) else None)
            for entry, key in zip(entries, keys, strict=True)
        ]


def _entry(progress: JobProgress) -> Entry:
    return Entry(progress.created_unix_ms, progress.job)


def _page(found: list[tuple[Entry, JobProgress]], last: Entry | None) -> JobPage:
    return JobPage([progress for _, progress in found], last.cursor if last else None)
