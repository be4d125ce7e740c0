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


class _Patience:
    """When to look for what is missing: after a while without new sound, and at once after something was found.

    No new sound means that nothing comes, or that all that comes has to wait for what was lost before it. The while
    doubles as long as there is nothing to find.
    """

    def __init__(self) -> None:
        self._wait_s = _SILENCE_S
        self._until_s = time.monotonic() + _SILENCE_S

    @property
    def left_s(self) -> float:
        """Return how long to wait yet; never nothing, so that what has arrived is taken first."""
        return max(0.001, self._until_s - time.monotonic())

    @property
    def over(self) -> bool:
        """Say whether it is time to look."""
        return time.monotonic() >= self._until_s

    def heard(self) -> None:
        """New sound came, and whoever wanted it has taken it."""
        self._wait_s, self._until_s = _SILENCE_S, time.monotonic() + _SILENCE_S

    def looked(self, *, found: bool) -> None:
        """Somebody looked, and found something or nothing."""
        self._wait_s = _SILENCE_S if found else min(2 * self._wait_s, _LONGEST_SILENCE_S)
        self._until_s = time.monotonic() + (0.0 if found else self._wait_s)


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
        patience = _Patience()
        started_s = time.monotonic()
        while not self.assembly.complete:
            self._check_time(started_s)
            event = await self._inbox.next(patience.left_s)
            pieces = [] if event is None else self.assembly.receive(event)
            looked, found = not pieces and patience.over, False
            if looked:
                found, pieces = await self._fetch_missing()
            for piece in pieces:
                yield piece
            if looked:
                patience.looked(found=found)
            elif pieces:
                patience.heard()
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
        """Get by place some of what was lost on its way; say whether any was, and return what it released.

        No more than a few chunks at a time: whoever listens may be slow, and what is fetched waits for them here.
        """
        try:
            events = [event for place in self.assembly.missing() if (event := await self._fetch(place))]
            if not events and (failed := await self._inbox.failed()) is not None:
                events = [failed]
        except BusUnavailable:
            return False, []  # NATS restarts: look again later
        self._metrics.repairs.inc(len(events))
        return bool(events), [pcm for event in events for pcm in self.assembly.receive(event)]

    async def _fetch(self, place: Place) -> RequestEvent | None:
        if place.chunk is None:
            return await self._inbox.end(place.sentence)
        return await self._inbox.chunk(place.sentence, place.chunk)
