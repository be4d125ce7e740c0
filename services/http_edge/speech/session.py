"""Runs one request: subscribes to its events, publishes it, orders its audio, and cancels it without a listener."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final, Protocol

from msgspec import UNSET

from services.common.bus import topology
from services.common.bus.ports import Bus
from services.common.runtime.deadline import Deadline
from services.common.wire.failures import (
    BusUnavailable,
    DeadlineExceeded,
    QueueFull,
    SynthesisFailed,
)
from services.common.wire.messages import RequestEvent, SentenceSpoken, SpeechRequest, TextSplit
from services.common.wire.parts import LeftOut
from services.http_edge.errors import RemoteFailure
from services.http_edge.metrics import Metrics
from services.http_edge.speech.assembly import Assembly, AudioPosition
from services.http_edge.speech.portions import PORTION_S
from services.http_edge.speech.request_store import RequestStore
from services.http_edge.speech.resume import Attempts, open_attempts

_SILENCE_S: Final = 0.5  # without new audio: then look up events that may have been lost
_LONGEST_SILENCE_S: Final = 4.0  # the interval doubles up to this while lookups find nothing
# seconds per second of audio that the deadline is extended by for a real-time listener
_SLOWEST: Final = 2.0


@dataclass(frozen=True)
class SpeechSessions:
    """Synthesizes requests through the bus."""

    bus: Bus
    metrics: Metrics
    first_audio_timeout_s: float
    portion_s: float = PORTION_S

    @asynccontextmanager
    async def speaking(
        self,
        request: SpeechRequest,
        leaving: "Leaving | None" = None,
        meter: "Metering | None" = None,
        *,
        listening: bool = False,
    ) -> AsyncIterator["SpeechSession"]:
        """Publish the request and yield its session.

        `listening`: the client plays in real time, so the text is requested in portions, and the deadline moves with
        the audio that was read. An incomplete request is cancelled on exit, or passed to `leaving`.
        `meter` observes the audio after each event, and may raise.
        Raises TenantQueueFull, QueueFull, BusUnavailable.
        """
        async with self.open_attempts(
            request, earlier=[], sole=leaving is None, renewing=listening
        ) as attempts:
            speech = SpeechSession(
                request,
                attempts,
                Assembly(whole_sentences=not listening),
                self.metrics,
                self.first_audio_timeout_s,
                meter=meter,
                listening=listening,
            )
            attempts.attach(speech.assembly)
            try:
                await attempts.begin(attempt=request.request, portions=listening)
                yield speech
            finally:
                if not speech.assembly.complete:
                    await asyncio.shield(leaving() if leaving else attempts.cancel())

    def open_attempts(
        self, request: SpeechRequest, *, earlier: Sequence[str], sole: bool, renewing: bool
    ) -> AbstractAsyncContextManager[Attempts]:
        """Subscribe to the attempts `earlier` of a request that is not a job, while the block runs."""
        records = RequestStore(self.bus, topology.KEPT)
        return open_attempts(
            self.bus,
            records,
            request,
            self.metrics,
            earlier=earlier,
            sole=sole,
            portion_s=self.portion_s,
            renewing=renewing,
        )

    @asynccontextmanager
    async def resuming(
        self,
        request: SpeechRequest,
        attempts: Attempts,
        leaving: "Leaving",
        *,
        first_sentence: int = 0,
        first_audio_timeout_s: float | None = None,
        check: Callable[[], None] = lambda: None,
        meter: "Metering | None" = None,
        listening: bool = False,
    ) -> AsyncIterator["SpeechSession"]:
        """Yield the session of a request that was published before, starting at a sentence.

        Its audio is read from the store, from events as they arrive, and from a new attempt if no other is left.
        `check` is called periodically, and may raise.
        """
        timeout_s = (
            self.first_audio_timeout_s if first_audio_timeout_s is None else first_audio_timeout_s
        )
        speech = SpeechSession(
            request,
            attempts,
            Assembly(first_sentence, whole_sentences=not listening),
            self.metrics,
            timeout_s,
            stored=True,
            check=check,
            meter=meter,
            listening=listening,
        )
        attempts.attach(speech.assembly)
        try:
            yield speech
        finally:
            if not speech.assembly.complete:
                await asyncio.shield(leaving())


Leaving = Callable[[], Awaitable[None]]  # called when a listener leaves an incomplete request


class Metering(Protocol):
    """Counts audio against a quota."""

    async def observe(self, assembly: Assembly) -> None:
        """Check the audio received so far against the quota. Raises QuotaUsedUp."""


class EventSource(Protocol):
    """The source of a session's events: `Attempts`."""

    async def next(self, timeout_s: float) -> RequestEvent | None: ...
    async def chunk(self, sentence: int, chunk: int) -> RequestEvent | None: ...
    async def end(self, sentence: int) -> RequestEvent | None: ...
    async def failed(self) -> RequestEvent | None: ...
    async def split(self) -> RequestEvent | None: ...
    async def recover(self) -> None: ...
    def request_ahead(self) -> None: ...


class _Patience:
    """Timer of lookups for missing events: after some time without new audio, and at once after a successful lookup.

    No new audio means that nothing arrives, or that all that arrives has to wait for something lost before it. The
    interval doubles while lookups find nothing.
    """

    def __init__(self, *, at_once: bool) -> None:
        self._wait_s = _SILENCE_S
        self._until_s = time.monotonic() + (0.0 if at_once else _SILENCE_S)

    @property
    def left_s(self) -> float:
        """Return the remaining wait; never 0, so that events that have arrived are read first."""
        return max(0.001, self._until_s - time.monotonic())

    @property
    def over(self) -> bool:
        """Return whether a lookup is due."""
        return time.monotonic() >= self._until_s

    def audio_read(self) -> None:
        """Note that new audio was read."""
        self._wait_s = _SILENCE_S
        self._until_s = time.monotonic() + _SILENCE_S

    def record_lookup(self, *, found: bool) -> None:
        """Note a lookup and its result."""
        self._wait_s = _SILENCE_S if found else min(2 * self._wait_s, _LONGEST_SILENCE_S)
        self._until_s = time.monotonic() + (0.0 if found else self._wait_s)


class SpeechSession:
    """The audio of one request."""

    def __init__(
        self,
        request: SpeechRequest,
        inbox: EventSource,
        assembly: Assembly,
        metrics: Metrics,
        first_audio_timeout_s: float,
        *,
        stored: bool = False,
        check: Callable[[], None] = lambda: None,
        meter: Metering | None = None,
        listening: bool = False,
    ) -> None:
        """`stored`: events may have been published before this session began, so look them up at once.

        `listening`: the deadline moves with the audio that was read.
        """
        self.request = request
        self.assembly = assembly
        self.deadline = Deadline.at(request.deadline_unix_ms)
        self._inbox = inbox
        self._metrics = metrics
        self._first_audio_timeout_s = first_audio_timeout_s
        self._stored = stored
        self._check = check
        self._meter = meter
        self._listening = listening

    @property
    def spoken(self) -> list[SentenceSpoken]:
        """Return the end markers of the sentences whose audio was yielded completely, in text order."""
        return self.assembly.spoken

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield PCM (mono, 16-bit little-endian) in text order, as it comes; close it if it is not read to its end.

        Ends only when every sentence was yielded completely. Raises RemoteFailure if another service reported a
        failure, DeadlineExceeded, SynthesisFailed if the text has no audio.
        """
        patience = _Patience(at_once=self._stored)
        started_s = time.monotonic()

        while not self.assembly.complete:
            self._check_time(started_s)
            self._inbox.request_ahead()
            event = await self._inbox.next(patience.left_s)
            chunks = [] if event is None else self.assembly.receive(event)

            look_up = not chunks and patience.over
            found = False
            if look_up:
                found, chunks = await self._fetch_missing(idle=event is None)

            if chunks and self.assembly.split is None:
                await self._look_up_split()
            if self._meter is not None:
                await self._meter.observe(self.assembly)

            for chunk in chunks:
                yield chunk

            if look_up:
                patience.record_lookup(found=found)
            elif chunks:
                patience.audio_read()

            if self.assembly.failure is not None:
                raise RemoteFailure(self.assembly.failure)

        if not self.assembly.samples:
            raise SynthesisFailed("the engine produced no audio for this text")

    @property
    def left_out(self) -> LeftOut | None:
        """Return the letters of the text that no voice can speak; known with the first audio, unless NATS was down."""
        split = self.assembly.split
        return None if split is None or split.left_out is UNSET else split.left_out

    async def _look_up_split(self) -> None:
        """Fetch the segmentation, if it was published before this session began."""
        with suppress(BusUnavailable):
            event = await self._inbox.split()
            if isinstance(event, TextSplit):
                self.assembly.split = event

    def _check_time(self, started_s: float) -> None:
        self._check()
        if self.deadline.left_s + self._played_s() * _SLOWEST < 0:
            raise DeadlineExceeded(
                "the text was not spoken within the time limit; send a shorter one or try later"
            )
        if not self.assembly.samples and time.monotonic() - started_s > self._first_audio_timeout_s:
            raise DeadlineExceeded("no audio was produced within the time limit; retry later")

    def _played_s(self) -> float:
        """Return the seconds of audio that a real-time listener has read, which extend its deadline."""
        rate_hz = self.assembly.sample_rate_hz
        return self.assembly.samples / rate_hz if self._listening and rate_hz else 0.0

    async def _fetch_missing(self, *, idle: bool) -> tuple[bool, list[bytes]]:
        """Fetch missing events by position; return whether more may be stored, and the chunks that can now be played.

        `idle`: the inbox is empty too, so audio that is not stored has to be synthesized again.
        """
        chunks: list[bytes] = []
        missing = self.assembly.missing()
        try:
            fetched = [event for position in missing if (event := await self._fetch(position))]
            self._metrics.repairs.inc(0 if self._stored else len(fetched))
            chunks += [pcm for event in fetched for pcm in self.assembly.receive(event)]

            if self.assembly.missing() != missing:
                return True, chunks

            failed = await self._inbox.failed()
            if failed is None and idle:
                await self._inbox.recover()
        except (BusUnavailable, QueueFull):
            return False, chunks  # NATS restarts, or its queue is full: the next lookup retries

        if failed is not None:
            chunks += self.assembly.receive(failed)
        return False, chunks

    async def _fetch(self, position: AudioPosition) -> RequestEvent | None:
        if position.chunk is None:
            return await self._inbox.end(position.sentence)
        return await self._inbox.chunk(position.sentence, position.chunk)
