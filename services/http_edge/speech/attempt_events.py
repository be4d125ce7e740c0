"""The events of several runs of one request: as they arrive, and as they are stored."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Final

from services.common.bus import topology
from services.common.bus.inbox import Inbox, decoded, open_inbox, open_inbox_of_ends
from services.common.bus.ports import Bus
from services.common.wire import subjects
from services.common.wire.messages import RequestEvent, SentenceSpoken, TextSplit
from services.http_edge.speech.assembly import Assembly

_POLL_S: Final = 60.0
_DRAINED_S: Final = 0.001  # nothing comes within this: nothing waits
_DRAIN_EVERY: Final = 256  # sentences, of 4096 whose end markers may wait
_MOST_RUNS: Final = 8  # the latest; events of older ones have been processed


async def stored_split(bus: Bus, tenant: str, runs: Sequence[str]) -> TextSplit | None:
    """Return how a request's text was divided, which is the same in all its runs; None where it is not stored."""
    for run in runs:
        subject = subjects.text_split(tenant, run)
        payload = await bus.last(topology.AUDIO, subject)
        event = None if payload is None else decoded(subject, payload)
        if isinstance(event, TextSplit):
            return event
    return None


class _Run:
    """One attempt. End markers have a second subscription: they are small, so none is lost when the audio overflows."""

    def __init__(self, inbox: Inbox, ends: Inbox, stack: AsyncExitStack) -> None:
        self.inbox = inbox
        self._ends = ends
        self._stack = stack
        self._kept: dict[int, SentenceSpoken] = {}

    async def drain(self, first: int) -> None:
        """Collect the end markers that arrived; those before the sentence `first` are dropped."""
        while (event := await self._ends.next(_DRAINED_S)) is not None:
            if isinstance(event, SentenceSpoken):
                self._kept[event.sentence] = event
        self._kept = {sentence: end for sentence, end in self._kept.items() if sentence >= first}

    async def end(self, sentence: int, first: int) -> RequestEvent | None:
        """Return a sentence's end marker as stored, or else as received."""
        if (event := await self.inbox.end(sentence)) is not None:
            return event
        await self.drain(first)
        return self._kept.get(sentence)

    async def close(self) -> None:
        """Stop listening."""
        await self._stack.aclose()


class AttemptEvents:
    """All runs that are listened to. Every method raises BusUnavailable where NATS does not answer."""

    def __init__(self, bus: Bus, tenant: str, assembly: Assembly) -> None:
        self.assembly = assembly  # audio before its sentence is no longer needed
        self._bus = bus
        self._tenant = tenant
        self._runs: dict[str, _Run] = {}
        self._waiting: dict[asyncio.Task[RequestEvent | None], str] = {}
        self._ends_heard = 0

    @property
    def ids(self) -> list[str]:
        """Return all runs, oldest first."""
        return list(self._runs)

    async def hear(self, run: str) -> None:
        """Listen to one more run."""
        stack = AsyncExitStack()
        try:
            inbox = await stack.enter_async_context(open_inbox(self._bus, self._tenant, run))
            ends = await stack.enter_async_context(open_inbox_of_ends(self._bus, self._tenant, run))
        except BaseException:
            await stack.aclose()
            raise
        self._runs[run] = _Run(inbox, ends, stack)
        while len(self._runs) > _MOST_RUNS:
            await self.drop(next(iter(self._runs)))

    async def drop(self, run: str) -> None:
        """Stop listening to one run."""
        tasks = [task for task, heard in self._waiting.items() if heard == run]
        for task in tasks:
            task.cancel()
            del self._waiting[task]
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._runs.pop(run).close()

    async def close(self) -> None:
        """Stop listening."""
        for run in self.ids:
            await self.drop(run)

    async def next(self, timeout_s: float) -> RequestEvent | None:
        """Return the next event of any run, in order of arrival within a run; None after the timeout."""
        event = await self._next(timeout_s)
        if isinstance(event, SentenceSpoken) and event.request in self._runs:
            self._ends_heard += 1
            if self._ends_heard % _DRAIN_EVERY == 0:
                await self.drain(event.request)
        return event

    async def _next(self, timeout_s: float) -> RequestEvent | None:
        if len(self._runs) == 1 and not self._waiting:
            [only] = self._runs.values()
            return await only.inbox.next(timeout_s)
        listened_to = set(self._waiting.values())
        for run, heard in self._runs.items():
            if run not in listened_to:
                self._waiting[asyncio.create_task(heard.inbox.next(_POLL_S), name="run")] = run
        if not self._waiting:
            await asyncio.sleep(timeout_s)
            return None
        done, _ = await asyncio.wait(self._waiting, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            del self._waiting[task]
            return task.result()
        return None

    async def drain(self, run: str) -> None:
        """Keep a run's end markers before they overflow."""
        if run in self._runs:
            await self._runs[run].drain(self.assembly.sentence)

    async def chunk(self, sentence: int, chunk: int) -> RequestEvent | None:
        """Fetch a chunk from whichever run has stored it."""
        for run in reversed(self.ids):
            if (event := await self._runs[run].inbox.chunk(sentence, chunk)) is not None:
                return event
        return None

    async def end(self, run: str, sentence: int) -> RequestEvent | None:
        """Return a sentence's end marker in one attempt, stored or received."""
        return await self._runs[run].end(sentence, self.assembly.sentence)

    async def failed(self, run: str) -> RequestEvent | None:
        """Fetch the failure of one run."""
        return await self._runs[run].inbox.failed() if run in self._runs else None

    async def split(self, run: str) -> RequestEvent | None:
        """Fetch the segmentation of the text as published in one attempt."""
        return await self._runs[run].inbox.split() if run in self._runs else None

    async def spoken(self, sentence: int) -> SentenceSpoken | None:
        """Fetch the end marker of a sentence that was spoken."""
        for run in self.ids:
            event = await self._runs[run].inbox.end(sentence)
            if isinstance(event, SentenceSpoken):
                return event
        return None

    async def first_missing(self, sentence: int, most: int) -> int | None:
        """Return the first sentence from this one on that is not stored, or is `most` further; None where all are."""
        for place in range(sentence, sentence + most):
            spoken = await self.spoken(place)
            if spoken is None or not await self._begins(spoken):
                return place
            if place + 1 >= spoken.sentences:
                return None
        return sentence + most

    async def _begins(self, spoken: SentenceSpoken) -> bool:
        """Return whether the first chunk that is needed of a sentence is here: audio is dropped before end markers."""
        chunk = self.assembly.needs(spoken.sentence)
        return chunk is None or chunk >= spoken.chunks or await self.chunk(spoken.sentence, chunk) is not None
