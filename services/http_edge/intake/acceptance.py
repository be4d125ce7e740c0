"""A request that speaks, from its headers and form to its speech: checked, named, kept, and joined where it runs."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol

import msgspec
import structlog
from aiohttp import web

from services.common.bus.topology import MEBIBYTE
from services.common.wire import codec
from services.common.wire.failures import QueueFull, TenantRequestsFull
from services.common.wire.messages import LeftOut, SpeechRequest
from services.http_edge.auth.guard import caller_of
from services.http_edge.capacity.admission import Admission
from services.http_edge.capacity.fleet import Fleet
from services.http_edge.context import REQUEST_ID, Outcome, outcome_of
from services.http_edge.errors import IdempotencyKeyReused, RequestIdTaken, TooManyRequests, UnknownRequest
from services.http_edge.intake.clips import ClipIntake
from services.http_edge.intake.form import Form, FormReader
from services.http_edge.intake.idempotency import Claim, checked_id, checked_key, fingerprint
from services.http_edge.intake.text import understood
from services.http_edge.metrics import Metrics
from services.http_edge.settings import Settings
from services.http_edge.speech.disconnect_grace import DisconnectGrace
from services.http_edge.speech.metering import Meter, UsageCharges
from services.http_edge.speech.request_quota import RequestQuota
from services.http_edge.speech.request_store import RequestStore
from services.http_edge.speech.session import Leaving, SpeechSession, SpeechSessions

log = structlog.get_logger()

REQUEST_NAME: Final = "Request-Name"  # header: the id that the client chooses
_SPANS_TOLD: Final = 10  # in a header; GET /requests/{id}/sentences tells more


@dataclass
class AcceptedRequest:
    """A request on its way through a handler, and when it got where (monotonic seconds)."""

    outcome: Outcome
    began_s: float
    key: str | None  # under which a retry finds it
    request_id: str = ""
    read_s: float = 0.0
    stored_s: float = 0.0
    first_audio_s: float | None = None
    sample_rate_hz: int = 0
    audio_s: float = 0.0  # estimated
    languages: tuple[str, ...] = ()  # that of most of the text first
    warnings: tuple[str, ...] = ()  # about the reference audio
    joined: bool = False  # somebody else has published it
    claimed: bool = False  # the key was new
    published: bool = False
    meter: Meter | None = None  # of a request of a key with a quota
    request: SpeechRequest = field(init=False)

    def heard_first(self, endpoint: str, metrics: Metrics) -> None:
        """Note the first sound; later calls change nothing."""
        if self.first_audio_s is None:
            self.first_audio_s = time.monotonic()
            self.outcome.heard_first()
            metrics.first_byte.labels(endpoint).observe(self.first_audio_s - self.read_s)

    def headers(self, speech: SpeechSession) -> dict[str, str]:
        """Return the headers that tell a client about its speech."""
        headers = {
            "X-Seed": str(self.request.seed),
            "X-Sample-Rate": str(self.sample_rate_hz),
            "X-Engine": self.request.engine,
            "X-Language": ", ".join(self.languages),
            "Server-Timing": self._timing(speech),
        }
        if self.warnings:
            headers["X-Reference-Warning"] = "; ".join(self.warnings)
        if speech.left_out is not None:
            headers["X-Text-Left-Out"] = _told_left_out(speech.left_out)
        return headers

    def _timing(self, speech: SpeechSession) -> str:
        """Return https://www.w3.org/TR/server-timing/ metrics, in milliseconds."""
        first_s = self.first_audio_s or self.stored_s
        marks = {
            "upload": self.read_s - self.began_s,
            "voice": self.stored_s - self.read_s,
            "first-audio": first_s - self.stored_s,
        }
        if speech.assembly.complete:
            marks["total"] = time.monotonic() - self.began_s
            marks["synthesis"] = sum(sentence.synthesis_ms for sentence in speech.spoken) / 1000
        return ", ".join(f"{name};dur={seconds * 1000:.1f}" for name, seconds in marks.items())


def _told_left_out(left_out: LeftOut) -> str:
    """Return a structured field (RFC 9651): how many characters are not spoken, and where the first of them are."""
    spans = " ".join(f"{span.start}-{span.end}" for span in left_out.spans[:_SPANS_TOLD])
    return f'{left_out.characters};spans="{spans}"'


class TenantStores(Protocol):
    """Where orders of one kind are kept under their ids, and the ids under their keys."""

    async def keep(self, request: SpeechRequest) -> bool: ...
    async def known(self, request: str) -> bool: ...
    async def forget(self, request: str) -> None: ...
    async def claimed(self, key: str) -> bool: ...
    async def claim(self, key: str, value: bytes) -> bytes | None: ...
    async def release(self, key: str) -> None: ...


@dataclass(frozen=True)
class Acceptor:
    """Takes orders: of speech that somebody waits for, or of jobs."""

    fleet: Fleet
    admission: Admission
    charges: UsageCharges
    kept_room: RequestQuota
    intake: ClipIntake
    shelf: TenantStores
    other: TenantStores  # where requests of the other kind are: an id is unique over both
    metrics: Metrics
    settings: Settings
    free_seats: asyncio.Semaphore
    reader: FormReader
    upload_owner: Callable[[web.Request], str]  # whose upload it is
    job: bool = False

    @asynccontextmanager
    async def taken(self, request: web.Request) -> AsyncIterator[AcceptedRequest]:
        """Check all that can be checked before anybody works, and keep the request under its id.

        What was not published when the block ends is forgotten, so that it may be sent again. Raises BadRequest,
        TooManyRequests, RequestIdTaken, IdempotencyKeyReused, and what form, fleet, admission and intake refuse.
        """
        if (chosen := request.headers.get(REQUEST_NAME)) is not None:
            request[REQUEST_ID] = checked_id(chosen)
        given_key = request.headers.get("Idempotency-Key")
        key = None if given_key is None else checked_key(given_key)
        self._check_seats()
        self.fleet.require_ready()
        await self._check_quota(request, key)
        if not self.job:  # those wait for their turn
            self.admission.check(self.settings.tenant)  # before megabytes are read for nothing
        order = AcceptedRequest(outcome_of(request), began_s=time.monotonic(), key=key)
        async with AsyncExitStack() as let_in:
            try:
                async with self.reader.form(request, self.upload_owner(request)) as sent:
                    self._check_seats()
                    await let_in.enter_async_context(self.free_seats)
                    form = await understood(sent)
                    order.languages, order.audio_s = form.languages, form.audio_s
                    order.outcome.language, order.read_s = form.language, time.monotonic()
                    order.sample_rate_hz = self.fleet.require(form.language, form.parameters).sample_rate_hz
                    order.outcome.sample_rate_hz = order.sample_rate_hz
                    await self._name(request, order, form, let_in)
                yield order  # the files of the uploads are gone
            finally:
                if not order.published:
                    await asyncio.shield(self._forget(order))

    def _check_seats(self) -> None:
        if self.free_seats.locked():
            raise TooManyRequests("this server speaks to as many clients as it may; try again soon")

    async def _check_quota(self, request: web.Request, key: str | None) -> None:
        """Refuse a key whose quota is used up, but no retry, which may cost nothing. Raises QuotaUsedUp."""
        caller = caller_of(request)
        if caller is not None and (key is None or not await self.shelf.claimed(key)):
            await self.charges.quota.check(caller.key)

    async def _name(self, request: web.Request, order: AcceptedRequest, form: Form, let_in: AsyncExitStack) -> None:
        """Find the request that this order is about, or make it."""
        claim = Claim(fingerprint(form, "job" if self.job else "speech"), request[REQUEST_ID], self.intake.seed(form))
        if order.key is not None:
            claim = await self._claim(order, order.key, claim)
            request[REQUEST_ID] = order.request_id = claim.request
            if not order.claimed and await self._find(order, claim.request):
                return
        if not self.job:
            let_in.enter_context(self.admission.admit(claim.request, self.settings.tenant, form.audio_s))
        if (caller := caller_of(request)) is not None:
            order.meter = await self.charges.open(caller.key, claim.request, form.audio_s)
        reference = await self.intake.reference(form)
        order.warnings = reference.warnings
        timeout_s = self.settings.job_timeout_s if self.job else self.settings.request_timeout_s
        asked = self.intake.request(claim.request, form, reference.clips, seed=claim.seed, timeout_s=timeout_s)
        asked = asked if order.meter is None else order.meter.limited(asked)
        if not await self._keep(asked, named=order.key is not None or REQUEST_NAME in request.headers):
            if order.key is None:
                raise RequestIdTaken(
                    "Request-Name is already the name of another request or job; send another one, or none"
                )
            order.joined = True  # a retry, or who it repeats, was a little faster
            order.meter = None
        elif caller is not None and order.meter is not None and not order.meter.first:
            order.request = asked  # it is kept, and forgotten if there is no room
            order.meter = await self.charges.begin(caller.key, asked.request, form.audio_s)
            asked = asked if order.meter is None else order.meter.limited(asked)
        order.request, order.stored_s = asked, time.monotonic()
        self._tell(asked)

    async def _keep(self, asked: SpeechRequest, *, named: bool) -> bool:
        """Keep the request; a full bucket costs those that nobody can ask for anyway their second chance only."""
        try:
            self._take_room(asked)
            if not await self.shelf.keep(asked):
                return False
        except QueueFull:
            if named or self.job:
                raise
            log.warning("request_not_kept", request=asked.request)
            return True
        # Both kinds keep their own first and look for the other then: of two at once, at most one stays.
        if named and await self.other.known(asked.request):
            await self.shelf.forget(asked.request)
            return False
        return True

    def _take_room(self, asked: SpeechRequest) -> None:
        """Count what is kept of the tenant's requests; of jobs, `ResultsQuota` does. Raises TenantRequestsFull."""
        size = len(codec.encode(asked))
        if not self.job and not self.kept_room.take(self.settings.tenant, size, time.monotonic()):
            raise TenantRequestsFull(
                f"your requests of the last two hours fill {self.kept_room.limit_bytes // MEBIBYTE} MiB of what is "
                "kept for retries; send this one without Request-Name and Idempotency-Key, or wait"
            )

    async def _find(self, order: AcceptedRequest, request_id: str) -> bool:
        """Join the request where it is kept."""
        if await self.shelf.known(request_id):
            order.joined, order.stored_s = True, time.monotonic()
            self.metrics.joined.inc()
            log.info("request_joined", request=request_id)
        return order.joined

    async def _claim(self, order: AcceptedRequest, key: str, claim: Claim) -> Claim:
        """Return what stands under the key: this claim where the key is new."""
        there = await self.shelf.claim(key, msgspec.msgpack.encode(claim))
        order.claimed = there is None
        if there is None:
            return claim
        before = msgspec.msgpack.decode(there, type=Claim)
        if before.fingerprint != claim.fingerprint:
            raise IdempotencyKeyReused("this Idempotency-Key stands for another form; send a new key with a new form")
        return before

    def _tell(self, request: SpeechRequest) -> None:
        # Neither text nor voice: how long it is and in what language is all that a log may know.
        log.info("Synthesizing text", request=request.request, language=request.language, characters=len(request.text))

    async def _forget(self, order: AcceptedRequest) -> None:
        if order.meter is not None:
            await order.meter.refund()
        if order.joined:
            return
        if hasattr(order, "request"):
            await self.shelf.forget(order.request.request)
            self.kept_room.release(self.settings.tenant, len(codec.encode(order.request)))
        if order.key is not None and order.claimed:
            await self.shelf.release(order.key)


def renewed(request: SpeechRequest, timeout_s: float) -> SpeechRequest:
    """Return a request that was published before, with a deadline from now on."""
    return msgspec.structs.replace(request, deadline_unix_ms=round((time.time() + timeout_s) * 1000))


@dataclass(frozen=True)
class RunningRequest:
    """Speaks what was ordered."""

    speaker: SpeechSessions
    records: RequestStore
    charges: UsageCharges
    grace: DisconnectGrace
    metrics: Metrics
    request_timeout_s: float

    @asynccontextmanager
    async def speaking(self, order: AcceptedRequest, *, listening: bool = False) -> AsyncIterator[SpeechSession]:
        """Yield the session of a request: published now, or joined. `listening`: see `SpeechSessions.speaking`."""
        if order.joined:
            order.request = await self._kept(order)
        opened = self._joined(order, listening) if order.joined else self._published(order, listening)
        try:
            async with opened as speech:
                order.published = True
                if order.key is None:
                    yield speech
                    return
                async with self.grace.listening(order.request):
                    yield speech
        finally:
            if order.published and order.meter is not None:
                await asyncio.shield(order.meter.settle(over=order.key is None or order.meter.over))

    async def _kept(self, order: AcceptedRequest) -> SpeechRequest:
        """Return the request that an order joins, with time to take it up again."""
        kept = await self.records.request(order.request_id)
        if kept is None:
            raise UnknownRequest("the request that this Idempotency-Key stands for is gone; send it again")
        order.meter = await self.charges.resume(order.request_id)
        kept = kept if order.meter is None else order.meter.limited(kept)
        return renewed(kept, self.request_timeout_s)

    def _published(self, order: AcceptedRequest, listening: bool) -> AbstractAsyncContextManager[SpeechSession]:
        if order.key is None:
            return self.speaker.speaking(order.request, meter=order.meter, listening=listening)
        return self.speaker.speaking(order.request, self._leaving(order), order.meter, listening=listening)

    def _leaving(self, order: AcceptedRequest) -> Leaving:
        return lambda: self.grace.leave(order.request, None if order.meter is None else order.meter.settle)

    @asynccontextmanager
    async def _joined(self, order: AcceptedRequest, listening: bool) -> AsyncIterator[SpeechSession]:
        heard = [order.request.request, *await self.records.runs(order.request.request)]
        async with (
            self.speaker.open_attempts(order.request, heard=heard, sole=False, renewing=True) as runs,
            self.speaker.taking_up(
                order.request, runs, self._leaving(order), meter=order.meter, listening=listening
            ) as speech,
        ):
            yield speech
