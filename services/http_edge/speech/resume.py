"""Resumption: a request that was published more than once is read as one stream, and work resumes where it stopped.

How it works

An attempt is one publication of the request, from some sentence on, under its own id. All attempts have the seed of
the request, and synthesis is deterministic, so a sentence has the same samples in each of them. A listener can
therefore read sentence 3 from the first attempt and sentence 4 from the second without a seam. `Assembly` merges the
chunks by (sentence, chunk) index, drops duplicates, and compares each sentence with the digest in its end marker.

A listener in real time requests its text in portions (`portions.py`). Its position decides when the next portion is
published (`portion_requests.py`) under the same id.

An attempt ends early for one of three reasons:
- It fails. The failure of the own attempt fails the listener. Once every attempt of other listeners has failed, a later
  one from the request store is read, or a new one starts at the first sentence that is not stored.
- `TTS_AUDIO` drops messages older than `AUDIO_KEPT_S`, and the oldest when it is full. A chunk is lost if its sentence
  has an end marker, stored or received, while the chunk is neither stored nor in the inbox. The marker must be of the
  own attempt, unless that leaves the sentence out because another attempt had it stored. A new attempt then starts at
  that sentence. A chunk that is lost again after some restarts fails the listener with AudioGone.
- It is silent for longer than its patience (`attempt_limits.py`), which depends on whose attempt it is, and on whether
  more is known to come.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import structlog

from services.common.bus.ports import Bus
from services.common.wire.failures import QueueFull, SpeechCancelled
from services.common.wire.messages import (
    AudioChunk,
    RequestEvent,
    SentenceSpoken,
    SpeechFailed,
    SpeechRequest,
    TextSplit,
)
from services.common.wire.parts import Span
from services.http_edge.metrics import Metrics
from services.http_edge.speech.assembly import Assembly, inconsistent
from services.http_edge.speech.attempt_events import AttemptEvents
from services.http_edge.speech.attempt_limits import (
    PATIENCE_S,
    UNKNOWN_PATIENCE_S,
    OwnAttempt,
    Restarts,
)
from services.http_edge.speech.commands import cancel, publish_request
from services.http_edge.speech.portion_requests import PortionRequests
from services.http_edge.speech.portions import PORTION_S, Commands, LatestPortion
from services.http_edge.speech.request_store import RequestStore
from services.http_edge.speech.sentence_offsets import SentenceOffsets

log = structlog.get_logger()


class Attempts:
    """The events of all attempts of a request. Starts another attempt if none is left that could deliver the rest."""

    def __init__(
        self, bus: Bus, records: RequestStore, commands: Commands, metrics: Metrics, *, sole: bool
    ) -> None:
        """`sole`: no other listener exists, so a silent attempt is cancelled before another one starts."""
        self._bus = bus
        self._records = records
        self._request = commands.request
        self._commands = commands
        self._metrics = metrics
        self._sole = sole
        self._offsets = SentenceOffsets(records, self._request.tenant, self._request.request)
        self._events = AttemptEvents(bus, self._request.tenant, Assembly())
        self._portions = PortionRequests(bus, commands, self._events, self._offsets, self._checked)
        self._ended: set[str] = set()
        self._own: OwnAttempt | None = None
        self._restarts = Restarts()
        self._split: tuple[Span, ...] | None = None
        self._last_event_s = self._now_s()

    @property
    def _assembly(self) -> Assembly:
        return self._events.assembly

    def attach(self, assembly: Assembly) -> None:
        """Read the events that this assembly is missing."""
        self._events.assembly = assembly

    async def subscribe(self, attempt: str) -> None:
        """Receive the events of one more attempt."""
        await self._portions.stop()
        await self._events.subscribe(attempt)
        self._portions.latest = LatestPortion(attempt)

    async def begin(
        self, first_sentence: int = 0, attempt: str | None = None, *, portions: bool = True
    ) -> None:
        """Start an attempt at this sentence: publish its first portion, or the whole rest of the text.

        Raises TenantQueueFull, QueueFull, BusUnavailable.
        """
        attempt = attempt or secrets.token_hex(16)
        await self.subscribe(attempt)
        self._last_event_s = self._now_s()
        make = self._commands.portion if portions else self._commands.all_from
        try:
            await publish_request(self._bus, make(attempt, first_sentence))
        except QueueFull:
            await self._events.drop(attempt)
            raise

        self._own = OwnAttempt(attempt, first_sentence, portions)
        self._portions.latest = LatestPortion(attempt, first_sentence)

        if attempt != self._request.request:
            await self._records.add_attempt(self._request.tenant, self._request.request, attempt)

    async def cancel(self) -> None:
        """Publish the cancellation of every attempt."""
        await cancel(self._bus, self._request.tenant, *self._events.ids)

    async def close(self) -> None:
        """Unsubscribe from all attempts, also if the caller is cancelled meanwhile."""
        try:
            await self._portions.stop()
        finally:
            await self._events.close()

    def request_ahead(self) -> None:
        """Request the next portion if the listener, which has read everything so far, needs it soon."""
        self._portions.request_ahead()

    async def locate(self, offset: int) -> tuple[int, int, int | None]:
        """Return the sentence at a byte offset of the PCM, the offset within it, and the total length if known.

        The total length in bytes is returned only for an offset at or past the end. Past the last known length, the
        sentence after that length is returned: the caller drops the audio before the offset.
        """
        sentence, begin = await self._offsets.last_before(offset)

        while (spoken := await self._events.spoken(sentence)) is not None:
            end = begin + 2 * spoken.samples
            if end > offset:
                break
            sentence += 1
            begin = end
            if sentence == spoken.sentences:
                return sentence, 0, begin

        self._offsets.begin = begin
        return sentence, offset - begin, None

    async def next(self, timeout_s: float) -> RequestEvent | None:
        """Return the next event of any attempt, in order of arrival within an attempt; None after the timeout."""
        return await self._filtered(await self._events.next(timeout_s))

    async def chunk(self, sentence: int, chunk: int) -> RequestEvent | None:
        """Fetch a chunk from any attempt that has it stored."""
        return await self._events.chunk(sentence, chunk)

    async def end(self, sentence: int) -> RequestEvent | None:
        """Fetch a sentence's end marker, or its failure if it is that of the own attempt."""
        for attempt in self._events.ids:
            event = await self._events.end(attempt, sentence)
            if event is not None and (filtered := await self._filtered(event)) is not None:
                return filtered
        return None

    async def failed(self) -> RequestEvent | None:
        """Look up failures: return that of the own attempt, and replace other attempts that failed."""
        for attempt in self._events.ids:
            if attempt in self._ended:
                continue
            event = await self._events.failed(attempt)
            if event is not None and (filtered := await self._filtered(event)) is not None:
                return filtered
        return None

    async def split(self) -> RequestEvent | None:
        """Fetch the segmentation of the text, which is the same in all attempts."""
        for attempt in self._events.ids:
            event = await self._events.split(attempt)
            if isinstance(event, TextSplit):
                return self._checked(event)
        return None

    async def recover(self) -> None:
        """Start a new attempt if audio is lost or an attempt has fallen silent.

        Called when nothing arrives, nothing more is stored, and the inbox is empty. Raises AudioGone if earlier
        restarts at the same chunk did not help, SpeechCancelled, QueueFull, BusUnavailable.
        """
        silent_s = self._now_s() - self._last_event_s
        if await self._is_lost():
            await self._restart()
        elif (own := self._covering_attempt()) is not None:
            if silent_s > own.patience_s(self._portions.latest, self._assembly):
                await self._restart()
        elif silent_s > await self._patience_s():
            if self._sole:
                await self.cancel()
            await self._continue()

    async def _filtered(self, event: RequestEvent | None) -> RequestEvent | None:
        """Return the event; if it ends another listener's attempt, ensure instead that an attempt continues."""
        if isinstance(event, AudioChunk | SentenceSpoken):
            self._last_event_s = self._now_s()
        if isinstance(event, TextSplit):
            return self._checked(event)
        if not isinstance(event, SpeechFailed) or self._is_own(event):
            return event
        if event.request not in self._ended:
            self._ended.add(event.request)
            if self._ended >= set(self._events.ids):
                await self._continue()
        return None

    def _checked(self, event: TextSplit) -> RequestEvent:
        """Return the event, or a failure if an earlier attempt divided the text differently."""
        known = self._assembly.sentences
        if (self._split or event.sentences) == event.sentences and known in (
            None,
            len(event.sentences),
        ):
            self._split = event.sentences
            if self._portions.latest is not None:
                self._portions.latest.update(event)
            return event

        return inconsistent(
            event,
            "the engine divides this text differently than in an earlier attempt; send it again",
        )

    def _is_own(self, event: SpeechFailed) -> bool:
        return self._own is not None and event.request == self._own.attempt

    def _covering_attempt(self) -> OwnAttempt | None:
        """Return the own attempt if it contains the sentence that is needed."""
        own = self._own
        return own if own is not None and own.covers(self._assembly.sentence) else None

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()

    async def _patience_s(self) -> float:
        """Return how long the attempts of other listeners can be silent.

        It is short if this is the only listener, and no segmentation is stored or the latest portion starts after the
        sentence that is needed.
        """
        if self._split is None:
            await self._look_up_splits()

        latest = self._portions.latest
        behind = latest is not None and self._assembly.sentence < latest.first
        return UNKNOWN_PATIENCE_S if self._sole and (self._split is None or behind) else PATIENCE_S

    async def _is_lost(self) -> bool:
        """Return whether the chunk that is needed next was synthesized, but is no longer stored."""
        sentence = self._assembly.sentence
        chunk = self._assembly.needs(sentence)
        if chunk is None:
            return False

        own = self._covering_attempt()
        latest = self._portions.latest
        is_elsewhere = own is None or (latest is not None and latest.leaves_out(sentence))
        attempts = self._events.ids if own is None or is_elsewhere else [own.attempt]

        for attempt in attempts:
            end = await self._events.end(attempt, sentence)
            if isinstance(end, SentenceSpoken) and chunk < end.chunks:
                return await self.chunk(sentence, chunk) is None
        return False

    async def _restart(self) -> None:
        """Start an attempt at the sentence whose audio is lost."""
        if await self._records.cancelled(self._request.tenant, self._request.request):
            raise SpeechCancelled("the request was cancelled")

        sentence = self._assembly.sentence
        self._restarts.add((sentence, self._assembly.needs(sentence) or 0))

        log.info(
            "audio_spoken_again",
            request=self._request.request,
            sentence=sentence,
            attempt=self._restarts.count,
        )
        self._metrics.spoken_again.inc()
        self._commands = self._commands.smaller()
        self._portions.commands = self._commands

        if self._sole:
            await self.cancel()
        await self.begin(sentence)

    async def _continue(self) -> None:
        """Continue at the first sentence that is not completely stored: in another attempt, or in a new one."""
        if await self._records.cancelled(self._request.tenant, self._request.request):
            raise SpeechCancelled("the request was cancelled")

        for attempt in await self._records.attempts(self._request.tenant, self._request.request):
            if attempt not in self._events.ids and attempt not in self._ended:
                await self.subscribe(attempt)
                return

        await self._look_up_splits()
        first = await self._events.first_missing(self._assembly.sentence, 2**31)
        if first is not None:
            log.info("request_resumed", request=self._request.request, sentence=first)
            self._metrics.taken_up.inc()
            await self.begin(first)

    async def _look_up_splits(self) -> None:
        """Read the stored segmentations, so that a different one is noticed later."""
        for attempt in self._events.ids:
            event = await self._events.split(attempt)
            if isinstance(event, TextSplit):
                self._checked(event)


@asynccontextmanager
async def open_attempts(
    bus: Bus,
    records: RequestStore,
    request: SpeechRequest,
    metrics: Metrics,
    *,
    earlier: Sequence[str],
    sole: bool,
    portion_s: float = PORTION_S,
    renewing: bool = False,
) -> AsyncIterator[Attempts]:
    """Subscribe to the attempts `earlier` of a request while the block runs.

    `renewing`: commands that are published later get as much time as the request had at first.
    """
    commands = Commands.of(request, portion_s, renewing=renewing)
    attempts = Attempts(bus, records, commands, metrics, sole=sole)
    try:
        for attempt in earlier:
            await attempts.subscribe(attempt)
        yield attempts
    finally:
        await attempts.close()
