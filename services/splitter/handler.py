"""Handles one request: divides its text, queues its sentences fairly with others, and holds it
until all are spoken.

The request is acknowledged at the very end. If the splitter crashes, the request is redelivered to
another one, which divides the text in the same way, reads from the stored end markers which
sentences are spoken, and queues the rest. The stream refuses sentences that are queued already, so
nothing is spoken twice.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Final

import structlog
from msgspec import UNSET

from services.common.bus import topology
from services.common.bus.cancels import Cancels
from services.common.bus.heartbeats import Heartbeats
from services.common.bus.inbox import open_inbox_of_ends
from services.common.bus.ports import Bus, Delivery, SubjectFull
from services.common.runtime.deadline import Deadline
from services.common.runtime.lifecycle import cancel_until_done, tasks
from services.common.runtime.tracing import span
from services.common.wire import codec, subjects
from services.common.wire.addressing import require_own, tenant_of
from services.common.wire.failures import (
    DeadlineExceeded,
    MalformedMessage,
    PipelineError,
    QueueFull,
    SpeechCancelled,
    SynthesisFailed,
)
from services.common.wire.identity import Identity, identity_of
from services.common.wire.messages import (
    CancelSpeech,
    SentenceSpoken,
    SpeechFailed,
    SpeechRequest,
    TextSplit,
    WorkerState,
)
from services.common.wire.parameters import takes_of
from services.common.wire.parts import Portion, Span
from services.splitter.conversion import (
    job_of,
    languages_of,
    left_out_of,
    limits_of,
    names_of,
    require_supported,
    require_within_quota,
    seconds_of,
    speakers_of,
    task_of,
    with_language_codes,
)
from services.splitter.engine_workers import EngineWorkers
from services.splitter.held_request import HeldRequest, restore, stored_ends, until_cancelled
from services.splitter.metrics import Metrics
from services.splitter.scheduling.backlog import Backlog
from services.splitter.scheduling.progress import Progress
from services.splitter.scheduling.scheduler import Scheduler
from services.splitter.segmentation.portions import (
    Divisions,
    portion_of,
    reported_portion,
)
from services.splitter.segmentation.process import (
    MOST_CHILDREN,
    SegmentationCrashed,
    SegmentationTask,
    divide,
)
from services.splitter.segmentation.sentences import SplitText
from services.splitter.voices import RequestVoices

log = structlog.get_logger()

_MOST_DIVISIONS: Final = 3
_EVENT_WAIT_S: Final = 1.0
_RECHECK_AFTER_WAITS: Final = 5  # live end markers may be lost; the stored ones are not
_FULL_QUEUE_PAUSE_S: Final = 0.2


@dataclass(frozen=True)
class RequestWork:
    """The handler of the messages of `TTS_REQUESTS`."""

    bus: Bus
    workers: Heartbeats[WorkerState]
    cancels: Cancels
    backlog: Backlog
    metrics: Metrics
    scheduler: Scheduler
    stop: asyncio.Event  # once set, requests that are not finished are returned to the queue
    divisions: Divisions = field(default_factory=lambda: Divisions(_bounded_divide()))

    async def handle(self, delivery: Delivery) -> None:
        """Divide the text, queue its sentences, and wait until all are spoken."""
        received = codec.decode(delivery.payload, SpeechRequest)
        require_own(received, delivery.subject)
        request = with_language_codes(received)
        deadline = Deadline.at(request.deadline_unix_ms)
        workers = await self._workers_of(request, deadline, attempt=delivery.attempt)
        task = task_of(request, limits_of(workers))
        division = await self._divided(task, request, delivery.attempt)
        request = await self._voices.resolved(
            request, workers, names_of(division), attempt=delivery.attempt
        )
        _check_first(request, division)
        require_supported(request, division, takes_of(workers))
        log.info(
            "text_split",
            request=request.request,
            language=request.language,
            sentences=len(division.sentences),
        )

        rest = seconds_of(request, division.sentences)
        require_within_quota(request, rest)
        portion = portion_of(request, rest)
        # Sentences before the portion are spoken already, and those after it are not requested yet.
        seconds = [
            s if portion.first <= index < portion.until else 0.0 for index, s in enumerate(rest)
        ]

        async with open_inbox_of_ends(self.bus, request.tenant, request.request) as inbox:
            with (
                self.backlog.hold(
                    request.request, request.tenant, seconds, engine=request.engine
                ) as backlog,
                self.scheduler.join(request.engine, request.tenant) as permit,
            ):
                held = HeldRequest(
                    request,
                    deadline,
                    division.sentences,
                    Progress(len(seconds)),
                    inbox,
                    backlog,
                    permit,
                )
                await self._announce(request, division, portion, sum(rest), received=received)
                for index in chain(range(portion.first), range(portion.until, len(seconds))):
                    held.end(index)
                if delivery.attempt > 1:
                    await restore(held)
                await self._finish(held)
        if portion.until == len(seconds):
            self.metrics.requests.labels(request.language, "spoken").inc()

    async def _divided(
        self, task: SegmentationTask, request: SpeechRequest, attempt: int
    ) -> SplitText:
        """Divide the text; fail for good when the process crashes at the third attempt. Raises what
        `divide` raises."""
        with self.metrics.split_duration.time(), span("division", characters=len(request.text)):
            try:
                return await self.divisions.of(task, in_portions=request.portion_s is not UNSET)
            except SegmentationCrashed as failure:
                if attempt < _MOST_DIVISIONS:
                    raise
                raise SynthesisFailed(str(failure)) from None

    async def give_up(self, delivery: Delivery, failure: PipelineError) -> None:
        """Report the failure to the client and withdraw the request's sentences."""
        request, tenant = codec.peek_request(delivery.payload), tenant_of(delivery.subject)
        self.metrics.requests.labels("", failure.code).inc()
        if request is None or tenant is None:
            return  # so malformed that the failure cannot be addressed to its sender
        message = SpeechFailed(
            request=request,
            sentence=None,
            code=failure.code,
            detail=str(failure),
            retryable=failure.retryable,
        )
        # before its cancelled sentences fail, which do not carry the reason
        await self.bus.publish(
            subjects.request_failed(tenant, request),
            codec.encode(message),
            message_id=Identity(tenant, "request", request).message_id("failed"),
        )
        await self._withdraw(tenant, request, failure.code)

    async def _withdraw(self, tenant: str, request: str, reason: str) -> None:
        """Withdraw a request's sentences: purge the queued ones, cancel those in flight."""
        await self.bus.purge(topology.SENTENCES, subjects.request_sentences(tenant, request))
        if reason != SpeechCancelled.code:  # whose cancel message every process has received
            message = CancelSpeech(request=request, tenant=tenant, reason=reason)
            await self.bus.send(subjects.cancel(tenant, request), codec.encode(message))

    @property
    def _voices(self) -> RequestVoices:
        return RequestVoices(self.bus)

    async def _workers_of(
        self, request: SpeechRequest, deadline: Deadline, *, attempt: int
    ) -> list[WorkerState]:
        """Return the engine's workers with a loaded model, at least one.

        Raises EngineUnavailable, SpeechCancelled, DeadlineExceeded.
        """
        begun = attempt > 1 or request.first_sentence > 0 or request.portion_s is not UNSET
        cancelled = asyncio.Event()
        with self.cancels.watch(identity_of(request), cancelled.set):
            return await EngineWorkers(self.workers, request.engine).until_loaded(
                lambda: self._check(cancelled, deadline), patient=begun
            )

    async def _announce(
        self,
        request: SpeechRequest,
        division: SplitText,
        portion: Portion,
        audio_s: float,
        *,
        received: SpeechRequest,
    ) -> None:
        """Publish how the text is divided, and the voice. `received`: the request as the client sent
        it."""
        message = TextSplit(
            request=request.request,
            sentences=tuple(Span(sentence.start, sentence.end) for sentence in division.sentences),
            dropped=tuple(Span(start, end) for start, end in division.dropped),
            languages=languages_of(request, division, received.language),
            marks=division.marks,
            left_out=left_out_of(division),
            audio_s=UNSET if request.max_audio_s is UNSET else audio_s,
            portion=reported_portion(request, portion),
            voice=request.voice,
            parameters=UNSET if request.parameters == received.parameters else request.parameters,
            voices=request.voices,
            speakers=speakers_of(request, division),
        )
        later = [portion.first] if message.portion is not UNSET and portion.first else []
        stored = await self.bus.publish(
            subjects.text_split(request.tenant, request.request),
            codec.encode(message),
            message_id=identity_of(request).message_id("split", *later),
        )
        if not stored and not await self._voices.announced(request):
            raise _Returned("another delivery of the request has announced another voice")

    async def _finish(self, held: HeldRequest) -> None:
        """Queue the sentences; return when all are spoken or one has failed."""
        with self.cancels.watch(identity_of(held.request), held.cancelled.set):
            async with tasks() as group:
                background = [
                    group.create_task(self._queue_all(held), name="queueing"),
                    group.create_task(until_cancelled(held), name="until-cancelled"),
                ]
                try:
                    await self._receive_ends(held)
                finally:  # while it queues, a cancellation can be lost: the request would keep its permits
                    await cancel_until_done(*background)

    async def _receive_ends(self, held: HeldRequest) -> None:
        silent_waits = 0
        while not held.progress.done:
            self._check(held.cancelled, held.deadline)
            event = await held.inbox.next(_EVENT_WAIT_S)
            silent_waits = 0 if event is not None else silent_waits + 1
            events = [event]
            if silent_waits >= _RECHECK_AFTER_WAITS:
                events = await stored_ends(held, sorted(held.progress.queued))
                # more may have been missed
                silent_waits = _RECHECK_AFTER_WAITS - 1 if events else 0
            for event in events:
                if isinstance(event, SentenceSpoken):
                    held.end(event.sentence)
                if isinstance(event, SpeechFailed):
                    # a sentence also fails because the request was cancelled, which is reported so
                    self._check(held.cancelled, held.deadline)
                    await self._withdraw(held.request.tenant, held.request.request, event.code)
                    return  # the process that failed has reported it to the client

    async def _queue_all(self, held: HeldRequest) -> None:
        """Queue one sentence after another, each when the scheduler grants it."""
        while (index := held.progress.peek()) is not None:
            await held.permit.acquire(held.lane(index), held.backlog.seconds[index])
            # spoken in the meantime: an earlier splitter had queued it
            if index in held.progress.ended:
                held.permit.release(held.lane(index))
                continue
            held.progress.queue(index)
            await self._queue(held, index)

    def _check(self, cancelled: asyncio.Event, deadline: Deadline) -> None:
        if cancelled.is_set():
            raise SpeechCancelled("the request was cancelled")
        if self.stop.is_set():
            raise _Returned("the splitter is stopping; another one continues the request")
        if deadline.passed:
            raise DeadlineExceeded("the text was not spoken before the request's deadline")

    async def _queue(self, held: HeldRequest, index: int) -> None:
        """Queue one sentence; wait while the queue is full, until the request's deadline."""
        request = held.request
        job = job_of(request, held.sentences, index)
        subject = subjects.sentence(
            request.engine, held.lane(index), request.tenant, request.request, index
        )
        while True:
            self._check(held.cancelled, held.deadline)
            try:
                await self.bus.publish(
                    subject,
                    codec.encode(job),
                    message_id=identity_of(request).message_id(index),
                    lifetime_s=held.deadline.left_s,
                )
            except SubjectFull:
                return  # queued by an earlier splitter
            except QueueFull:
                await asyncio.sleep(_FULL_QUEUE_PAUSE_S)
            else:
                self.metrics.sentences.labels(request.language).inc()
                return


class _Returned(PipelineError):
    """Not a failure: the request is returned to the queue unchanged."""

    code = "handed_back"
    retryable = True


def _bounded_divide() -> Callable[[SegmentationTask], Awaitable[SplitText]]:
    """Return `divide` with a limit on the number of concurrent child processes."""
    return partial(divide, children=asyncio.Semaphore(MOST_CHILDREN))


def _check_first(request: SpeechRequest, division: SplitText) -> None:
    """Raise MalformedMessage if the request resumes past the end of its text."""
    if request.first_sentence >= len(division.sentences):
        raise MalformedMessage(
            f"first_sentence is {request.first_sentence}, and the text has {len(division.sentences)} sentences; "
            "send an index of one of them, from 0"
        )
