"""Runs one job: reads its audio like a client, stores it by sentence, and publishes the progress.

A job is acknowledged at its end. If an edge crashes, the job is redelivered to another edge, which finds the stored
sentences, reads later events from `TTS_AUDIO`, and continues.
"""

import asyncio
import time
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Final

import msgspec
import structlog
from msgspec import UNSET

from services.common.bus.ports import Bus, Delivery
from services.common.runtime.deadline import Deadline
from services.common.wire import codec
from services.common.wire.addressing import require_own, tenant_of
from services.common.wire.failures import (
    DeadlineExceeded,
    MalformedMessage,
    PipelineError,
    QueueFull,
    SpeechCancelled,
)
from services.common.wire.messages import JobProgress, SpeechRequest
from services.http_edge.capacity.fleet import Fleet
from services.http_edge.errors import RequestIdTaken, UnknownJob
from services.http_edge.jobs.captions import JobCaptions
from services.http_edge.jobs.results import JobResults
from services.http_edge.jobs.sentence_audio import Pace, sentences_of
from services.http_edge.jobs.store import ENDED, JobStore
from services.http_edge.metrics import Metrics
from services.http_edge.speech.attempt_events import stored_split
from services.http_edge.speech.commands import cancel, publish_request
from services.http_edge.speech.request_store import RequestStore
from services.http_edge.speech.resume import Attempts, open_attempts
from services.http_edge.speech.session import SpeechSessions

log = structlog.get_logger()

_KEPT_AGAIN_S: Final = 300.0  # in the queue
_READY_S: Final = 1.0  # between two looks for a worker


class JobReturned(PipelineError):
    """Naks a job because this edge stops; another edge continues it. Not a failure of the job."""

    code = "handed_back"
    retryable = True


class _EndedByAnotherEdge(Exception):
    """Another edge, to which the job was redelivered while this one was slow, has ended it."""


@dataclass(frozen=True)
class JobWork:
    """Handles the messages of `TTS_JOBS`, the queue of all tenants' jobs."""

    bus: Bus
    results: JobResults
    requests: RequestStore  # requests that are not jobs: an id is unique across both
    speaker: SpeechSessions
    metrics: Metrics
    stop: asyncio.Event  # set: nak unfinished jobs
    fleet: Fleet

    @property
    def store(self) -> JobStore:
        """Return the store of all jobs."""
        return self.results.store

    @property
    def _records(self) -> RequestStore:
        return self.results.store.records

    async def handle(self, delivery: Delivery) -> None:
        """Run the job of one delivery to its end."""
        _tenant_of(delivery)
        request = codec.decode(delivery.payload, SpeechRequest)
        require_own(request, delivery.subject)
        if await self.store.progress(request.tenant, request.request) is None:
            await self._check(request)
            await self._create(request)

        progress = await self.store.require(request.tenant, request.request)
        if progress.state in ENDED:
            # the previous edge may have crashed before it deleted the audio
            await self.results.free_incomplete(request.tenant, progress)
            return

        await self._check(request)
        await self._until_ready(request)
        await self.results.reserve(request)
        request = await self._marked(request)
        try:
            with self.metrics.jobs_running.track_inprogress():
                done = await self._run(request, progress)
        except _EndedByAnotherEdge:
            log.info("job_ended_by_another_edge", request=request.request)
            return
        record_end(self.metrics, request.tenant, done, language=request.language)

    async def _until_ready(self, request: SpeechRequest) -> None:
        """Wait for a worker of the job's engine: jobs are accepted while none runs.

        Raises DeadlineExceeded, SpeechCancelled, JobReturned, and what `Fleet.require` raises.
        """
        fleet = self.fleet.of(request.engine)
        if fleet.why_not_ready() is None:
            return

        deadline = Deadline.at(request.deadline_unix_ms)
        log.info("job_waits_for_worker", request=request.request, detail=fleet.why_not_ready())
        while fleet.why_not_ready() is not None:
            if deadline.passed:
                raise DeadlineExceeded("no worker was ready before the deadline of the job")
            await self._check(request)
            await asyncio.sleep(_READY_S)

        fleet.require(request.language, request.parameters)

    async def _marked(self, request: SpeechRequest) -> SpeechRequest:
        """Return the request with its watermark.

        If the job was accepted while no worker was alive, the first edge that runs it takes that of the workers, and
        stores it with the job, for edges that continue it.
        """
        if request.watermark is not UNSET:
            return request
        try:
            stored = await self.store.request(request.tenant, request.request)
        except UnknownJob:  # of an earlier release
            stored = request
        if stored.watermark is UNSET:
            stored = self.fleet.marked(stored)
            await self.store.keep_request(stored)
        return msgspec.structs.replace(request, watermark=stored.watermark)

    async def _create(self, request: SpeechRequest) -> None:
        """Store a job that was queued on the bus directly. Raises RequestIdTaken if a request has its id."""
        await self.store.create(request)
        if await self.requests.known(request.tenant, request.request):
            raise RequestIdTaken("a request has this id; choose another one, at random")

    async def give_up(self, delivery: Delivery, failure: PipelineError) -> None:
        """Publish the failure of the job, and cancel its remaining synthesis."""
        job = codec.peek_request(delivery.payload)
        tenant = _tenant_of(delivery)
        state = "cancelled" if failure.code == SpeechCancelled.code else "failed"
        progress = None if job is None else await self.store.progress(tenant, job)

        if progress is None:  # the job is not stored
            self.metrics.jobs.labels(state).inc()
            return

        if progress.state in ENDED:
            await self.results.end(tenant, progress)
            return

        await cancel(
            self.bus,
            tenant,
            progress.job,
            *await self._records.attempts(tenant, progress.job),
            reason=failure.code,
        )
        ended = msgspec.structs.replace(progress, state=state, estimated_end_unix_ms=None)
        if state == "failed":
            ended = msgspec.structs.replace(ended, code=failure.code, detail=str(failure))
        await self.results.end(tenant, ended)
        record_end(
            self.metrics,
            tenant,
            ended,
            http_status=failure.http_status,
            language=_language(delivery.payload),
        )

    async def _run(self, request: SpeechRequest, progress: JobProgress) -> JobProgress:
        """Store all audio of the job; return its final progress."""
        began = progress.state == "running"
        progress = msgspec.structs.replace(progress, state="running")
        await self._note(request.tenant, progress)
        if not began and time.time() - progress.created_unix_ms / 1000 > _KEPT_AGAIN_S:
            await self._keep_request_again(request)

        earlier = (
            [request.request, *await self._records.attempts(request.tenant, request.request)]
            if began
            else []
        )
        if (
            0 < progress.sentences == progress.spoken
        ):  # the previous edge stored everything, and crashed
            return await self.results.complete(request.tenant, progress)
        async with open_attempts(
            self.bus, self._records, request, self.metrics, earlier=earlier, sole=True
        ) as attempts:
            if not began:
                await attempts.begin(attempt=request.request, portions=False)
            return await self._store_audio(request, progress, attempts)

    async def _store_audio(
        self, request: SpeechRequest, progress: JobProgress, attempts: Attempts
    ) -> JobProgress:
        pace = Pace(time.monotonic(), progress.spoken)
        reserved = 0  # bytes; 0: unknown so far

        meter = await self.results.charges.find(request.tenant, request.request)
        if meter is not None:
            meter.first = not progress.spoken

        async with (
            self.speaker.resuming(
                request,
                attempts,
                _keep_running,
                first_sentence=progress.spoken,
                first_audio_timeout_s=float("inf"),
                check=self._check_stopping,
                meter=meter,
            ) as speech,
            aclosing(sentences_of(speech)) as sentences,
        ):
            speech.assembly.sentences = progress.sentences or None
            captions = JobCaptions(self.store, request)
            async for sentence, spoken in sentences:
                await self._check(request)
                if not progress.spoken and request.text_type == "ssml":
                    await self._keep_marks(request)
                reserved = await self.results.add(
                    request, progress, sentence, reserved, lambda: self._check(request)
                )
                await captions.add(spoken, speech.assembly.split)
                progress = msgspec.structs.replace(
                    progress,
                    sentences=speech.assembly.sentences or 0,
                    spoken=progress.spoken + 1,
                    samples=progress.samples + len(sentence) // 2,
                    sample_rate_hz=speech.assembly.sample_rate_hz,
                    begun_unix_ms=progress.begun_unix_ms or round(time.time() * 1000),
                )
                await self._note(request.tenant, pace.estimated(progress))
        return await self.results.complete(request.tenant, progress)

    async def _note(self, tenant: str, progress: JobProgress) -> None:
        """Store the progress of the running job. Raises _EndedByAnotherEdge."""
        stored = await self.store.note(tenant, progress)
        if stored.state in ENDED:
            raise _EndedByAnotherEdge

    async def _keep_request_again(self, request: SpeechRequest) -> None:
        """Store the request of a job that waited for long, so that it expires with its audio."""
        try:
            await self.store.keep_request(request)
        except QueueFull:
            log.warning("job_request_not_stored", request=request.request)

    async def _keep_marks(self, request: SpeechRequest) -> None:
        """Store the text's marks with its audio; the splitter's event is stored for a few minutes only."""
        attempts = [request.request, *await self._records.attempts(request.tenant, request.request)]
        split = await stored_split(self.bus, request.tenant, attempts)
        if split is not None and split.marks:
            await self.store.keep_marks(request.tenant, request.request, split.marks)

    async def _check(self, request: SpeechRequest) -> None:
        self._check_stopping()
        tenant = request.tenant
        job = request.request
        if await self._records.cancelled(tenant, job) or await self._records.deleted(tenant, job):
            raise SpeechCancelled("the job was cancelled")

    def _check_stopping(self) -> None:
        if self.stop.is_set():
            raise JobReturned("this edge stops; another one continues the job")


def _tenant_of(delivery: Delivery) -> str:
    """Return the tenant whose subject the job was published on. Raises MalformedMessage."""
    tenant = tenant_of(delivery.subject)
    if tenant is None:
        raise MalformedMessage(
            "the subject of the job has no tenant; publish on tts.v1.job.<tenant>"
        )
    return tenant


def _language(payload: bytes) -> str | None:
    """Return the language of a request that may be malformed."""
    with suppress(MalformedMessage):
        return codec.decode(payload, SpeechRequest).language
    return None


def record_end(
    metrics: Metrics,
    tenant: str,
    ended: JobProgress,
    *,
    http_status: int = 200,
    language: str | None = None,
) -> None:
    """Count how a job ended, and log it as the completion of a request."""
    metrics.jobs.labels(ended.state).inc()
    log.info(
        "request_completed",
        endpoint="job",
        request=ended.job,
        tenant=tenant,
        status=http_status,
        outcome={"done": "success", "failed": "error"}.get(ended.state, ended.state),
        code=ended.code or (SpeechCancelled.code if ended.state == "cancelled" else None),
        language=language,
        seconds=round(time.time() - ended.created_unix_ms / 1000, 3),
        first_audio_seconds=None,
        bytes=ended.samples * 2,
        audio_seconds=round(ended.samples / ended.sample_rate_hz, 3)
        if ended.sample_rate_hz
        else 0.0,
    )


async def submit(bus: Bus, request: SpeechRequest) -> None:
    """Queue a job. Raises TenantQueueFull, QueueFull, TextTooLong, BusUnavailable."""
    await publish_request(bus, request, "job")


async def _keep_running() -> None:
    """Leave the synthesis of a job running: another edge will read its audio."""
