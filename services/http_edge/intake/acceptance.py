"""Accepts a request that speaks.

Reads its form, identifies it, admits it, and stores it under its id.

How it works. `Acceptor.accepted` takes a request through the stages of `stages`: parsed (the form
is read and checked), identified (an idempotency key leads to the id and seed of the first attempt;
then the voice is resolved), admitted (the backlog and the key's quota have capacity), stored (its
clips and the request itself). A retry of a stored request is joined instead. Whatever was reserved
for a request that is not published is undone by its `Rollback`.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import msgspec
import structlog
from aiohttp import web

from services.common.wire.fields import NO_WATERMARK
from services.common.wire.messages import SpeechRequest
from services.http_edge.auth.guard import caller_of
from services.http_edge.capacity.fleet import Fleet
from services.http_edge.context import REQUEST_ID, outcome_of, tenant_of_caller
from services.http_edge.errors import IdempotencyKeyReused, RequestIdTaken, TooManyRequests
from services.http_edge.intake.clips import ClipIntake
from services.http_edge.intake.forms.form import Form, RequestReader
from services.http_edge.intake.idempotency import Claim, checked_id, checked_key, fingerprint
from services.http_edge.intake.kinds import RequestKind
from services.http_edge.intake.stages import (
    AdmittedRequest,
    IdentifiedRequest,
    JoinedRequest,
    ParsedRequest,
    Rollback,
    StoredRequest,
)
from services.http_edge.intake.text import understood
from services.http_edge.intake.voice import VoiceSelector
from services.http_edge.metrics import Metrics
from services.http_edge.settings import Settings

log = structlog.get_logger()

_USUAL_RATE_HZ: Final = 24_000
REQUEST_NAME: Final = "Request-Name"  # header: the id that the client chooses


@dataclass(frozen=True)
class Acceptor:
    """Accepts requests of one kind."""

    kind: RequestKind
    fleet: Fleet
    intake: ClipIntake
    voices: VoiceSelector
    metrics: Metrics
    settings: Settings
    free_slots: asyncio.Semaphore
    reader: RequestReader
    upload_owner: Callable[[web.Request], str]  # returns whose upload a request is

    @asynccontextmanager
    async def accepted(self, request: web.Request) -> AsyncIterator[StoredRequest | JoinedRequest]:
        """Check everything that can be checked before synthesis, and store the request under its id.

        If it was not published when the block ends, it is deleted, so that it can be sent again. Raises BadRequest,
        TooManyRequests, RequestIdTaken, IdempotencyKeyReused, and what form, fleet, admission and intake raise.
        """
        if (chosen_id := request.headers.get(REQUEST_NAME)) is not None:
            request[REQUEST_ID] = checked_id(chosen_id, field=REQUEST_NAME)
        sent_key = request.headers.get("Idempotency-Key")
        key = None if sent_key is None else checked_key(sent_key)
        await self._check_before_reading(request, key)
        began_s = time.monotonic()
        rollback = Rollback()

        async with AsyncExitStack() as held:
            try:
                async with self.reader.form(request, self.upload_owner(request)) as form:
                    self._check_slots()
                    await held.enter_async_context(self.free_slots)
                    parsed = await self._parse(request, form, began_s)
                    identified = await self._identify(request, parsed, key, rollback)
                    accepted = await self._join_or_store(request, identified, held, rollback)
                yield accepted  # the temporary files of the uploads are deleted
            finally:
                await asyncio.shield(rollback.run())

    async def _check_before_reading(self, request: web.Request, key: str | None) -> None:
        """Refuse what can be refused before megabytes are read; of an engine that the body names, nothing."""
        self._check_slots()
        if not self.reader.selects_engine and not self.kind.waits_for_workers:
            self.fleet.require_ready()
        await self._check_quota(request, key)
        if not self.reader.selects_engine:
            self.kind.check_capacity(tenant_of_caller(request))

    def _check_slots(self) -> None:
        if self.free_slots.locked():
            raise TooManyRequests("too many concurrent requests; retry later")

    async def _check_quota(self, request: web.Request, key: str | None) -> None:
        """Refuse an API key whose quota is used up. Raises QuotaUsedUp.

        A retry is not checked: it may cost nothing.
        """
        caller = caller_of(request)
        if caller is not None and (
            key is None or not await self.kind.store.claimed(tenant_of_caller(request), key)
        ):
            await self.kind.charges.quota.check(caller.key)

    async def _parse(self, request: web.Request, form: Form, began_s: float) -> ParsedRequest:
        """Return the request with its languages and the length of its audio."""
        caller = caller_of(request)
        if caller is not None:
            caller.require_engine(form.engine or self.fleet.engine)
        form = await understood(form)
        outcome = outcome_of(request)
        outcome.language = form.language
        outcome.read_s = read_s = time.monotonic()
        outcome.sample_rate_hz = self._sample_rate_hz(form)
        return ParsedRequest(
            tenant=tenant_of_caller(request),
            form=form,
            outcome=outcome,
            began_s=began_s,
            read_s=read_s,
            sample_rate_hz=outcome.sample_rate_hz,
            watermark=self.fleet.of(form.engine).watermark or NO_WATERMARK,
        )

    def _sample_rate_hz(self, form: Form) -> int:
        """Return the sample rate of the audio to come. Raises what `Fleet.require` raises.

        A job for the edge's own engine is accepted while no worker is ready: scaling starts one for it. The worker's
        rate, languages and parameters are unknown then, and checked before the job runs.
        """
        fleet = self.fleet.of(form.engine)
        own = fleet.engine == self.fleet.engine
        if own and self.kind.waits_for_workers and fleet.why_not_ready() is not None:
            return _USUAL_RATE_HZ
        return fleet.require(form.language, form.parameters).sample_rate_hz

    async def _identify(
        self, request: web.Request, parsed: ParsedRequest, key: str | None, rollback: Rollback
    ) -> IdentifiedRequest:
        """Return the request with its id.

        For a known idempotency key, with that of the first attempt.
        """
        form = parsed.form
        claim = Claim(
            fingerprint(form, self.kind.name), request[REQUEST_ID], self.intake.seed(form)
        )
        if key is not None:
            claim = await self._claim(parsed.tenant, key, claim, rollback)
            request[REQUEST_ID] = claim.request
        named = key is not None or REQUEST_NAME in request.headers
        return IdentifiedRequest(parsed, claim, key, named)

    async def _claim(self, tenant: str, key: str, claim: Claim, rollback: Rollback) -> Claim:
        """Return the claim that is stored under the key: this one if the key is new."""
        stored = await self.kind.store.claim(tenant, key, msgspec.msgpack.encode(claim))
        if stored is None:
            rollback.release_key = partial(self.kind.store.release, tenant, key)
            return claim
        first = msgspec.msgpack.decode(stored, type=Claim)
        if first.fingerprint != claim.fingerprint:
            raise IdempotencyKeyReused(
                "this Idempotency-Key was sent with another form; send a new key for a new form"
            )
        return first

    async def _join(
        self, identified: IdentifiedRequest, rollback: Rollback
    ) -> JoinedRequest | None:
        """Return the earlier request under the same idempotency key.

        None if there is none in the store.
        """
        repeated = identified.key is not None and rollback.release_key is None
        if not repeated or not await self.kind.store.known(
            identified.tenant, identified.request_id
        ):
            return None
        self.metrics.joined.inc()
        log.info("request_joined", request=identified.request_id)
        return JoinedRequest(identified, stored_s=time.monotonic(), warnings=())

    async def _join_or_store(
        self,
        request: web.Request,
        identified: IdentifiedRequest,
        held: AsyncExitStack,
        rollback: Rollback,
    ) -> StoredRequest | JoinedRequest:
        joined = await self._join(identified, rollback)
        if joined is not None:
            return joined

        voiced = await self._with_voice(identified)
        admitted = await self._admit(request, voiced, held, rollback)
        return await self._store(request, admitted, rollback)

    async def _with_voice(self, identified: IdentifiedRequest) -> IdentifiedRequest:
        """Return the request with its voice resolved; its fingerprint stays that of the form as it was sent.

        Raises UnknownVoice, BadRequest.
        """
        parsed = identified.parsed
        form = await self.voices.voiced(parsed.tenant, parsed.form)
        return replace(identified, parsed=replace(parsed, form=form))

    async def _admit(
        self,
        request: web.Request,
        identified: IdentifiedRequest,
        held: AsyncExitStack,
        rollback: Rollback,
    ) -> AdmittedRequest:
        """Count the request in the backlog and in its API key's quota.

        Raises QueueFull, TenantQueueFull, QuotaUsedUp.
        """
        form = identified.parsed.form
        audio_s = form.audio_s
        held.enter_context(
            self.kind.admit(identified.tenant, identified.request_id, audio_s, form.engine)
        )
        caller = caller_of(request)
        if caller is None:
            return AdmittedRequest(identified, meter=None)
        meter = await self.kind.charges.open(caller.key, identified.request_id, audio_s)
        rollback.refund = None if meter is None else meter.refund
        return AdmittedRequest(identified, meter)

    async def _store(
        self, request: web.Request, admitted: AdmittedRequest, rollback: Rollback
    ) -> StoredRequest | JoinedRequest:
        """Store the clips and the request; join the request that a concurrent retry stored first.

        Raises RequestIdTaken, and what the clip intake raises.
        """
        identified = admitted.identified
        form = identified.parsed.form
        reference = await self.intake.reference(identified.tenant, form)
        speech = self.intake.request(
            identified.tenant,
            identified.request_id,
            form,
            clips=reference.clips,
            seed=identified.claim.seed,
            timeout_s=self.kind.timeout_s,
        )
        speech = self.fleet.marked(speech)
        speech = speech if admitted.meter is None else admitted.meter.limited(speech)

        if not await self._keep(speech, named=identified.named):
            if identified.key is None:
                raise RequestIdTaken(
                    "Request-Name is already the name of another request or job; send another one, or none"
                )
            rollback.discard()
            self._log(speech)
            return JoinedRequest(identified, stored_s=time.monotonic(), warnings=reference.warnings)

        rollback.forget = partial(self.kind.forget, speech)
        stored = StoredRequest(
            identified,
            stored_s=time.monotonic(),
            warnings=reference.warnings,
            request=speech,
            meter=admitted.meter,
            rollback=rollback,
        )
        if admitted.meter is not None and not admitted.meter.first:
            stored = await self._charge_again(request, stored)
        self._log(speech)
        return stored

    async def _keep(self, speech: SpeechRequest, *, named: bool) -> bool:
        """Store the request; return False if its id is taken."""
        if not await self.kind.keep(speech, named=named):
            return False
        # Each kind stores first and then looks for the id in the other kind's store: of two at once, at most one stays.
        if named and await self.kind.other.known(speech.tenant, speech.request):
            await self.kind.store.forget(speech.tenant, speech.request)
            return False
        return True

    async def _charge_again(self, request: web.Request, stored: StoredRequest) -> StoredRequest:
        """Reserve the quota for a new request whose id has an earlier charge.

        Raises QuotaUsedUp.
        """
        caller = caller_of(request)
        if caller is None:
            return stored
        meter = await self.kind.charges.begin(caller.key, stored.request.request, stored.audio_s)
        stored.rollback.refund = None if meter is None else meter.refund
        speech = stored.request if meter is None else meter.limited(stored.request)
        return replace(stored, request=speech, meter=meter, stored_s=time.monotonic())

    def _log(self, speech: SpeechRequest) -> None:
        # Neither text nor voice: a log contains only the length and the language of a text.
        log.info(
            "Synthesizing text",
            request=speech.request,
            language=speech.language,
            characters=len(speech.text),
        )
