"""Keeps requests with an idempotency key running for a while without listeners, so that a retry can join them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from services.common.bus.ports import Bus
from services.common.runtime.lifecycle import cancel_until_done
from services.common.wire.failures import BusUnavailable, QueueFull
from services.common.wire.messages import SpeechRequest
from services.http_edge.speech.commands import cancel
from services.http_edge.speech.request_store import RequestStore


@dataclass(frozen=True)
class DisconnectGrace:
    """Cancels a request that has had no listener, at this edge or another one, for `grace_s`."""

    bus: Bus
    records: RequestStore
    grace_s: float
    group: asyncio.TaskGroup
    stop: asyncio.Event

    @asynccontextmanager
    async def listening(self, request: SpeechRequest) -> AsyncIterator[None]:
        """Mark the request as having a listener, visible to every edge, while the block runs."""
        marking = self.group.create_task(self._mark(request), name="listening")
        try:
            yield
        finally:
            await cancel_until_done(marking)

    async def leave(
        self, request: SpeechRequest, cancelled: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """Check, some time after a listener left early, whether others remain. `cancelled` is called if not."""
        self.group.create_task(self._cancel_later(request, cancelled), name="grace")

    async def _mark(self, request: SpeechRequest) -> None:
        while True:
            with suppress(
                BusUnavailable, QueueFull
            ):  # without a mark it is cancelled, and resumed later
                await self.records.refresh_listener(request.tenant, request.request)
            await asyncio.sleep(self.grace_s / 4)

    async def _cancel_later(
        self, request: SpeechRequest, cancelled: Callable[[], Awaitable[None]] | None
    ) -> None:
        with suppress(BusUnavailable):  # then its sentences expire at their deadline
            mark = await self.records.listening(request.tenant, request.request)
            with suppress(TimeoutError):
                async with asyncio.timeout(self.grace_s):
                    await self.stop.wait()
                return  # this edge stops: its client retries at another edge
            if await self.records.listening(request.tenant, request.request) == mark:
                await cancel(
                    self.bus,
                    request.tenant,
                    request.request,
                    *await self.records.attempts(request.tenant, request.request),
                )
                if cancelled is not None:
                    await cancelled()
