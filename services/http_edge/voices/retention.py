"""Erases voices that were not changed for VOICES_KEPT_DAYS, and finishes changes that a crash interrupted.

Every edge sweeps all tenants once an hour, beginning at a random time. Sweeps of several edges do not disturb each
other: a voice that another edge erases first is skipped. The voices that the operator published do not expire.
"""

import asyncio
import random
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog

from services.common.bus.library.voices import VoiceLibrary
from services.common.wire.failures import PipelineError
from services.common.wire.voices import SHARED_TENANT

log = structlog.get_logger()

_SWEEP_S: Final = 3600.0
_DAY_S: Final = 24 * 3600.0


@dataclass(frozen=True)
class VoiceRetention:
    """Sweeps the libraries of all tenants."""

    library: VoiceLibrary
    kept_days: float  # after the last change; 0: until deleted

    async def run(self, stop: asyncio.Event) -> None:
        """Sweep once an hour until `stop` is set."""
        pause_s = random.uniform(60, _SWEEP_S)  # noqa: S311  # spreads the edges, no secret
        while not stop.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await stop.wait()
                return
            await self.sweep()
            pause_s = _SWEEP_S

    async def sweep(self) -> None:
        """Sweep every tenant once. A tenant that fails is logged, and swept again in an hour."""
        try:
            tenants = await self.library.tenants()
        except PipelineError as error:
            log.warning("voice_sweep_failed", code=error.code)
            return
        for tenant in tenants:
            try:
                await self._sweep_tenant(tenant)
            except PipelineError as error:
                log.warning("voice_sweep_failed", tenant=tenant, code=error.code)

    async def _sweep_tenant(self, tenant: str) -> None:
        expires = self.kept_days > 0 and tenant != SHARED_TENANT
        before_unix_s = time.time() - self.kept_days * _DAY_S if expires else None
        for voice in await self.library.sweep(tenant, changed_before_unix_s=before_unix_s):
            event = "voice_expired" if voice.state == "ready" else "voice_change_abandoned"
            log.info(event, tenant=tenant, voice=voice.voice)
