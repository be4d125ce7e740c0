"""Resumption: a request that was published more than once is read as one stream, and work resumes where it stopped.

How it works

An attempt is one publication of the request, from some sentence on, under its own id. All attempts have the seed of
the request, and synthesis is deterministic, so a sentence has the same samples in each of them. A listener can
therefore read sentence 3 from the first attempt and sentence 4 from the second without a seam; the chunks are merged
by (sentence, chunk) index, and duplicates are dropped.

A listener in real time requests its text in portions (`portions.py`). Its position decides when the next portion is
published, under the id of the current attempt.

Three things end an attempt early: it fails, its audio expires, or it falls silent.

- It fails with a retryable failure: another listener's attempt continues if there is one, else a new one starts.
- `TTS_AUDIO` drops messages older than `AUDIO_KEPT_S`, and the oldest when it is full. A chunk is lost if its sentence
  has an end marker, stored or received, while the chunk is neither stored nor in the inbox. A new attempt then starts
  at that sentence. A chunk that is lost again after `_MOST_ATTEMPTS` of them fails the request.
- It is silent for `_PATIENCE_S` while another listener owns it: the request is resumed in a new attempt.
"""

import asyncio
import math
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import structlog

from services.common.bus.ports import Bus
from services.common.wire.failures import BusUnavailable, QueueFull, SpeechCancelled
from services.common.wire.messages import (
    AudioChunk,
    RequestEvent,
    SentenceSpoken,
    Span,
    SpeechFailed,
    SpeechRequest,
    TextSplit,
)
from services.http_edge.errors import AudioGone
from services.http_edge.metrics import Metrics
from services.http_edge.speech.assembly import Assembly, inconsistent
from services.http_edge.speech.attempt_events import AttemptEvents
from services.http_edge.speech.commands import cancel, publish_request
from services.http_edge.speech.portions import PORTION_S, Asked, Commands
from services.http_edge.speech.request_store import RequestStore
from services.http_edge.speech.sentence_offsets import SentenceOffsets

log = structlog.get_logger()

_PATIENCE_S: Final = 30.0  # maximum silence of another listener's attempt
_UNKNOWN_PATIENCE_S: Final = 5.0  # the same, if nothing is stored at the needed sentence
_OWN_PATIENCE_S: Final = 120.0  # the same, of our own portion: its end markers may be lost like its audio
_MOST_ATTEMPTS: Final = 3  # at one chunk that is lost each time before it is read
_MOST_STORED: Final = 64  # sentences that are looked up at once
_ASK_AGAIN_S: Final = 0.5  # after the next portion could not be requested


class Attempts:
    """The events of all attempts of a request. Starts another attempt if none is left that could deliver the rest."""

    def __init__(self, bus: Bus, records: RequestStore, commands: Commands, metrics: Metrics, *, sole: bool) -> None:
        """`sole`: no other listener exists, so a silent attempt is cancelled before another one starts."""
        self._bus = bus
        self._records = records
        self._request = request = commands.request
        self._commands = commands
        self._metrics = metrics
        self._sole = sole
        self._places = SentenceOffsets(records, request.request)
        self._heard = AttemptEvents(bus, request.tenant, Assembly())
        self._ended: set[str] = set()
        self._own: str | None = None  # the run that was started here
        self._own_first = 0
        self._in_portions = False  # the run that was started here
        self._asked: Asked | None = None
        self._asking: asyncio.Task[None] | None = None
        self._ask_from_s = 0.0
        self._gone_at = (-1, -1)  # sentence and chunk that were lost last
        self._attempts = 0
        self._split: tuple[Span, ...] | None = None
        self._last_news_s = self._now_s()

    @property
    def _assembly(self) -> Assembly:
        return self._heard.assembly

    def serve(self, assembly: Assembly) -> None:
        """Listen for what this assembly is missing."""
        self._heard.assembly = assembly

    async def hear(self, run: str) -> None:
        """Listen to one more run."""
        await self._stop_asking()
        await self._heard.hear(run)
        self._asked = Asked(run)

    async def begin(self, first_sentence: int = 0, run: str | None = None, *, portions: bool = True) -> None:
        """Publish a run that speaks from this sentence on: a portion, or all at once.

        Raises TenantQueueFull, QueueFull, BusUnavailable.
        """
        run = run or secrets.token_hex(16)
        await self.hear(run)
        self._last_news_s = self._now_s()
        make = self._commands.portion if portions else self._commands.all_from
        try:
            await publish_request(self._bus, make(run, first_sentence))
        except QueueFull:
            await self._heard.drop(run)
            raise
        self._own, self._own_first, self._in_portions = run, first_sentence, portions
        self._asked = Asked(run, first_sentence)
        if run != self._request.request:
            await self._records.add_run(self._request.request, run)

    async def cancel(self) -> None:
        """Stop every run."""
        await cancel(self._bus, self._request.tenant, *self._heard.ids)

    async def close(self) -> None:
        """Stop listening."""
        await self._stop_asking()
        await self._heard.close()

    def listened(self) -> None:
        """Note that the listener took what came so far: ask for the next portion where it is time."""
        if self._asking is not None and self._asking.done():
            asking, self._asking = self._asking, None
            asking.result()
        if self._asked is None or self._asking is not None or self._now_s() < self._ask_from_s:
            return
        if self._asked.due(self._assembly.sentence):
            self._asking = asyncio.create_task(self._ask(self._asked), name="next-portion")

    async def place_of(self, offset: int) -> tuple[int, int, int | None]:
        """Return the sentence that holds this byte of the PCM, how far into it that is, and the whole length in bytes
        where the byte is past the end. Past the last known length it is the sentence after that: drop what is before.
        """
        sentence, before = await self._places.last_before(offset)
        while (spoken := await self._heard.spoken(sentence)) is not None:
            if before + 2 * spoken.samples > offset:
                break
            sentence, before = sentence + 1, before + 2 * spoken.samples
            if sentence == spoken.sentences:
                return sentence, 0, before
        self._places.begin = before
        return sentence, offset - before, None

    async def next(self, timeout_s: float) -> RequestEvent | None:
        """Return the next event of any run, in order of arrival within a run; None after the timeout."""
        return await self._sifted(await self._heard.next(timeout_s))

    async def chunk(self, sentence: int, chunk: int) -> RequestEvent | None:
        """Fetch a chunk from whichever run has stored it."""
        return await self._heard.chunk(sentence, chunk)

    async def end(self, sentence: int) -> RequestEvent | None:
        """Fetch a sentence's end marker; a failure only from a run that was started here."""
        for run in self._heard.ids:
            event = await self._heard.end(run, sentence)
            if event is not None and (sifted := await self._sifted(event)) is not None:
                return sifted
        return None

    async def failed(self) -> RequestEvent | None:
        """Look for failures: return that of a run that was started here, and replace others."""
        for run in self._heard.ids:
            if run in self._ended:
                continue
            event = await self._heard.failed(run)
            if event is not None and (sifted := await self._sifted(event)) is not None:
                return sifted
        return None

    async def split(self) -> RequestEvent | None:
        """Fetch how the text was divided, which is the same in all runs."""
        for run in self._heard.ids:
            event = await self._heard.split(run)
            if isinstance(event, TextSplit):
                return self._checked(event)
        return None

    async def recover(self) -> None:
        """Speak again what is lost: nothing arrives, nothing is stored, and the inbox is empty.

        Raises AudioGone where that did not help, SpeechCancelled, QueueFull, BusUnavailable.
        """
        silent_s = self._now_s() - self._last_news_s
        if await self._gone():
            await self._speak_again()
        elif self._own_covers():
            if silent_s > self._own_patience_s():
                await self._speak_again()
        elif silent_s > await self._patience_s():
            if self._sole:
                await self.cancel()
            await self._take_up()

    async def _ask(self, asked: Asked) -> None:
        """Ask for the portion after the last one, unless another listener did, or its audio is stored."""
        try:
            told = await self._heard.split(asked.run)
            if isinstance(told, TextSplit):
                self._checked(told)
            sentence = self._assembly.sentence
            ended = await self._heard.failed(asked.run) is not None  # `failed` sees to that
            if ended or asked.until is None or not asked.due(sentence):
                self._ask_from_s = self._now_s() + _ASK_AGAIN_S
                return
            await self._heard.drain(asked.run)
            first = max(asked.until, sentence)
            missing = await self._heard.first_missing(first, _MOST_STORED)
            if missing != first:
                asked.first, asked.until = first, asked.sentences if missing is None else missing
                return
            await publish_request(self._bus, self._commands.next_portion(asked.run, first), part=first)
            asked.first, asked.until = first, None
            await self._places.note(self._assembly)
        except (BusUnavailable, QueueFull) as failure:  # the listener has a portion in hand yet
            log.warning("portion_delayed", request=self._request.request, code=failure.code)
            self._ask_from_s = self._now_s() + _ASK_AGAIN_S

    async def _stop_asking(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
            self._asking = None

    async def _sifted(self, event: RequestEvent | None) -> RequestEvent | None:
        """Return the event; if it ends another listener's attempt, ensure instead that an attempt continues."""
        if isinstance(event, AudioChunk | SentenceSpoken):
            self._last_news_s = self._now_s()
        if isinstance(event, TextSplit):
            return self._checked(event)
        if not isinstance(event, SpeechFailed) or event.request == self._own:
            return event
        if event.request not in self._ended:
            self._ended.add(event.request)
            if self._ended >= set(self._heard.ids):
                await self._take_up()
        return None

    def _checked(self, event: TextSplit) -> RequestEvent:
        """Return the event, or the failure that it is: sentences of two different divisions are no one speech."""
        known = self._assembly.sentences
        if (self._split or event.sentences) == event.sentences and known in (None, len(event.sentences)):
            self._split = event.sentences
            if self._asked is not None:
                self._asked.hear(event)
            return event
        return inconsistent(event, "the engine divides this text otherwise than when it began; send it again")

    def _own_covers(self) -> bool:
        """Return whether a run that was started here speaks the sentence that is needed."""
        return self._own is not None and self._assembly.sentence >= self._own_first

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()

    def _own_patience_s(self) -> float:
        """Return how long a run that was started here may be silent: one that speaks all at once, for ever, as it may
        wait for its turn; a portion waits only briefly if it was announced and its extent is unknown."""
        asked = self._asked
        if asked is None or not self._in_portions:
            return math.inf
        begun = self._assembly.sentence > asked.first or bool(self._assembly.needs(asked.first))
        return _UNKNOWN_PATIENCE_S if asked.until is None and begun else _OWN_PATIENCE_S

    async def _patience_s(self) -> float:
        """Return how long other listeners' runs may be silent: not long where this is the only listener, and what it
        needs was spoken before what is stored now."""
        if self._split is None:
            await self._recall_split()
        behind = self._asked is not None and self._assembly.sentence < self._asked.first
        return _UNKNOWN_PATIENCE_S if self._sole and (self._split is None or behind) else _PATIENCE_S

    async def _gone(self) -> bool:
        """Return whether the audio that is needed next was spoken, and is stored no longer."""
        sentence = self._assembly.sentence
        chunk = self._assembly.needs(sentence)
        if chunk is None:
            return False
        runs = [self._own] if self._own is not None and self._own_covers() else self._heard.ids
        for run in runs:
            end = await self._heard.end(run, sentence)
            if isinstance(end, SentenceSpoken) and chunk < end.chunks:
                return await self.chunk(sentence, chunk) is None
        return False

    async def _speak_again(self) -> None:
        """Start an attempt at the sentence whose audio is lost."""
        if await self._records.cancelled(self._request.request):
            raise SpeechCancelled("the request was cancelled")
        sentence = self._assembly.sentence
        place = (sentence, self._assembly.needs(sentence) or 0)
        self._attempts = self._attempts + 1 if place == self._gone_at else 1
        self._gone_at = place
        if self._attempts > _MOST_ATTEMPTS:
            raise AudioGone("the audio was dropped before it could be sent, however often it was made; try again later")
        log.info("audio_spoken_again", request=self._request.request, sentence=sentence, attempt=self._attempts)
        self._metrics.spoken_again.inc()
        self._commands = self._commands.smaller()
        if self._sole:
            await self.cancel()
        await self.begin(sentence)

    async def _take_up(self) -> None:
        """Continue at the first sentence that is not completely stored: in another attempt, or in a new one."""
        if await self._records.cancelled(self._request.request):
            raise SpeechCancelled("the request was cancelled")
        for run in await self._records.runs(self._request.request):
            if run not in self._heard.ids and run not in self._ended:
                await self.hear(run)
                return
        await self._recall_split()
        first = await self._heard.first_missing(self._assembly.sentence, 2**31)
        if first is not None:
            log.info("request_taken_up", request=self._request.request, sentence=first)
            self._metrics.taken_up.inc()
            await self.begin(first)

    async def _recall_split(self) -> None:
        """Find out how the text was divided, so that another division is noticed."""
        for run in self._heard.ids:
            event = await self._heard.split(run)
            if isinstance(event, TextSplit):
                self._checked(event)


@asynccontextmanager
async def open_attempts(
    bus: Bus,
    records: RequestStore,
    request: SpeechRequest,
    metrics: Metrics,
    *,
    heard: Sequence[str],
    sole: bool,
    portion_s: float = PORTION_S,
    renewing: bool = False,
) -> AsyncIterator[Attempts]:
    """Listen to these runs of a request while the block runs.

    `renewing`: what is published later has as much time as the request had at first.
    """
    commands = Commands.of(request, portion_s, renewing=renewing)
    runs = Attempts(bus, records, commands, metrics, sole=sole)
    try:
        for run in heard:
            await runs.hear(run)
        yield runs
    finally:
        await runs.close()
