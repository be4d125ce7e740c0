"""The story of one request: divide its text, queue its sentences through a window, and hold it until all are spoken.

The request is acknowledged at the very end. A splitter that dies is followed by another that is delivered the same
request, divides it the same way, sees from the stored end markers what is spoken, and queues the rest: what is queued
already is refused by the stream, so nothing is spoken twice.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Final

import structlog

from services.common.bus import topology
from services.common.bus.cancels import Cancels
from services.common.bus.inbox import Inbox, open_inbox
from services.common.bus.ports import Bus, Delivery, SubjectFull
from services.common.bus.presence import Presence
from services.common.wire import codec, subjects
from services.common.wire.failures import (
    DeadlineExceeded,
    EngineUnavailable,
    PipelineError,
    QueueFull,
    SpeechCancelled,
    UnsupportedLanguage,
)
from services.common.wire.messages import (
    SentenceJob,
    SentenceSpoken,
    Span,
    SpeechFailed,
    SpeechRequest,
    TextSplit,
    WorkerState,
)
from services.common.wire.parameters import require_taken, takes_of
from services.common.wire.seeds import sentence_seed
from services.splitter.ledger import Ledger
from services.splitter.metrics import Metrics
from services.splitter.sentences import Sentence, SplitText, split
from services.splitter.window import Window

log = structlog.get_logger()

_SHORT_CHARACTERS: Final = 2_000  # divided sooner than a thread would have begun
_EVENT_WAIT_S: Final = 1.0
_RECHECK_AFTER_WAITS: Final = 5  # an end marker may be lost on its way; the stored one is not
_FULL_QUEUE_PAUSE_S: Final = 0.2


@dataclass(frozen=True)
class RequestWork:
    """What a splitter does with the messages of `TTS_REQUESTS`."""

    bus: Bus
    workers: Presence[WorkerState]
    cancels: Cancels
    ledger: Ledger
    metrics: Metrics
    window: int
    stop: asyncio.Event  # set: hand back what is not spoken yet

    async def handle(self, delivery: Delivery) -> None:
        """Divide, queue, and wait until all is spoken."""
        request = codec.decode(delivery.payload, SpeechRequest)
        workers = await self._workers_of(request.engine)
        limit = _limit(workers, request)
        require_taken(request.parameters, engine=request.engine, takes=takes_of(workers))
        if len(request.text) < _SHORT_CHARACTERS:
            division = self._divide(request, limit)
        else:
            division = await asyncio.to_thread(self._divide, request, limit)
        log.info("text_split", request=request.request, language=request.language, sentences=len(division.sentences))
        async with open_inbox(self.bus, request.tenant, request.request) as inbox:
            await self._announce(request, division)
            window = Window(sentences=len(division.sentences), size=self.window)
            if delivery.attempt > 1:
                await self._recall(window, inbox)
            characters = [len(sentence.spoken) for sentence in division.sentences]
            speed = request.parameters.speed or 1.0
            with self.ledger.hold(request.request, characters, request.language, speed=speed):
                await self._see_through(request, division.sentences, window, inbox)
        self.metrics.requests.labels(request.language, "spoken").inc()

    async def give_up(self, delivery: Delivery, failure: PipelineError) -> None:
        """Tell the listener, and take the request's sentences back."""
        request, tenant = codec.peek(delivery.payload, "request"), delivery.subject.rsplit(".", 1)[-1]
        self.metrics.requests.labels("", failure.code).inc()
        if request is None:
            return  # so malformed that nobody can be told
        await self.bus.purge(topology.SENTENCES, subjects.request_sentences(tenant, request))
        message = SpeechFailed(
            request=request, sentence=None, code=failure.code, detail=str(failure), retryable=failure.retryable
        )
        await self.bus.publish(
            subjects.request_failed(tenant, request), codec.encode(message), message_id=f"{request}.failed"
        )

    async def _workers_of(self, engine: str) -> list[WorkerState]:
        """Return the engine's workers that are alive, at least one. Raises EngineUnavailable."""
        workers = [worker for worker in self.workers.alive() if worker.engine == engine]
        if not workers:
            await self.workers.news(timeout_s=2.0)  # a splitter that has just started has heard nobody yet
            workers = [worker for worker in self.workers.alive() if worker.engine == engine]
        if not workers:
            raise EngineUnavailable(f"no worker for the engine {engine} is alive")
        return workers

    def _divide(self, request: SpeechRequest, limit: int) -> SplitText:
        with self.metrics.split_duration.time():
            return split(
                request.text,
                request.language,
                max_characters=limit,
                enable_text_splitting=request.split,
                spoken_forms=request.spoken_forms,
                pronunciations=request.pronunciations,
            )

    async def _announce(self, request: SpeechRequest, division: SplitText) -> None:
        message = TextSplit(
            request=request.request,
            sentences=tuple(Span(sentence.start, sentence.end) for sentence in division.sentences),
            dropped=tuple(Span(start, end) for start, end in division.dropped),
        )
        await self.bus.publish(
            subjects.text_split(request.tenant, request.request),
            codec.encode(message),
            message_id=f"{request.request}.split",
        )

    async def _recall(self, window: Window, inbox: Inbox) -> None:
        """Find out what a splitter before this one got spoken."""
        for place in range(window.sentences):
            if isinstance(await inbox.end(place), SentenceSpoken):
                window.end(place)

    async def _see_through(
        self, request: SpeechRequest, sentences: tuple[Sentence, ...], window: Window, inbox: Inbox
    ) -> None:
        cancelled = asyncio.Event()
        silent_waits = 0
        with self.cancels.watch(subjects.RequestKey(request.tenant, request.request), cancelled.set):
            while not window.done:
                self._check(request, cancelled)
                for place in window.to_queue():
                    await self._queue(request, sentences, place, cancelled)
                event = await inbox.next(_EVENT_WAIT_S)
                silent_waits = 0 if event is not None else silent_waits + 1
                if silent_waits >= _RECHECK_AFTER_WAITS:
                    silent_waits, event = 0, await self._recheck(window, inbox)
                if isinstance(event, SentenceSpoken):
                    window.end(event.sentence)
                    self.ledger.spoken(request.request, event.sentence)
                if isinstance(event, SpeechFailed):
                    await self.bus.purge(
                        topology.SENTENCES, subjects.request_sentences(request.tenant, request.request)
                    )
                    return  # whoever failed has told the listener

    async def _recheck(self, window: Window, inbox: Inbox) -> SentenceSpoken | SpeechFailed | None:
        """Look up one end marker that may have been missed; the others follow at the next look."""
        for place in sorted(window.queued):
            event = await inbox.end(place)
            if isinstance(event, SentenceSpoken | SpeechFailed):
                return event
        return None

    def _check(self, request: SpeechRequest, cancelled: asyncio.Event) -> None:
        if cancelled.is_set():
            raise SpeechCancelled("the request was cancelled")
        if self.stop.is_set():
            raise _HandedBack("this splitter stops; another one goes on with the request")
        if time.time() * 1000 > request.deadline_unix_ms:
            raise DeadlineExceeded("the text was not spoken within the time that the request allowed")

    async def _queue(
        self, request: SpeechRequest, sentences: tuple[Sentence, ...], place: int, cancelled: asyncio.Event
    ) -> None:
        """Queue one sentence; a full queue is waited for, until the request's deadline."""
        job = _job(request, sentences, place)
        subject = subjects.sentence(
            request.engine, "express" if place == 0 else "standard", request.tenant, request.request, place
        )
        while True:
            self._check(request, cancelled)
            lifetime_s = request.deadline_unix_ms / 1000 - time.time()
            try:
                await self.bus.publish(
                    subject, codec.encode(job), message_id=f"{request.request}.{place}", lifetime_s=lifetime_s
                )
            except SubjectFull:
                return  # queued by a splitter before this one
            except QueueFull:
                await asyncio.sleep(_FULL_QUEUE_PAUSE_S)
            else:
                self.metrics.sentences.labels(request.language).inc()
                return


class _HandedBack(PipelineError):
    """Not a failure: the request goes back to the queue as it is."""

    code = "handed_back"
    retryable = True


def _limit(workers: list[WorkerState], request: SpeechRequest) -> int:
    """Return the longest sentence that every worker takes. Raises UnsupportedLanguage."""
    limits = [
        worker.max_characters[request.language] for worker in workers if request.language in worker.max_characters
    ]
    if not limits:
        raise UnsupportedLanguage(f"the engine {request.engine} does not speak {request.language}")
    return min(limits)


def _job(request: SpeechRequest, sentences: tuple[Sentence, ...], place: int) -> SentenceJob:
    return SentenceJob(
        request=request.request,
        tenant=request.tenant,
        engine=request.engine,
        language=request.language,
        sentence=place,
        sentences=len(sentences),
        text=sentences[place].spoken,
        clips=request.clips,
        seed=sentence_seed(request.seed, place),
        pause_after_ms=sentences[place].pause_after_ms,
        deadline_unix_ms=request.deadline_unix_ms,
        parameters=request.parameters,
    )
