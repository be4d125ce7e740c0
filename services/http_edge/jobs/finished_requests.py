"""Stores a finished request as a job that is done: its audio, sentences and text then stay as long as those of jobs.

How it works

The audio of a request is in `TTS_AUDIO` for some minutes, by chunk, with an end marker for each sentence. It is copied
sentence by sentence to where the audio of jobs is, under the id of the request. The progress of the job is written
last, so a copy that is interrupted is no job: its objects expire, as does the storage reserved for them. A lock per id,
the same as that of replaced sentences, refuses a second copy while one is written. Nothing is synthesized, so nothing
is charged to an API key, and a request whose audio is incomplete or has expired is refused.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import msgspec
import structlog
from msgspec import UNSET, UnsetType

from services.common.bus import topology
from services.common.bus.inbox import decoded
from services.common.bus.ports import Bus
from services.common.wire import subjects
from services.common.wire.failures import DeadlineExceeded
from services.common.wire.messages import (
    AudioChunk,
    JobProgress,
    SentenceSpoken,
    SpeechRequest,
    TextSplit,
)
from services.http_edge.errors import AudioIncomplete, UnknownRequest
from services.http_edge.jobs.captions import JobCaptions
from services.http_edge.jobs.results import stored_bytes
from services.http_edge.jobs.results_quota import ResultsQuota
from services.http_edge.jobs.revisions import Revisions
from services.http_edge.jobs.store import JobStore, queued
from services.http_edge.speech.attempt_events import stored_ends, stored_split
from services.http_edge.speech.request_store import RequestStore

log = structlog.get_logger()

_AT_ONCE: Final = 16  # chunks that are read
_COPY_S: Final = 90.0
_LOCKED_S: Final = 120.0  # at most, by one copy


@dataclass(frozen=True)
class FinishedRequest:
    """A request whose audio is complete and stored."""

    request: SpeechRequest
    attempts: Sequence[str]  # the ids under which it was published
    split: TextSplit
    ends: Sequence[SentenceSpoken]

    def progress(self, label: str | None) -> JobProgress:
        """Return the progress of the job that it becomes."""
        now_ms = round(time.time() * 1000)
        return msgspec.structs.replace(
            queued(self.request),
            state="done",
            sentences=len(self.ends),
            spoken=len(self.ends),
            samples=sum(end.samples for end in self.ends),
            sample_rate_hz=self.ends[0].sample_rate_hz,
            begun_unix_ms=now_ms,
            ended_unix_ms=now_ms,
            origin="request",
            label=UNSET if label is None else label,
        )


@dataclass(frozen=True)
class FinishedRequests:
    """Stores finished requests as jobs. Raises BusUnavailable, and QueueFull if the store is full."""

    bus: Bus
    requests: RequestStore
    store: JobStore
    quota: ResultsQuota

    async def store_as_job(
        self, tenant: str, request_id: str, *, title: str | None, label: str | None
    ) -> JobProgress:
        """Store a request as a job, unless it is one; return the job.

        Raises UnknownRequest if it is not stored, has expired or was deleted as a job, AudioIncomplete, JobBusy,
        ResultsFull.
        """
        if (stored := await self.store.progress(tenant, request_id)) is not None:
            return stored

        async with Revisions(self.store).locked(tenant, request_id, _LOCKED_S):
            if (stored := await self.store.progress(tenant, request_id)) is not None:
                return stored
            finished = await self._finished(tenant, request_id, title)
            progress = finished.progress(label)
            await self._in_time(finished, progress)

        log.info("request_stored_as_job", request=request_id, sentences=progress.sentences)
        return progress

    async def _finished(self, tenant: str, request_id: str, title: str | None) -> FinishedRequest:
        """Return a request, its segmentation and end markers. Raises UnknownRequest, AudioIncomplete."""
        request = await self.requests.request(tenant, request_id)
        if request is None or await self.store.records.deleted(tenant, request_id):
            raise UnknownRequest(
                "no request with this id is stored: it does not exist, has expired, or was deleted"
            )
        attempts = [request_id, *await self.requests.attempts(tenant, request_id)]
        split = await stored_split(self.bus, tenant, attempts)
        if split is None:
            raise AudioIncomplete("the text is not split yet, or its sentences have expired")
        ends = await stored_ends(self.bus, tenant, attempts, len(split.sentences))
        if ends is None:
            raise AudioIncomplete(
                "the audio of this request is not complete, or its beginning has expired; "
                "read the response to its end, and send this soon after it"
            )
        titled: str | UnsetType = request.title if title is None else title
        return FinishedRequest(
            msgspec.structs.replace(request, title=titled), attempts, split, ends
        )

    async def _in_time(self, finished: FinishedRequest, progress: JobProgress) -> None:
        try:
            async with asyncio.timeout(_COPY_S):
                await self._reserve_and_copy(finished, progress)
        except TimeoutError:
            raise DeadlineExceeded(
                "the audio was not stored within the time limit; retry later"
            ) from None

    async def _reserve_and_copy(self, finished: FinishedRequest, progress: JobProgress) -> None:
        """Copy the audio within the tenant's quota; store nothing if it fails."""
        tenant = finished.request.tenant
        size = stored_bytes(progress)
        await self.quota.reserve(tenant, progress.job, size, progress.created_unix_ms)
        done = False
        try:
            await self._copy(finished)
            done = await self.store.add_job(finished.request, progress)
            await self.quota.settle(tenant, progress.job, size)
        finally:
            if not done:
                await asyncio.shield(self._free(tenant, progress))

    async def _free(self, tenant: str, progress: JobProgress) -> None:
        await self.store.free(tenant, progress.job, progress.spoken)
        await self.quota.settle(tenant, progress.job, 0)

    async def _copy(self, finished: FinishedRequest) -> None:
        """Store the audio and captions of each sentence."""
        request = finished.request
        captions = JobCaptions(self.store, request)
        for end in finished.ends:
            pcm = await self._pcm(finished, end)
            await self.store.add(request.tenant, request.request, end.sentence, pcm)
            await captions.add(end, finished.split)
        if finished.split.marks:
            await self.store.keep_marks(request.tenant, request.request, finished.split.marks)

    async def _pcm(self, finished: FinishedRequest, end: SentenceSpoken) -> bytes:
        """Return the PCM of a sentence. Raises AudioIncomplete if a chunk of it has expired."""
        parts: list[bytes] = []
        for first in range(0, end.chunks, _AT_ONCE):
            indexes = range(first, min(first + _AT_ONCE, end.chunks))
            parts += await asyncio.gather(
                *(self._chunk(finished, end.sentence, index) for index in indexes)
            )
        pcm = b"".join(parts)
        if sha256(pcm).hexdigest() != end.digest:
            raise AudioIncomplete("the stored audio of this request is damaged; send it again")
        return pcm

    async def _chunk(self, finished: FinishedRequest, sentence: int, index: int) -> bytes:
        for attempt in finished.attempts:
            subject = subjects.chunk(finished.request.tenant, attempt, sentence, index)
            payload = await self.bus.last(topology.AUDIO, subject)
            event = None if payload is None else decoded(subject, payload)
            if isinstance(event, AudioChunk):
                return event.pcm
        raise AudioIncomplete("the audio of this request has expired; send it again")
