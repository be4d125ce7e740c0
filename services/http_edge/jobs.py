"""The story of one job: listen like a client, keep every sentence's sound, and say how far it is.

A job is acknowledged at its end. An edge that dies is followed by another that is delivered the same job, sees which
sentences are kept, takes what has been said since from `TTS_AUDIO`, and listens on.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass

import msgspec
import structlog

from services.common.bus.ports import Bus, Delivery
from services.common.wire import codec
from services.common.wire.addressing import require_own, tenant_of
from services.common.wire.failures import MalformedMessage, PipelineError, SpeechCancelled
from services.common.wire.messages import JobProgress, SpeechRequest
from services.http_edge.commands import cancel, publish_request
from services.http_edge.job_store import ENDED, JobStore
from services.http_edge.metrics import Metrics
from services.http_edge.records import Records
from services.http_edge.runs import Runs, open_runs, stored_split
from services.http_edge.speech import Speaker, Speech

log = structlog.get_logger()


class JobHandedBack(PipelineError):
    """Not a failure: this edge stops, and another one goes on with the job."""

    code = "handed_back"
    retryable = True


@dataclass(frozen=True)
class JobWork:
    """What an edge does with the messages of `TTS_JOBS`."""

    bus: Bus
    store: JobStore
    records: Records
    speaker: Speaker
    metrics: Metrics
    stop: asyncio.Event  # set: hand back what is not done

    async def handle(self, delivery: Delivery) -> None:
        """See the job through."""
        request = codec.decode(delivery.payload, SpeechRequest)
        require_own(request, delivery.subject)
        if await self.store.progress(request.request) is None:
            await self.store.create(request)  # somebody queued it on the bus
        progress = await self.store.require(request.request)
        if progress.state in ENDED:
            return
        await self._check(request)
        with self.metrics.jobs_running.track_inprogress():
            done = await self._see_through(request, progress)
        tell_end(self.metrics, request.tenant, done, language=request.language)

    async def give_up(self, delivery: Delivery, failure: PipelineError) -> None:
        """Say why the job ended, and stop what is still spoken of it."""
        job, tenant = codec.peek_request(delivery.payload), self.records.tenant
        state = "cancelled" if failure.code == SpeechCancelled.code else "failed"
        progress = None if job is None else await self.store.progress(job)
        if progress is None:  # nobody asks for it
            self.metrics.jobs.labels(state).inc()
            return
        if progress.state in ENDED:
            return
        await cancel(self.bus, tenant, progress.job, *await self.records.runs(progress.job), reason=failure.code)
        ended = msgspec.structs.replace(progress, state=state, estimated_end_unix_ms=None)
        if state == "failed":
            ended = msgspec.structs.replace(ended, code=failure.code, detail=str(failure))
        await self.store.note(ended)
        tell_end(self.metrics, tenant, ended, http_status=failure.http_status, language=_language(delivery.payload))

    async def _see_through(self, request: SpeechRequest, progress: JobProgress) -> JobProgress:
        """Keep all its audio; return how it ended."""
        began = progress.state == "running"
        progress = msgspec.structs.replace(progress, state="running")
        await self.store.note(progress)
        heard = [request.request, *await self.records.runs(request.request)] if began else []
        if 0 < progress.sentences == progress.spoken:  # the edge before this one kept all, and died
            return await self._done(progress)
        async with open_runs(self.bus, self.records, request, self.metrics, heard=heard, sole=True) as runs:
            if not began:
                await runs.begin(run=request.request)
            return await self._keep_all(request, progress, runs)

    async def _done(self, progress: JobProgress) -> JobProgress:
        done = msgspec.structs.replace(progress, state="done", estimated_end_unix_ms=None)
        await self.store.note(done)
        return done

    async def _keep_all(self, request: SpeechRequest, progress: JobProgress, runs: Runs) -> JobProgress:
        pace = _Pace(time.monotonic(), progress.spoken)
        async with self.speaker.taking_up(
            request,
            runs,
            _let_be,
            first_sentence=progress.spoken,
            first_audio_timeout_s=float("inf"),
            check=self._hand_back,
        ) as speech:
            speech.assembly.sentences = progress.sentences or None
            async for sentence in _sentences(speech):
                await self._check(request)
                if not progress.spoken and request.text_type == "ssml":
                    await self._keep_marks(request)
                await self.store.add(request.request, progress.spoken, sentence)
                progress = msgspec.structs.replace(
                    progress,
                    sentences=speech.assembly.sentences or 0,
                    spoken=progress.spoken + 1,
                    samples=progress.samples + len(sentence) // 2,
                    sample_rate_hz=speech.assembly.sample_rate_hz,
                )
                await self.store.note(pace.estimated(progress))
        return await self._done(progress)

    async def _keep_marks(self, request: SpeechRequest) -> None:
        """Keep the text's marks as long as its sound; what the splitter said is stored for some minutes only."""
        runs = [request.request, *await self.records.runs(request.request)]
        split = await stored_split(self.bus, request.tenant, runs)
        if split is not None and split.marks:
            await self.store.keep_marks(request.request, split.marks)

    async def _check(self, request: SpeechRequest) -> None:
        self._hand_back()
        if await self.records.cancelled(request.request):
            raise SpeechCancelled("the job was cancelled")

    def _hand_back(self) -> None:
        if self.stop.is_set():
            raise JobHandedBack("this edge stops; another one goes on with the job")


def _language(payload: bytes) -> str | None:
    """Return the language of a request that may be malformed."""
    with suppress(MalformedMessage):
        return codec.decode(payload, SpeechRequest).language
    return None


def tell_end(
    metrics: Metrics, tenant: str, ended: JobProgress, *, http_status: int = 200, language: str | None = None
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
        audio_seconds=round(ended.samples / ended.sample_rate_hz, 3) if ended.sample_rate_hz else 0.0,
    )


async def submit(bus: Bus, request: SpeechRequest) -> None:
    """Queue a job. Raises TenantQueueFull, QueueFull, TextTooLong, BusUnavailable."""
    await publish_request(bus, request, "job")


async def _let_be() -> None:
    """A job's speech goes on without a listener: another edge will listen."""


async def _sentences(speech: Speech) -> AsyncIterator[bytes]:
    """Yield the PCM of one sentence after another."""
    buffer, done = bytearray(), 0

    def whole() -> list[bytes]:
        nonlocal done
        ready: list[bytes] = []
        while done < len(speech.spoken) and len(buffer) >= (size := 2 * speech.spoken[done].samples):
            ready.append(bytes(buffer[:size]))
            del buffer[:size]
            done += 1
        return ready

    async for piece in speech.pieces():
        buffer += piece
        for sentence in whole():
            yield sentence
    for sentence in whole():
        yield sentence


@dataclass(frozen=True)
class _Pace:
    """How fast this edge sees a job through."""

    began_s: float
    spoken: int  # sentences at that time

    def estimated(self, progress: JobProgress) -> JobProgress:
        """Return the progress with the end that its pace promises."""
        each_s = (time.monotonic() - self.began_s) / (progress.spoken - self.spoken)
        left_s = each_s * (progress.sentences - progress.spoken)
        return msgspec.structs.replace(progress, estimated_end_unix_ms=round((time.time() + left_s) * 1000))


@dataclass(frozen=True)
class EveryonesJobs:
    """The queue of jobs is everybody's: each is seen through by the work of its tenant."""

    work_of: Callable[[str], JobWork]

    async def handle(self, delivery: Delivery) -> None:
        """See the job through."""
        await self._work(delivery).handle(delivery)

    async def give_up(self, delivery: Delivery, failure: PipelineError) -> None:
        """Say why the job ended."""
        await self._work(delivery).give_up(delivery, failure)

    def _work(self, delivery: Delivery) -> JobWork:
        tenant = tenant_of(delivery.subject)
        if tenant is None:
            raise MalformedMessage("the job came on a subject of no tenant; publish on tts.v1.job.<tenant>")
        return self.work_of(tenant)
