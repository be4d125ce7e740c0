"""One request's life: open its inbox, publish it, put its sound in order, and cancel what nobody will hear."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

import structlog

from services.common.bus.inbox import Inbox, open_inbox
from services.common.bus.ports import Bus, SubjectFull
from services.common.runtime.deadline import Deadline
from services.common.wire import codec, subjects
from services.common.wire.failures import (
    BusUnavailable,
    DeadlineExceeded,
    QueueFull,
    SynthesisFailed,
    TenantQueueFull,
)
from services.common.wire.messages import CancelSpeech, RequestEvent, SentenceSpoken, SpeechRequest
from services.http_edge.assembly import Assembly, Place
from services.http_edge.errors import RemoteFailure
from services.http_edge.metrics import Metrics

log = structlog.get_logger()

_SILENCE_S: Final = 0.5  # after so long without an event, look whether one was lost
_LONGEST_SILENCE_S: Final = 4.0  # the wait doubles up to this while there is nothing to fetch


@dataclass(frozen=True)
class Speaker:
    """Speaks requests through the bus."""

    bus: Bus
    metrics: Metrics
    first_audio_timeout_s: float

    @asynccontextmanager
    async def speaking(self, request: SpeechRequest) -> AsyncIterator["Speech"]:
        """Publish the request and yield its speech; what is not complete on leaving is cancelled on the bus.

        Raises TenantQueueFull, QueueFull, BusUnavailable.
        """
        async with open_inbox(self.bus, request.tenant, request.request) as inbox:
            speech = Speech(request, inbox, self.metrics, self.first_audio_timeout_s)
            try:
                await self._publish(request, speech.deadline)
                yield speech
            finally:
                if not speech.assembly.complete:
                    await asyncio.shield(self._cancel(request))

    async def _publish(self, request: SpeechRequest, deadline: Deadline) -> None:
        try:
            await self.bus.publish(
                subjects.request(request.tenant),
                codec.encode(request),
                message_id=request.request,
                lifetime_s=deadline.left_s,
            )
        except SubjectFull:
            raise TenantQueueFull("your requests fill your share of the queue; wait for some to finish") from None
        except QueueFull:
            raise QueueFull("the service has all the work that it takes; try again later") from None

    async def _cancel(self, request: SpeechRequest) -> None:
        message = CancelSpeech(request=request.request, tenant=request.tenant, reason="nobody listens any more")
        with suppress(BusUnavailable):  # then its sentences run into their deadline
            await self.bus.tell(subjects.cancel(request.tenant, request.request), codec.encode(message))


class Speech:
    """The sound of one request."""

    def __init__(self, request: SpeechRequest, inbox: Inbox, metrics: Metrics, first_audio_timeout_s: float) -> None:
        self.assembly = Assembly()
        self.deadline = Deadline.at(request.deadline_unix_ms)
        self._inbox = inbox
        self._metrics = metrics
        self._first_audio_timeout_s = first_audio_timeout_s

    @property
    def spoken(self) -> list[SentenceSpoken]:
        """Return the end markers of the sentences whose sound was yielded whole, in text order."""
        return self.assembly.spoken

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield PCM (mono, 16-bit little-endian) in text order, as it comes.

        Ends only when every sentence was yielded whole. Raises RemoteFailure for what another service reported,
        DeadlineExceeded where nothing came in time.
        """
        silence_s, started_s = _SILENCE_S, time.monotonic()
        while not self.assembly.complete:
            self._check_time(started_s)
            event = await self._inbox.next(silence_s)
            if event is None:
                found, pieces = await self._fetch_missing()
            else:
                found, pieces = True, self.assembly.receive(event)
            silence_s = _SILENCE_S if found else min(2 * silence_s, _LONGEST_SILENCE_S)
            for piece in pieces:
                yield piece
            if self.assembly.failure is not None:
                raise RemoteFailure(self.assembly.failure)
        if not self.assembly.samples:
            raise SynthesisFailed("the engine made no sound of this text")

    def _check_time(self, started_s: float) -> None:
        if self.deadline.passed:
            raise DeadlineExceeded("the text was not spoken within the time limit; send a shorter one or try later")
        if not self.assembly.samples and time.monotonic() - started_s > self._first_audio_timeout_s:
            raise DeadlineExceeded("no sound came within the time limit; the service is busy or broken, try later")

    async def _fetch_missing(self) -> tuple[bool, list[bytes]]:
        """The bus fell silent: get by place what was lost on its way; say whether any was, and what it released."""
        found, pieces, before = False, list[bytes](), list[Place]()
        try:
            while (places := self.assembly.missing()) != before:
                before, fetched = places, [event for place in places if (event := await self._fetch(place))]
                found = found or bool(fetched)
                self._metrics.repairs.inc(len(fetched))
                pieces += [pcm for event in fetched for pcm in self.assembly.receive(event)]
            failed = await self._inbox.failed()
        except BusUnavailable:
            return found, pieces  # NATS restarts: look again at the next silence
        if failed is not None:
            pieces += self.assembly.receive(failed)
        return found, pieces

    async def _fetch(self, place: Place) -> RequestEvent | None:
        if place.chunk is None:
            return await self._inbox.end(place.sentence)
        return await self._inbox.chunk(place.sentence, place.chunk)
