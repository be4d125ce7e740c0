"""A request that was published more than once, heard as one: work is taken up again where it stopped.

A run is one publication, under an id of its own. Every run has the same seed, so the same sentence has the same samples
in each of them, and it does not matter from which one it is taken.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import msgspec
import structlog

from services.common.bus import topology
from services.common.bus.inbox import Inbox, decoded, open_inbox
from services.common.bus.ports import Bus
from services.common.wire import subjects
from services.common.wire.failures import SpeechCancelled
from services.common.wire.messages import (
    AudioChunk,
    RequestEvent,
    SentenceSpoken,
    Span,
    SpeechFailed,
    SpeechRequest,
    TextSplit,
)
from services.http_edge.assembly import Assembly
from services.http_edge.commands import cancel, publish_request
from services.http_edge.metrics import Metrics
from services.http_edge.records import Records

log = structlog.get_logger()

_PATIENCE_S: Final = 30.0  # so long a run of somebody else's may be silent
_POLL_S: Final = 60.0


async def stored_split(bus: Bus, tenant: str, runs: Sequence[str]) -> TextSplit | None:
    """Return how a request's text was divided, which is the same in all its runs; None where it is not stored."""
    for run in runs:
        subject = subjects.text_split(tenant, run)
        payload = await bus.last(topology.AUDIO, subject)
        event = None if payload is None else decoded(subject, payload)
        if isinstance(event, TextSplit):
            return event
    return None


class Runs:
    """The events of all runs of a request. Where no run is left that could say what is missing, it starts another."""

    def __init__(
        self, bus: Bus, records: Records, request: SpeechRequest, metrics: Metrics, stack: AsyncExitStack, *, sole: bool
    ) -> None:
        """`sole`: nobody else listens, so a run that is silent for long is cancelled before another one is started."""
        self._bus = bus
        self._records = records
        self._request = request
        self._metrics = metrics
        self._stack = stack
        self._sole = sole
        self._inboxes: dict[str, Inbox] = {}
        self._waiting: dict[asyncio.Task[RequestEvent | None], Inbox] = {}
        self._ended: set[str] = set()
        self._own: str | None = None  # the run that was started here
        self._own_first = 0
        self._assembly = Assembly()
        self._split: tuple[Span, ...] | None = None
        self._last_news_s = asyncio.get_running_loop().time()

    @property
    def ids(self) -> tuple[str, ...]:
        """Return all runs, oldest first."""
        return tuple(self._inboxes)

    def serve(self, assembly: Assembly) -> None:
        """Listen for what this assembly is missing."""
        self._assembly = assembly

    async def hear(self, run: str) -> None:
        """Listen to one more run."""
        self._inboxes[run] = await self._stack.enter_async_context(open_inbox(self._bus, self._request.tenant, run))

    async def begin(self, first_sentence: int = 0, run: str | None = None) -> None:
        """Publish a run that speaks from this sentence on. Raises TenantQueueFull, QueueFull, BusUnavailable."""
        run = run or secrets.token_hex(16)
        await self.hear(run)
        if run != self._request.request:
            await self._records.add_run(self._request.request, run)
        self._last_news_s = asyncio.get_running_loop().time()
        await publish_request(
            self._bus, msgspec.structs.replace(self._request, request=run, first_sentence=first_sentence)
        )
        self._own, self._own_first = run, first_sentence

    async def cancel(self) -> None:
        """Stop every run."""
        await cancel(self._bus, self._request.tenant, *self._inboxes)

    async def place_of(self, offset: int) -> tuple[int, int, int | None]:
        """Return the sentence that holds this byte of the PCM, how far into it that is, and the whole length in bytes
        where the byte is past the end of a whole speech.

        Where a sentence's length is not stored, its beginning is the place: the bytes before are to be dropped.
        """
        sentence, before = 0, 0
        while (spoken := await self._spoken(sentence)) is not None:
            if before + 2 * spoken.samples > offset:
                break
            sentence, before = sentence + 1, before + 2 * spoken.samples
            if sentence == spoken.sentences:
                return sentence, 0, before
        return sentence, offset - before, None

    async def next(self, timeout_s: float) -> RequestEvent | None:
        """Return the next event of any run, in order of arrival within a run; None after the timeout."""
        listened_to = set(self._waiting.values())
        for inbox in self._inboxes.values():
            if inbox not in listened_to:
                self._waiting[asyncio.create_task(inbox.next(_POLL_S), name="run")] = inbox
        done, _ = await asyncio.wait(self._waiting, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            del self._waiting[task]
            return await self._sifted(task.result())
        return None

    async def chunk(self, sentence: int, chunk: int) -> RequestEvent | None:
        """Fetch a chunk from whichever run has stored it."""
        for inbox in reversed(self._inboxes.values()):
            if (event := await inbox.chunk(sentence, chunk)) is not None:
                return event
        return None

    async def end(self, sentence: int) -> RequestEvent | None:
        """Fetch a sentence's end marker; a failure only from a run that was started here."""
        for inbox in list(self._inboxes.values()):
            event = await inbox.end(sentence)
            if event is not None and (sifted := await self._sifted(event)) is not None:
                return sifted
        return None

    async def failed(self) -> RequestEvent | None:
        """Look for failures: return that of a run that was started here, and replace others."""
        for run, inbox in list(self._inboxes.items()):
            if run in self._ended:
                continue
            event = await inbox.failed()
            if event is not None and (sifted := await self._sifted(event)) is not None:
                return sifted
        if self._stuck():
            if self._sole:
                await self.cancel()
            await self._take_up()
        return None

    async def split(self) -> RequestEvent | None:
        """Fetch how the text was divided, which is the same in all runs."""
        for inbox in list(self._inboxes.values()):
            if (event := await inbox.split()) is not None:
                return event
        return None

    async def close(self) -> None:
        """Stop listening."""
        for task in self._waiting:
            task.cancel()
        await asyncio.gather(*self._waiting, return_exceptions=True)

    async def _sifted(self, event: RequestEvent | None) -> RequestEvent | None:
        """Return the event, unless it says that somebody else's run ended: then see that another one goes on."""
        if isinstance(event, AudioChunk | SentenceSpoken):
            self._last_news_s = asyncio.get_running_loop().time()
        if isinstance(event, TextSplit):
            return self._checked(event)
        if not isinstance(event, SpeechFailed) or event.request == self._own:
            return event
        if event.request not in self._ended:
            self._ended.add(event.request)
            if self._ended >= set(self._inboxes):
                await self._take_up()
        return None

    def _checked(self, event: TextSplit) -> RequestEvent:
        """Return the event, or the failure that it is: sentences of two different divisions are no one speech."""
        known = self._assembly.sentences
        if (self._split or event.sentences) == event.sentences and known in (None, len(event.sentences)):
            self._split = event.sentences
            return event
        return SpeechFailed(
            request=event.request,
            sentence=None,
            code="inconsistent_audio",
            detail="the engine now divides this text otherwise than when it began; send it again",
            retryable=False,
        )

    def _stuck(self) -> bool:
        """Say whether nobody is left who could say what is missing."""
        if self._own is not None and self._assembly.sentence >= self._own_first:
            return False  # it will come, or fail
        return asyncio.get_running_loop().time() - self._last_news_s > _PATIENCE_S

    async def _take_up(self) -> None:
        """Go on from the first sentence that is not wholly stored: in a run of somebody else, or in a new one."""
        if await self._records.cancelled(self._request.request):
            raise SpeechCancelled("the request was cancelled")
        for run in await self._records.runs(self._request.request):
            if run not in self._inboxes:
                await self.hear(run)
                return
        await self._recall_split()
        first = await self._first_missing()
        if first is not None:
            log.info("request_taken_up", request=self._request.request, sentence=first)
            self._metrics.taken_up.inc()
            await self.begin(first)

    async def _recall_split(self) -> None:
        """Find out how the text was divided, so that another division is noticed."""
        for inbox in self._inboxes.values():
            event = await inbox.split()
            if isinstance(event, TextSplit):
                self._checked(event)

    async def _first_missing(self) -> int | None:
        place = self._assembly.sentence
        while (spoken := await self._spoken(place)) is not None and await self._begins(spoken):
            place += 1
            if place >= spoken.sentences:
                return None
        return place

    async def _begins(self, spoken: SentenceSpoken) -> bool:
        """Say whether the first chunk that is needed of a sentence is there: sound expires before its end marker."""
        chunk = self._assembly.needs(spoken.sentence)
        return chunk is None or chunk >= spoken.chunks or await self.chunk(spoken.sentence, chunk) is not None

    async def _spoken(self, sentence: int) -> SentenceSpoken | None:
        for inbox in list(self._inboxes.values()):
            event = await inbox.end(sentence)
            if isinstance(event, SentenceSpoken):
                return event
        return None


@asynccontextmanager
async def open_runs(
    bus: Bus, records: Records, request: SpeechRequest, metrics: Metrics, *, heard: Sequence[str], sole: bool
) -> AsyncIterator[Runs]:
    """Listen to these runs of a request while the block runs."""
    async with AsyncExitStack() as stack:
        runs = Runs(bus, records, request, metrics, stack, sole=sole)
        try:
            for run in heard:
                await runs.hear(run)
            yield runs
        finally:
            await runs.close()
