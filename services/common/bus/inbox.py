"""One request's events as they arrive. Opened before the request is published, so none is missed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import structlog

from services.common.bus import topology
from services.common.bus.ports import Bus, Subscription
from services.common.wire import codec, subjects
from services.common.wire.addressing import is_event_of
from services.common.wire.failures import MalformedMessage
from services.common.wire.messages import RequestEvent

log = structlog.get_logger()

_LIMIT: Final = 4096  # unread messages; dropped ones are fetched by index


class Inbox:
    """A request's events: received live, or fetched by index if they were missed."""

    def __init__(self, bus: Bus, listener: Subscription, tenant: str, request: str) -> None:
        self._bus = bus
        self._listener = listener
        self._tenant = tenant
        self._request = request

    async def next(self, timeout_s: float) -> RequestEvent | None:
        """Return the next event in order of arrival, or None after the timeout."""
        give_up_at_s = asyncio.get_running_loop().time() + timeout_s
        while (left_s := give_up_at_s - asyncio.get_running_loop().time()) > 0:
            received = await self._listener.next(left_s)
            if received is None:
                return None
            if (event := decoded(received.subject, received.payload)) is not None:
                return event
        return None

    async def chunk(self, sentence: int, chunk: int) -> RequestEvent | None:
        """Fetch the chunk at this index, or None if it is not stored."""
        return await self._stored(subjects.chunk(self._tenant, self._request, sentence, chunk))

    async def end(self, sentence: int) -> RequestEvent | None:
        """Fetch a sentence's end marker, or None if it is not stored."""
        return await self._stored(subjects.end(self._tenant, self._request, sentence))

    async def split(self) -> RequestEvent | None:
        """Fetch the request's `TextSplit`, or None if it is not stored."""
        return await self._stored(subjects.text_split(self._tenant, self._request))

    async def failed(self) -> RequestEvent | None:
        """Fetch the request's failure, or None if there is none."""
        return await self._stored(subjects.request_failed(self._tenant, self._request))

    async def _stored(self, subject: str) -> RequestEvent | None:
        payload = await self._bus.last(topology.AUDIO, subject)
        return None if payload is None else decoded(subject, payload)


def decoded(subject: str, payload: bytes) -> RequestEvent | None:
    """Return the event in a message.

    None, with a log entry, for a malformed message and for an event of another subject.
    """
    try:
        event: RequestEvent = codec.decode(payload, RequestEvent)  # type: ignore[arg-type]  # a union is a type to msgspec
    except MalformedMessage as error:
        log.warning("event_malformed", detail=str(error))
        return None
    if not is_event_of(event, subjects.parse(subject)):
        log.warning("event_misaddressed", kind=type(event).__name__)
        return None
    return event


@asynccontextmanager
async def open_inbox(bus: Bus, tenant: str, request: str) -> AsyncIterator[Inbox]:
    """Open a request's inbox; close it on exit."""
    async with _opened(bus, subjects.request_events(tenant, request), tenant, request) as inbox:
        yield inbox


@asynccontextmanager
async def open_inbox_of_ends(bus: Bus, tenant: str, request: str) -> AsyncIterator[Inbox]:
    """Open an inbox that receives only the sentences' end markers and failures, no audio."""
    async with _opened(bus, subjects.request_ends(tenant, request), tenant, request) as inbox:
        yield inbox


@asynccontextmanager
async def _opened(bus: Bus, subject: str, tenant: str, request: str) -> AsyncIterator[Inbox]:
    listener = await bus.subscribe(subject, limit=_LIMIT)
    try:
        yield Inbox(bus, listener, tenant, request)
    finally:
        await asyncio.shield(listener.close())
