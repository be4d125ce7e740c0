"""The story of one request: divide its text, queue its sentences in turn with others, and hold it until all are spoken.

The request is acknowledged at the very end. A splitter that dies is followed by another that is delivered the same
request, divides it the same way, sees from the stored end markers what is spoken, and queues the rest: what is queued
already is refused by the stream, so nothing is spoken twice.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Final

import structlog
from msgspec import UNSET

from services.common.bus import topology
from services.common.bus.cancels import Cancels
from services.common.bus.heartbeats import Heartbeats
from services.common.bus.inbox import Inbox, open_inbox_of_ends
from services.common.bus.ports import Bus, Delivery, SubjectFull
from services.common.runtime.deadline import Deadline
from services.common.runtime.lifecycle import tasks
from services.common.runtime.tracing import span
from services.common.wire import codec, subjects
from services.common.wire.addressing import require_own, tenant_of
from services.common.wire.failures import (
    DeadlineExceeded,
    EngineUnavailable,
    MalformedMessage,
    PipelineError,
    QueueFull,
    SpeechCancelled,
    SynthesisFailed,
)
from services.common.wire.identity import Identity, identity_of
from services.common.wire.messages import (
    CancelSpeech,
    Lane,
    Parameters,
    Portion,
    RequestEvent,
    SentenceSpoken,
    Span,
    SpeechFailed,
    SpeechRequest,
    TextSplit,
    WorkerState,
)
from services.common.wire.parameters import require_taken, takes_of
from services.splitter.conversion import (
    in_our_codes,
    job_of,
    languages_of,
    limits_of,
    require_within_quota,
    seconds_of,
    task_of,
    told_left_out,
)
from services.splitter.metrics import Metrics
from services.splitter.scheduling.backlog import Backlog, RequestBacklog
from services.splitter.scheduling.progress import Progress
from services.splitter.scheduling.scheduler import Permit, Scheduler
from services.splitter.segmentation.portions import Divisions, first_lane, portion_of, told_portion
from services.splitter.segmentation.process import MOST_CHILDREN, SegmentationCrashed, SegmentationTask, divide
from services.splitter.segmentation.sentences import Sentence, SplitText

log = structlog.get_logger()

_MOST_DIVISIONS: Final = 3
_EVENT_WAIT_S: Final = 1.0
_WORKERS_WAIT_S: Final = 2.0
_RECHECK_AFTER_WAITS: Final = 5  # end markers may be lost on their way; the stored ones are not
_FULL_QUEUE_PAUSE_S: Final = 0.2
_RECALLED_AT_ONCE: Final = 32  # end markers; a book has thousands, and its listener waits


@dataclass(frozen=True)
class RequestWork:
    """What a splitter does with the messages of `TTS_REQUESTS`."""

    bus: Bus
    workers: Heartbeats[WorkerState]
    cancels: Cancels
    ledger: Backlog
    metrics: Metrics
    gate: Scheduler
    stop: asyncio.Event  # set: hand back what is not spoken yet
    divisions: Divisions = field(default_factory=lambda: Divisions(_bounded_divide()))

    async def handle(self, delivery: Delivery) -> None:
        """Divide, queue, and wait until all is spoken."""
        asked = codec.decode(delivery.payload, SpeechRequest)
        require_own(asked, delivery.subject)
        request = in_our_codes(asked)
        deadline = Deadline.at(request.deadline_unix_ms)
        workers = await self._workers_of(request.engine)
        task = task_of(request, limits_of(workers))
        require_taken(request.parameters, engine=request.engine, takes=takes_of(workers))
        division = await self._divided(task, request, delivery.attempt)
        _check_first(request, division)
        if any(sentence.rate != 1 for sentence in division.sentences):
            require_taken(Parameters(speed=1.0), engine=request.engine, takes=takes_of(workers))
        log.info("text_split", request=request.request, language=request.language, sentences=len(division.sentences))
        rest = seconds_of(request, division.sentences)
        require_within_quota(request, rest)
        portion = portion_of(request, rest)
        # What is before the portion was spoken already, and what is after it is not asked for yet.
        seconds = [s if portion.first <= index < portion.until else 0.0 for index, s in enumerate(rest)]
        async with open_inbox_of_ends(self.bus, request.tenant, request.request) as inbox:
            with (
                self.ledger.hold(request.request, request.tenant, seconds) as debt,
                self.gate.join(request.engine, request.tenant) as seat,
            ):
                held = _Held(request, deadline, division.sentences, Progress(len(seconds)), inbox, debt, seat)
                await self._announce(request, division, portion, sum(rest), written=asked.language)
                for place in chain(range(portion.first), range(portion.until, len(seconds))):
                    held.end(place)
                if delivery.attempt > 1:
                    await _recall(held)
                await self._see_through(held)
        if portion.until == len(seconds):
            self.metrics.requests.labels(request.language, "spoken").inc()

    async def _divided(self, task: SegmentationTask, request: SpeechRequest, attempt: int) -> SplitText:
        """Divide the text. One that costs its process the third time is not tried again. Raises what `divide` does."""
        with self.metrics.split_duration.time(), span("division", characters=len(request.text)):
            try:
                return await self.divisions.of(task, in_portions=request.portion_s is not UNSET)
            except SegmentationCrashed as failure:
                if attempt < _MOST_DIVISIONS:
                    raise
                raise SynthesisFailed(str(failure)) from None

    async def give_up(self, delivery: Delivery, failure: PipelineError) -> None:
        """Tell the listener, and take the request's sentences back."""
        request, tenant = codec.peek_request(delivery.payload), tenant_of(delivery.subject)
        self.metrics.requests.labels("", failure.code).inc()
        if request is None or tenant is None:
            return  # so malformed that its sender cannot be told
        message = SpeechFailed(
            request=request, sentence=None, code=failure.code, detail=str(failure), retryable=failure.retryable
        )
        await self.bus.publish(  # before its sentences fail, which are called off and do not know why
            subjects.request_failed(tenant, request),
            codec.encode(message),
            message_id=Identity(tenant, "request", request).message_id("failed"),
        )
        await self._call_off(tenant, request, failure.code)

    async def _call_off(self, tenant: str, request: str, reason: str) -> None:
        """Take a request's sentences back, those that are being spoken as well."""
        await self.bus.purge(topology.SENTENCES, subjects.request_sentences(tenant, request))
        if reason != SpeechCancelled.code:  # of that everybody has heard
            message = CancelSpeech(request=request, tenant=tenant, reason=reason)
            await self.bus.send(subjects.cancel(tenant, request), codec.encode(message))

    async def _workers_of(self, engine: str) -> list[WorkerState]:
        """Return the engine's workers that know what they speak, at least one. Raises EngineUnavailable."""
        patience = Deadline.after(_WORKERS_WAIT_S)  # a splitter that has just started has heard nobody yet
        while not (workers := self._known(engine)):
            if patience.passed:
                raise EngineUnavailable(f"no worker for the engine {engine} is ready")
            await self.workers.news(timeout_s=patience.left_s)
        return workers

    def _known(self, engine: str) -> list[WorkerState]:
        """Return the engine's workers that are alive, but those whose model has not said yet what it speaks."""
        return [worker for worker in self.workers.alive() if worker.engine == engine and worker.max_characters]

    async def _announce(
        self, request: SpeechRequest, division: SplitText, portion: Portion, audio_s: float, *, written: str
    ) -> None:
        """Tell how the text is divided; `written`: the request's language as its sender writes it."""
        message = TextSplit(
            request=request.request,
            sentences=tuple(Span(sentence.start, sentence.end) for sentence in division.sentences),
            dropped=tuple(Span(start, end) for start, end in division.dropped),
            languages=languages_of(request, division, written),
            marks=division.marks,
            left_out=told_left_out(division),
            audio_s=UNSET if request.max_audio_s is UNSET else audio_s,
            portion=told_portion(request, portion),
        )
        later = [portion.first] if message.portion is not UNSET and portion.first else []
        await self.bus.publish(
            subjects.text_split(request.tenant, request.request),
            codec.encode(message),
            message_id=identity_of(request).message_id("split", *later),
        )

    async def _see_through(self, held: "_Held") -> None:
        """Queue the sentences, and return when all are spoken or one has failed."""
        with self.cancels.watch(identity_of(held.request), held.cancelled.set):
            async with tasks() as group:
                beside = [
                    group.create_task(self._queue_all(held), name="queueing"),
                    group.create_task(_until_cancelled(held), name="until-cancelled"),
                ]
                await self._hear_all(held)
                for task in beside:
                    task.cancel()

    async def _hear_all(self, held: "_Held") -> None:
        silent_waits = 0
        while not held.progress.done:
            self._check(held)
            event = await held.inbox.next(_EVENT_WAIT_S)
            silent_waits = 0 if event is not None else silent_waits + 1
            events = [event]
            if silent_waits >= _RECHECK_AFTER_WAITS:
                events = await _stored_ends(held, sorted(held.progress.queued))
                silent_waits = _RECHECK_AFTER_WAITS - 1 if events else 0  # there may be more where these were missed
            for event in events:
                if isinstance(event, SentenceSpoken):
                    held.end(event.sentence)
                if isinstance(event, SpeechFailed):
                    self._check(held)  # a cancelled sentence fails as well, and that is not its own failure
                    await self._call_off(held.request.tenant, held.request.request, event.code)
                    return  # the process that failed has told the listener

    async def _queue_all(self, held: "_Held") -> None:
        """Queue sentence after sentence, each when it is this request's turn."""
        while (place := held.progress.peek()) is not None:
            await held.seat.turn(held.lane(place), held.debt.seconds[place])
            if place in held.progress.ended:  # told so while it waited: an earlier splitter had queued it
                held.seat.done(held.lane(place))
                continue
            held.progress.queue(place)
            await self._queue(held, place)

    def _check(self, held: "_Held") -> None:
        if held.cancelled.is_set():
            raise SpeechCancelled("the request was cancelled")
        if self.stop.is_set():
            raise _HandedBack("this splitter stops; another one goes on with the request")
        if held.deadline.passed:
            raise DeadlineExceeded("the text was not spoken within the time that the request allowed")

    async def _queue(self, held: "_Held", place: int) -> None:
        """Queue one sentence; a full queue is waited for, until the request's deadline."""
        request = held.request
        job = job_of(request, held.sentences, place)
        subject = subjects.sentence(request.engine, held.lane(place), request.tenant, request.request, place)
        while True:
            self._check(held)
            try:
                await self.bus.publish(
                    subject,
                    codec.encode(job),
                    message_id=identity_of(request).message_id(place),
                    lifetime_s=held.deadline.left_s,
                )
            except SubjectFull:
                return  # queued by a splitter before this one
            except QueueFull:
                await asyncio.sleep(_FULL_QUEUE_PAUSE_S)
            else:
                self.metrics.sentences.labels(request.language).inc()
                return


@dataclass(frozen=True, eq=False)
class _Held:
    """A request that is held until all of it is spoken, and how far it has got."""

    request: SpeechRequest
    deadline: Deadline
    sentences: tuple[Sentence, ...]
    progress: Progress
    inbox: Inbox
    debt: RequestBacklog
    seat: Permit
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)

    def lane(self, place: int) -> Lane:
        """Return where a sentence is queued: the first one is waited for."""
        return first_lane(self.request) if place == self.request.first_sentence else "standard"

    def end(self, place: int) -> None:
        """Note that a sentence is spoken."""
        self.debt.pay(place)
        if self.progress.end(place):
            self.seat.done(self.lane(place))


async def _until_cancelled(held: _Held) -> None:
    """Raise SpeechCancelled as soon as somebody cancels the request."""
    await held.cancelled.wait()
    raise SpeechCancelled("the request was cancelled")


async def _recall(held: _Held) -> None:
    """Find out what a splitter before this one got spoken."""
    for event in await _stored_ends(held, range(held.progress.sentences)):
        if isinstance(event, SentenceSpoken):
            held.end(event.sentence)


async def _stored_ends(held: _Held, places: Sequence[int]) -> list[RequestEvent | None]:
    """Return the end markers of these sentences that are stored, some of which may have been missed on their way."""
    found: list[RequestEvent | None] = []
    for begin in range(0, len(places), _RECALLED_AT_ONCE):
        found += await asyncio.gather(*map(held.inbox.end, places[begin : begin + _RECALLED_AT_ONCE]))
    return [event for event in found if event is not None]


class _HandedBack(PipelineError):
    """Not a failure: the request goes back to the queue as it is."""

    code = "handed_back"
    retryable = True


def _bounded_divide() -> Callable[[SegmentationTask], Awaitable[SplitText]]:
    """Return `divide`, with a bound on the processes that divide at once."""
    return partial(divide, children=asyncio.Semaphore(MOST_CHILDREN))


def _check_first(request: SpeechRequest, division: SplitText) -> None:
    """Refuse to resume behind the end of a text. Raises MalformedMessage."""
    if request.first_sentence >= len(division.sentences):
        raise MalformedMessage(
            f"first_sentence is {request.first_sentence}, and the text has {len(division.sentences)} sentences; "
            "send an index of one of them, from 0"
        )
