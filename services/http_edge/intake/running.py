"""Produces the speech of an accepted request.

Publishes it, or joins the attempts of an earlier one.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass

import msgspec

from services.common.wire.messages import SpeechRequest
from services.http_edge.errors import UnknownRequest
from services.http_edge.intake.stages import JoinedRequest, StoredRequest
from services.http_edge.speech.disconnect_grace import DisconnectGrace
from services.http_edge.speech.request_store import RequestStore
from services.http_edge.speech.session import Leaving, SpeechSession, SpeechSessions
from services.http_edge.speech.usage.meter import Meter
from services.http_edge.speech.usage.metering import UsageCharges


def renewed(request: SpeechRequest, timeout_s: float) -> SpeechRequest:
    """Return a request that was published before, with a deadline `timeout_s` from now."""
    return msgspec.structs.replace(
        request, deadline_unix_ms=round((time.time() + timeout_s) * 1000)
    )


@dataclass(frozen=True)
class RunningRequest:
    """Speaks accepted requests."""

    speaker: SpeechSessions
    records: RequestStore
    charges: UsageCharges
    grace: DisconnectGrace
    request_timeout_s: float

    @asynccontextmanager
    async def speaking(
        self, accepted: StoredRequest | JoinedRequest, *, listening: bool = False
    ) -> AsyncIterator[SpeechSession]:
        """Yield the session of a request: published now, or joined.

        `listening`: see `SpeechSessions.speaking`. Raises UnknownRequest, QuotaUsedUp, and what
        that raises.
        """
        keyed = accepted.identified.key is not None
        begun = False
        if isinstance(accepted, StoredRequest):
            request = accepted.request
            meter = accepted.meter
            leaving = self._leaving(request, meter) if keyed else None
            opened = self.speaker.speaking(request, leaving, meter, listening=listening)
        else:
            request, meter = await self._resumed(
                accepted.identified.tenant, accepted.identified.request_id
            )
            opened = self._joined(request, meter, listening)

        try:
            async with opened as speech, self._marked(request, keyed=keyed):
                begun = True
                if isinstance(accepted, StoredRequest):
                    accepted.mark_published()
                yield speech
        finally:
            if meter is not None and begun:
                await asyncio.shield(meter.settle(over=not keyed or meter.over))
            elif meter is not None and isinstance(accepted, JoinedRequest):
                # that of a stored request is refunded by its rollback
                await asyncio.shield(meter.refund())

    def _marked(self, request: SpeechRequest, *, keyed: bool) -> AbstractAsyncContextManager[None]:
        """Mark a request with an idempotency key as listened to while the block runs."""
        return self.grace.listening(request) if keyed else nullcontext()

    async def _resumed(self, tenant: str, request_id: str) -> tuple[SpeechRequest, Meter | None]:
        """Return a stored request with a new deadline, and its meter if its API key has a quota."""
        stored = await self.records.request(tenant, request_id)
        if stored is None:
            raise UnknownRequest(
                "the request of this Idempotency-Key no longer exists; send it again"
            )
        meter = await self.charges.resume(tenant, request_id)
        stored = stored if meter is None else meter.limited(stored)
        return renewed(stored, self.request_timeout_s), meter

    def _leaving(self, request: SpeechRequest, meter: Meter | None) -> Leaving:
        return lambda: self.grace.leave(request, None if meter is None else meter.settle)

    @asynccontextmanager
    async def _joined(
        self, request: SpeechRequest, meter: Meter | None, listening: bool
    ) -> AsyncIterator[SpeechSession]:
        earlier = [request.request, *await self.records.attempts(request.tenant, request.request)]
        leaving = self._leaving(request, meter)
        async with (
            self.speaker.open_attempts(
                request, earlier=earlier, sole=False, renewing=True
            ) as attempts,
            self.speaker.resuming(
                request, attempts, leaving, meter=meter, listening=listening
            ) as speech,
        ):
            yield speech
