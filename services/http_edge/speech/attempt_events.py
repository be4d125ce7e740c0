"""The events of all attempts of one request, as they arrive and as they are stored."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Final

from services.common.bus import topology
from services.common.bus.inbox import Inbox, decoded, open_inbox, open_inbox_of_ends
from services.common.bus.ports import Bus
from services.common.runtime.lifecycle import cancel_until_done
from services.common.wire import subjects
from services.common.wire.messages import RequestEvent, SentenceSpoken, TextSplit
from services.http_edge.speech.assembly import Assembly

_POLL_S: Final = 60.0
_ENDS_AT_ONCE: Final = 16  # end markers that are looked up
_DRAINED_S: Final = 0.001  # an inbox that returns nothing within this time is empty
_DRAIN_EVERY: Final = 256  # sentences; an inbox has space for the end markers of 4096
_MOST_ATTEMPTS: Final = 8  # the latest; events of older ones have been processed


async def stored_split(bus: Bus, tenant: str, attempts: Sequence[str]) -> TextSplit | None:
    """Return the segmentation of a request's text, which is the same in all attempts; None if it is not stored."""
    for attempt in attempts:
        subject = subjects.text_split(tenant, attempt)
        payload = await bus.last(topology.AUDIO, subject)
        event = None if payload is None else decoded(subject, payload)
        if isinstance(event, TextSplit):
            return event
    return None


async def stored_end(
    bus: Bus, tenant: str, attempts: Sequence[str], sentence: int
) -> SentenceSpoken | None:
    """Return the end marker of a sentence from any attempt; None if it is not synthesized, or has expired."""
    for attempt in attempts:
        subject = subjects.end(tenant, attempt, sentence)
        payload = await bus.last(topology.AUDIO, subject)
        event = None if payload is None else decoded(subject, payload)
        if isinstance(event, SentenceSpoken):
            return event
    return None


async def stored_ends(
    bus: Bus, tenant: str, attempts: Sequence[str], count: int
) -> list[SentenceSpoken] | None:
    """Return the end markers of the first sentences; None if one is not synthesized, or has expired."""
    found: list[SentenceSpoken] = []
    for first in range(0, count, _ENDS_AT_ONCE):
        indexes = range(first, min(first + _ENDS_AT_ONCE, count))
        ends = await asyncio.gather(
            *(stored_end(bus, tenant, attempts, index) for index in indexes)
        )
        found += [end for end in ends if end is not None]
        if len(found) < indexes.stop:
            return None
    return found


class _AttemptInbox:
    """One attempt. End markers have a second subscription: they are small, so none is lost when the audio overflows."""

    def __init__(self, inbox: Inbox, ends: Inbox, stack: AsyncExitStack) -> None:
        self.inbox = inbox
        self._ends = ends
        self._stack = stack
        self._received_ends: dict[int, SentenceSpoken] = {}

    async def drain(self, first: int) -> None:
        """Collect the end markers that arrived; drop those before the sentence `first`."""
        while (event := await self._ends.next(_DRAINED_S)) is not None:
            if isinstance(event, SentenceSpoken):
                self._received_ends[event.sentence] = event
        self._received_ends = {
            sentence: end for sentence, end in self._received_ends.items() if sentence >= first
        }

    async def end(self, sentence: int, first: int) -> RequestEvent | None:
        """Return a sentence's end marker as stored, or else as received."""
        if (event := await self.inbox.end(sentence)) is not None:
            return event

        await self.drain(first)
        return self._received_ends.get(sentence)

    async def close(self) -> None:
        """Unsubscribe."""
        await self._stack.aclose()


class AttemptEvents:
    """The attempts that one listener reads. Every method raises BusUnavailable if NATS does not answer."""

    def __init__(self, bus: Bus, tenant: str, assembly: Assembly) -> None:
        self.assembly = assembly  # end markers before its sentence are dropped
        self._bus = bus
        self._tenant = tenant
        self._attempts: dict[str, _AttemptInbox] = {}
        self._waiting: dict[asyncio.Task[RequestEvent | None], str] = {}
        self._ends_received = 0

    @property
    def ids(self) -> list[str]:
        """Return the ids of the attempts, oldest first."""
        return list(self._attempts)

    async def subscribe(self, attempt: str) -> None:
        """Receive the events of one more attempt; unsubscribe from the oldest beyond `_MOST_ATTEMPTS`."""
        stack = AsyncExitStack()
        try:
            inbox = await stack.enter_async_context(open_inbox(self._bus, self._tenant, attempt))
            ends = await stack.enter_async_context(
                open_inbox_of_ends(self._bus, self._tenant, attempt)
            )
        except BaseException:
            await stack.aclose()
            raise

        self._attempts[attempt] = _AttemptInbox(inbox, ends, stack)
        while len(self._attempts) > _MOST_ATTEMPTS:
            await self.drop(next(iter(self._attempts)))

    async def drop(self, attempt: str) -> None:
        """Unsubscribe from one attempt."""
        tasks = [task for task, waiting in self._waiting.items() if waiting == attempt]
        for task in tasks:
            del self._waiting[task]

        events = self._attempts.pop(attempt)
        try:
            await cancel_until_done(*tasks)
            await asyncio.gather(*tasks, return_exceptions=True)  # retrieves their exceptions
        finally:
            await events.close()

    async def close(self) -> None:
        """Unsubscribe from all attempts, also if the caller is cancelled meanwhile."""
        async with AsyncExitStack() as stack:
            for attempt in self.ids:
                stack.push_async_callback(self.drop, attempt)

    async def next(self, timeout_s: float) -> RequestEvent | None:
        """Return the next event of any attempt, in order of arrival within an attempt; None after the timeout."""
        event = await self._next(timeout_s)
        if isinstance(event, SentenceSpoken) and event.request in self._attempts:
            self._ends_received += 1
            if self._ends_received % _DRAIN_EVERY == 0:
                await self.drain(event.request)
        return event

    async def _next(self, timeout_s: float) -> RequestEvent | None:
        if len(self._attempts) == 1 and not self._waiting:
            [only] = self._attempts.values()
            return await only.inbox.next(timeout_s)

        subscribed = set(self._waiting.values())
        for attempt, events in self._attempts.items():
            if attempt not in subscribed:
                self._waiting[asyncio.create_task(events.inbox.next(_POLL_S), name="attempt")] = (
                    attempt
                )

        if not self._waiting:
            await asyncio.sleep(timeout_s)
            return None

        done, _ = await asyncio.wait(
            self._waiting, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
        )
        for task in done:
            del self._waiting[task]
            return task.result()
        return None

    async def drain(self, attempt: str) -> None:
        """Collect the end markers of an attempt before its inbox overflows."""
        if attempt in self._attempts:
            await self._attempts[attempt].drain(self.assembly.sentence)

    async def chunk(self, sentence: int, chunk: int) -> RequestEvent | None:
        """Fetch a chunk from any attempt that has it stored, latest first."""
        for attempt in reversed(self.ids):
            if (event := await self._attempts[attempt].inbox.chunk(sentence, chunk)) is not None:
                return event
        return None

    async def end(self, attempt: str, sentence: int) -> RequestEvent | None:
        """Return a sentence's end marker in one attempt, stored or received."""
        return await self._attempts[attempt].end(sentence, self.assembly.sentence)

    async def failed(self, attempt: str) -> RequestEvent | None:
        """Fetch the failure of one attempt."""
        return await self._attempts[attempt].inbox.failed() if attempt in self._attempts else None

    async def split(self, attempt: str) -> RequestEvent | None:
        """Fetch the segmentation of the text as published in one attempt."""
        return await self._attempts[attempt].inbox.split() if attempt in self._attempts else None

    async def spoken(self, sentence: int) -> SentenceSpoken | None:
        """Fetch the end marker of a sentence from any attempt; None if no attempt has it stored."""
        for attempt in self.ids:
            event = await self._attempts[attempt].inbox.end(sentence)
            if isinstance(event, SentenceSpoken):
                return event
        return None

    async def first_missing(self, sentence: int, most: int) -> int | None:
        """Return the first sentence from this one on that is not stored, looking up `most` of them; None if all are."""
        for index in range(sentence, sentence + most):
            spoken = await self.spoken(index)
            if spoken is None or not await self._has_next_chunk(spoken):
                return index
            if index + 1 >= spoken.sentences:
                return None
        return sentence + most

    async def _has_next_chunk(self, spoken: SentenceSpoken) -> bool:
        """Return whether the next chunk of a sentence to play is available: audio is dropped before end markers."""
        chunk = self.assembly.needs(spoken.sentence)
        return (
            chunk is None
            or chunk >= spoken.chunks
            or await self.chunk(spoken.sentence, chunk) is not None
        )
