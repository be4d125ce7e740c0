"""The results of jobs: stores the audio, and settles quota, usage and space at the end of a job."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import msgspec
from msgspec import UNSET

from services.common.runtime.deadline import Deadline
from services.common.wire.estimate import audio_seconds
from services.common.wire.failures import QueueFull
from services.common.wire.messages import JobProgress, SpeechRequest
from services.http_edge.errors import ResultsFull, UnknownJob
from services.http_edge.jobs.results_quota import SENTENCE_BYTES, ResultsQuota
from services.http_edge.jobs.revisions import Revisions
from services.http_edge.jobs.store import JobStore
from services.http_edge.speech.usage.metering import UsageCharges

_FULL_STORE_S: Final = 60.0  # maximum wait for space in a full store
_FULL_STORE_PAUSE_S: Final = 1.0
_USUAL_RATE_HZ: Final = 24_000
_BYTES_PER_SAMPLE: Final = 2
_MOST_BYTES_PER_CHARACTER: Final = 4  # UTF-8


@dataclass(frozen=True)
class JobResults:
    """The results of jobs of all tenants. Every method raises BusUnavailable."""

    store: JobStore
    charges: UsageCharges
    quota: ResultsQuota

    async def reserve(self, request: SpeechRequest) -> None:
        """Reserve space for a job that was queued on the bus, unless it has some. Raises ResultsFull, QueueFull."""
        await self.quota.reserve(
            request.tenant, request.request, _estimated_bytes(request), request.deadline_unix_ms
        )

    async def add(
        self,
        request: SpeechRequest,
        progress: JobProgress,
        pcm: bytes,
        reserved: int,
        check: Callable[[], Awaitable[None]],
    ) -> int:
        """Store a sentence's audio; return the bytes reserved by the job.

        Waits up to `_FULL_STORE_S` while the store is full; `check` raises if the job must stop. Raises ResultsFull.
        """
        size = (
            _BYTES_PER_SAMPLE * progress.samples + len(pcm) + SENTENCE_BYTES * (progress.spoken + 1)
        )
        if size > reserved:
            reserved = await self.quota.extend(request.tenant, request.request, size)

        patience = Deadline.after(_FULL_STORE_S)
        while True:
            try:
                await self.store.add(request.tenant, request.request, progress.spoken, pcm)
            except QueueFull:
                if patience.passed:
                    raise ResultsFull(
                        "the store of job results is full; delete jobs (DELETE /jobs/ID), and post it again"
                    ) from None
                await check()
                await asyncio.sleep(_FULL_STORE_PAUSE_S)
            else:
                return reserved

    async def complete(self, tenant: str, progress: JobProgress) -> JobProgress:
        """Store that a job is done; return its final progress."""
        await self.quota.settle(tenant, progress.job, stored_bytes(progress))

        done = msgspec.structs.replace(progress, state="done", estimated_end_unix_ms=None)
        return await self.end(tenant, done)

    async def end(self, tenant: str, progress: JobProgress) -> JobProgress:
        """Store the end of a job, charge its audio, and delete the audio of an incomplete job.

        Return its progress with the time of its end: of its first end, if another edge has stored one.
        """
        if progress.ended_unix_ms is UNSET:
            progress = msgspec.structs.replace(progress, ended_unix_ms=round(time.time() * 1000))
        progress = await self.store.note(tenant, progress)
        await self._charge(tenant, progress)
        await self.free_incomplete(tenant, progress)
        return progress

    async def free_incomplete(self, tenant: str, progress: JobProgress) -> None:
        """Delete the audio of a job that ended before its text did; its request stays."""
        if progress.state == "done":
            return

        reservation = await self.quota.reservation(tenant, progress.job)
        kept = _request_bytes(progress)
        if reservation is None or reservation.size > kept:
            # one more may be stored than the progress counts
            await self.store.free(tenant, progress.job, progress.spoken + 1)
            await self.quota.settle(tenant, progress.job, kept)

    async def forget(self, tenant: str, progress: JobProgress) -> None:
        """Delete all data of a job that has ended; its id stays in use."""
        await self.store.records.delete(tenant, progress.job)
        await Revisions(self.store).free(tenant, progress.job)
        await self.store.free(tenant, progress.job, progress.spoken)
        await self.quota.settle(tenant, progress.job, 0)
        await self.store.forget(tenant, progress.job)

    async def _charge(self, tenant: str, progress: JobProgress) -> None:
        meter = await self.charges.find(tenant, progress.job)
        if meter is None:
            return

        try:
            lengths = await self.store.lengths(tenant, progress.job, progress.spoken)
        except UnknownJob:
            lengths = []

        seconds = {
            sentence: length / _BYTES_PER_SAMPLE / progress.sample_rate_hz
            for sentence, length in enumerate(lengths)
        }
        await meter.settle_lengths(seconds, whole=progress.state == "done")


def stored_bytes(progress: JobProgress) -> int:
    """Return at least the storage of a job that is done."""
    audio = _BYTES_PER_SAMPLE * progress.samples + SENTENCE_BYTES * progress.spoken
    return audio + _request_bytes(progress)


def _request_bytes(progress: JobProgress) -> int:
    """Return at least the storage of a job's request."""
    if progress.characters is UNSET:
        return 0
    return _MOST_BYTES_PER_CHARACTER * progress.characters + SENTENCE_BYTES


def _estimated_bytes(request: SpeechRequest) -> int:
    """Estimate the storage of a job that was queued on the bus."""
    seconds = audio_seconds(
        len(request.text), request.language[:2].lower(), request.parameters.speed or 1.0
    )
    return round(_BYTES_PER_SAMPLE * _USUAL_RATE_HZ * seconds) + SENTENCE_BYTES
