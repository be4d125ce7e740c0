"""Runs one job: reads its audio like a client, stores it by sentence, and publishes the progress.

A job is acknowledged at its end. If an edge crashes, the job is redelivered to another edge, which finds the stored
sentences, reads later events from `TTS_AUDIO`, and continues.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Final

import msgspec
import structlog

from services.common.bus.ports import Bus, Delivery
from services.common.runtime.deadline import Deadline
from services.common.wire import codec
from services.common.wire.addressing import require_own, tenant_of
from services.common.wire.estimate import audio_seconds
from services.common.wire.failures import (
    MalformedMessage,
    PipelineError,
    QueueFull,
    SpeechCancelled,
)
from services.common.wire.messages import JobProgress, SentenceSpoken, SpeechRequest
from services.http_edge.errors import RequestIdTaken, ResultsFull, UnknownJob
from services.http_edge.jobs.captions import JobCaptions
from services.http_edge.jobs.results_quota import SENTENCE_BYTES, ResultsQuota
from services.http_edge.jobs.store import ENDED, JobStore
from services.http_edge.metrics import Metrics
from services.http_edge.speech.attempt_events import stored_split
from services.http_edge.speech.commands import cancel, publish_request
from services.http_edge.speech.metering import UsageCharges
from services.http_edge.speech.request_store import RequestStore
from services.http_edge.speech.resume import Attempts, open_attempts
from services.http_edge.speech.session import SpeechSession, SpeechSessions

log = structlog.get_logger()

_FULL_STORE_S: Final = 60.0  # maximum wait for space in a full store
_FULL_STORE_PAUSE_S: Final = 1.0
_USUAL_RATE_HZ: Final = 24_000


class JobReturned(PipelineError):
    """Naks a job because this edge stops; another edge continues it. Not a failure of the job."""

    code = "handed_back"
    retryable = True


@dataclass(frozen=True)
class JobWork:
    """Handles the messages of `TTS_JOBS`, the queue of all tenants' jobs."""

    bus: Bus
    store: JobStore
    records: RequestStore
    requests: RequestStore  # requests that are not jobs: an id is unique across both
    charges: UsageCharges
    results_quota: ResultsQuota
    speaker: SpeechSessions
    metrics: Metrics
    stop: asyncio.Event  # set: nak unfinished jobs

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
            await self._free(request.tenant, progress)
            return

        await self._check(request)
        await self.results_quota.reserve(
            request.tenant, request.request, _estimated_bytes(request), request.deadline_unix_ms
        )
        with self.metrics.jobs_running.track_inprogress():
            done = await self._run(request, progress)
        record_end(self.metrics, request.tenant, done, language=request.language)

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
            await self.end(tenant, progress)
            return

        await cancel(
            self.bus,
            tenant,
            progress.job,
            *await self.records.attempts(tenant, progress.job),
            reason=failure.code,
        )
        ended = msgspec.structs.replace(progress, state=state, estimated_end_unix_ms=None)
        if state == "failed":
            ended = msgspec.structs.replace(ended, code=failure.code, detail=str(failure))
        await self.end(tenant, ended)
        record_end(
            self.metrics,
            tenant,
            ended,
            http_status=failure.http_status,
            language=_language(delivery.payload),
        )

    async def end(self, tenant: str, progress: JobProgress) -> None:
        """Store the end of a job, charge its audio, and delete the audio of an incomplete job."""
        await self.store.note(tenant, progress)
        await self._charge(tenant, progress)
        await self._free(tenant, progress)

    async def forget(self, tenant: str, progress: JobProgress) -> None:
        """Delete all data of a job that has ended; its id stays in use."""
        await self.records.delete(tenant, progress.job)
        await self.store.free(tenant, progress.job, progress.spoken)
        await self.results_quota.settle(tenant, progress.job, 0)
        await self.store.forget(tenant, progress.job)

    async def _free(self, tenant: str, progress: JobProgress) -> None:
        if progress.state == "done":
            return
        reservation = await self.results_quota.reservation(tenant, progress.job)
        if reservation is None or reservation.size:
            # one more may be stored than the progress counts
            await self.store.free(tenant, progress.job, progress.spoken + 1)
            await self.results_quota.settle(tenant, progress.job, 0)

    async def _charge(self, tenant: str, progress: JobProgress) -> None:
        meter = await self.charges.find(tenant, progress.job)
        if meter is not None:
            try:
                lengths = await self.store.lengths(tenant, progress.job, progress.spoken)
            except UnknownJob:
                lengths = []
            seconds = {
                sentence: length / 2 / progress.sample_rate_hz
                for sentence, length in enumerate(lengths)
            }
            await meter.settle_lengths(seconds, whole=progress.state == "done")

    async def _done(self, tenant: str, progress: JobProgress) -> JobProgress:
        await self.results_quota.settle(
            tenant, progress.job, 2 * progress.samples + SENTENCE_BYTES * progress.spoken
        )
        done = msgspec.structs.replace(progress, state="done", estimated_end_unix_ms=None)
        await self.end(tenant, done)
        return done

    async def _run(self, request: SpeechRequest, progress: JobProgress) -> JobProgress:
        """Store all audio of the job; return its final progress."""
        began = progress.state == "running"
        progress = msgspec.structs.replace(progress, state="running")
        await self.store.note(request.tenant, progress)

        earlier = (
            [request.request, *await self.records.attempts(request.tenant, request.request)]
            if began
            else []
        )
        if (
            0 < progress.sentences == progress.spoken
        ):  # the previous edge stored everything, and crashed
            return await self._done(request.tenant, progress)
        async with open_attempts(
            self.bus, self.records, request, self.metrics, earlier=earlier, sole=True
        ) as attempts:
            if not began:
                await attempts.begin(attempt=request.request, portions=False)
            return await self._store_audio(request, progress, attempts)

    async def _store_audio(
        self, request: SpeechRequest, progress: JobProgress, attempts: Attempts
    ) -> JobProgress:
        pace = _Pace(time.monotonic(), progress.spoken)
        reserved = 0  # bytes; 0: unknown so far

        meter = await self.charges.find(request.tenant, request.request)
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
            aclosing(_sentences(speech)) as sentences,
        ):
            speech.assembly.sentences = progress.sentences or None
            captions = JobCaptions(self.store, request)
            async for sentence, spoken in sentences:
                await self._check(request)
                if not progress.spoken and request.text_type == "ssml":
                    await self._keep_marks(request)
                reserved = await self._store(request, progress, sentence, reserved)
                await captions.add(spoken, speech.assembly.split)
                progress = msgspec.structs.replace(
                    progress,
                    sentences=speech.assembly.sentences or 0,
                    spoken=progress.spoken + 1,
                    samples=progress.samples + len(sentence) // 2,
                    sample_rate_hz=speech.assembly.sample_rate_hz,
                )
                await self.store.note(request.tenant, pace.estimated(progress))
        return await self._done(request.tenant, progress)

    async def _store(
        self, request: SpeechRequest, progress: JobProgress, pcm: bytes, reserved: int
    ) -> int:
        """Store a sentence's audio; return the bytes reserved by the job.

        Waits up to `_FULL_STORE_S` while the store is full. Raises ResultsFull.
        """
        size = 2 * progress.samples + len(pcm) + SENTENCE_BYTES * (progress.spoken + 1)
        if size > reserved:
            reserved = await self.results_quota.extend(request.tenant, request.request, size)

        patience = Deadline.after(_FULL_STORE_S)
        while True:
            try:
                await self.store.add(request.tenant, request.request, progress.spoken, pcm)
            except QueueFull:
                if patience.passed:
                    raise ResultsFull(
                        "the store of job results is full; delete jobs (DELETE /jobs/ID), and post it again"
                    ) from None
                await self._check(request)
                await asyncio.sleep(_FULL_STORE_PAUSE_S)
            else:
                return reserved

    async def _keep_marks(self, request: SpeechRequest) -> None:
        """Store the text's marks with its audio; the splitter's event is stored for a few minutes only."""
        attempts = [request.request, *await self.records.attempts(request.tenant, request.request)]
        split = await stored_split(self.bus, request.tenant, attempts)
        if split is not None and split.marks:
            await self.store.keep_marks(request.tenant, request.request, split.marks)

    async def _check(self, request: SpeechRequest) -> None:
        self._check_stopping()
        tenant = request.tenant
        job = request.request
        if await self.records.cancelled(tenant, job) or await self.records.deleted(tenant, job):
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


def _estimated_bytes(request: SpeechRequest) -> int:
    """Estimate the storage of a job that was queued on the bus."""
    seconds = audio_seconds(
        len(request.text), request.language[:2].lower(), request.parameters.speed or 1.0
    )
    return round(2 * _USUAL_RATE_HZ * seconds) + SENTENCE_BYTES


async def _keep_running() -> None:
    """Leave the synthesis of a job running: another edge will read its audio."""


async def _sentences(
    speech: SpeechSession,
) -> AsyncGenerator[tuple[bytes, SentenceSpoken], None]:
    """Yield the PCM and the end marker of one sentence after another."""
    buffer = bytearray()
    done = 0  # sentences

    def whole() -> list[tuple[bytes, SentenceSpoken]]:
        nonlocal done
        ready: list[tuple[bytes, SentenceSpoken]] = []
        while done < len(speech.spoken) and len(buffer) >= (
            size := 2 * speech.spoken[done].samples
        ):
            ready.append((bytes(buffer[:size]), speech.spoken[done]))
            del buffer[:size]
            done += 1
        return ready

    async with aclosing(speech.chunks()) as chunks:
        async for chunk in chunks:
            buffer += chunk
            for sentence in whole():
                yield sentence
    for sentence in whole():
        yield sentence


@dataclass(frozen=True)
class _Pace:
    """The pace of a job at this edge."""

    began_s: float
    spoken: int  # sentences stored at that time

    def estimated(self, progress: JobProgress) -> JobProgress:
        """Return the progress with its end estimated from the pace."""
        each_s = (time.monotonic() - self.began_s) / (progress.spoken - self.spoken)
        left_s = each_s * (progress.sentences - progress.spoken)
        return msgspec.structs.replace(
            progress, estimated_end_unix_ms=round((time.time() + left_s) * 1000)
        )
