"""Jobs that clients follow, by their events or by their audio as it is produced.

A job is watched once, however many clients follow it: one task subscribes to its changes, and reads the progress after
each change. Messages can be lost while NATS is unavailable, so the progress is also read every `_RECHECK_S`. A client
without changes costs a comment every `KEEPALIVE_S`, and the number of followers is limited.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from services.common.wire.failures import BusUnavailable, PipelineError
from services.common.wire.messages import JobProgress
from services.http_edge.errors import TooManyRequests, TooManyStreams
from services.http_edge.jobs.revisions import rendition_of
from services.http_edge.jobs.store import ENDED, JobStore

KEEPALIVE_S: Final = 10.0  # proxies close connections that are idle for longer
_RECHECK_S: Final = 15.0
_AWAY_S: Final = 2.0  # interval of reads while NATS does not answer


class WatchedJob:
    """The progress of one job, shared by all clients that follow it."""

    def __init__(self, store: JobStore, tenant: str, job: str) -> None:
        self.followers = 0
        self.task: asyncio.Task[None] | None = None  # runs `watch`
        self.failure: PipelineError | None = None
        self._store = store
        self._tenant = tenant
        self._job = job
        self._progress: JobProgress | None = None
        self._changed = asyncio.Event()
        self._lengths: list[int] = []
        self._reading = asyncio.Lock()

    async def watch(self) -> None:
        """Follow the job to its end. A failure is raised to each follower."""
        try:
            async with self._store.changes(self._tenant, self._job) as changes:
                while True:
                    wait_s = await self._read()
                    if self._progress is not None and self._progress.state in ENDED:
                        return
                    await changes.next(wait_s)
        except PipelineError as failure:
            self.failure = failure
            self.wake()

    def wake(self) -> None:
        """Wake every follower to check the progress."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def first(self) -> JobProgress:
        """Return the job's progress. Raises UnknownJob, BusUnavailable."""
        while self._progress is None:
            changed = self._changed
            self._check()
            await changed.wait()
        return self._progress

    async def changes(self, draining: asyncio.Event) -> AsyncIterator[JobProgress | None]:
        """Yield the progress now, after each change, and at the end; None after `KEEPALIVE_S` without a change.

        Ends before the job does if this edge stops. Raises UnknownJob, BusUnavailable.
        """
        last = None
        while True:
            changed = self._changed
            self._check()
            if self._progress is not None and self._progress != last:
                last = self._progress
                yield last
                if last.state in ENDED:
                    return
            elif draining.is_set():
                return
            elif not await _set_within(changed, KEEPALIVE_S):
                yield None

    async def lengths(self, sentences: int) -> list[int]:
        """Return the length in bytes of each of the first sentences; read once for all followers."""
        async with self._reading:
            if len(self._lengths) < sentences:
                self._lengths = await self._read_lengths(await self.first(), sentences)
        return self._lengths

    async def _read_lengths(self, progress: JobProgress, sentences: int) -> list[int]:
        if progress.revision:
            return (await rendition_of(self._store, self._tenant, progress)).lengths
        return await self._store.lengths(self._tenant, self._job, sentences)

    def _check(self) -> None:
        if self.failure is not None:
            raise self.failure

    async def _read(self) -> float:
        """Read the progress; return how long to wait for the next change."""
        try:
            progress = await self._store.require(self._tenant, self._job)
        except BusUnavailable:
            if self._progress is None:
                raise
            return _AWAY_S

        if progress != self._progress:
            self._progress = progress
            self.wake()
        return _RECHECK_S


async def _set_within(event: asyncio.Event, timeout_s: float) -> bool:
    try:
        async with asyncio.timeout(timeout_s):
            return await event.wait()
    except TimeoutError:
        return False


@dataclass(frozen=True)
class JobEvents:
    """The jobs of all tenants that are followed at this edge."""

    most: int  # followers
    most_of_tenant: int
    group: asyncio.TaskGroup
    draining: asyncio.Event
    _watched: dict[tuple[str, str], WatchedJob] = field(default_factory=dict)
    _followers: Counter[str] = field(default_factory=Counter)  # by tenant

    @asynccontextmanager
    async def following(self, store: JobStore, tenant: str, job: str) -> AsyncIterator[WatchedJob]:
        """Watch a job while the block runs. Raises TooManyStreams, TooManyRequests."""
        self._check(tenant)
        self._followers[tenant] += 1
        try:
            async with self._watching(store, tenant, job) as watched:
                yield watched
        finally:
            self._followers[tenant] -= 1
            if not self._followers[tenant]:
                del self._followers[tenant]

    @asynccontextmanager
    async def _watching(self, store: JobStore, tenant: str, job: str) -> AsyncIterator[WatchedJob]:
        watched = self._watched.get((tenant, job))
        if watched is None or watched.failure is not None:
            watched = self._watched[tenant, job] = WatchedJob(store, tenant, job)
            watched.task = self.group.create_task(watched.watch(), name="watch-job")
        watched.followers += 1
        try:
            yield watched
        finally:
            watched.followers -= 1
            if not watched.followers:
                if watched.task is not None:
                    watched.task.cancel()
                if self._watched.get((tenant, job)) is watched:
                    del self._watched[tenant, job]

    async def wake_on_drain(self) -> None:
        """Wake every follower once this edge drains."""
        await self.draining.wait()
        for watched in self._watched.values():
            watched.wake()

    def _check(self, tenant: str) -> None:
        if self._followers[tenant] >= self.most_of_tenant:
            raise TooManyStreams(
                f"at most {self.most_of_tenant} clients may follow your jobs at once; retry later"
            )
        if self._followers.total() >= self.most:
            raise TooManyRequests("too many clients follow jobs at this server; retry later")
