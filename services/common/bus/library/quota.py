"""The quota of each tenant in the voice library: how many voices, and how many bytes their clips take.

Each revision of a voice has one value, `size.<tenant>.<voice>.<revision>.<bytes>`. The NATS server counts the keys, so
edges that write at the same time see each other, and a crash loses no count.
"""

import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from services.common.bus import topology
from services.common.bus.library.records import library_keys
from services.common.bus.ports import Bus
from services.common.wire.failures import TenantVoicesFull
from services.common.wire.identity import tenant_key
from services.common.wire.voices import Voice, voice_id_unix_s

_CREATED_WITHIN_S: Final = 600.0


@dataclass(frozen=True)
class VoiceLimits:
    """The most that one tenant can store."""

    voices: int = 1_000
    clip_bytes: int = 1024 * topology.MEBIBYTE


@dataclass(frozen=True)
class VoiceQuota:
    """Counts the voices of each tenant. Every method raises BusUnavailable."""

    bus: Bus
    limits: VoiceLimits

    async def take(self, voice: Voice) -> None:
        """Count this revision of a voice. Raises TenantVoicesFull, QueueFull."""
        await self.bus.put_value(topology.LIBRARY, _key(voice), b"1")
        sizes = [key.split(".") for key in await library_keys(self.bus, _filter(voice.tenant))]
        voices = len({parts[2] for parts in sizes})
        clip_bytes = sum(int(parts[4]) for parts in sizes)
        if voices <= self.limits.voices and clip_bytes <= self.limits.clip_bytes:
            return
        await self.release(voice)
        raise TenantVoicesFull(
            f"your library would have {voices} of {self.limits.voices} voices and "
            f"{_mebibytes(clip_bytes)} of {_mebibytes(self.limits.clip_bytes)} MiB of clips; "
            "delete voices (DELETE /voices/ID), or send shorter clips"
        )

    async def release(self, voice: Voice) -> None:
        """Stop counting this revision of a voice."""
        await self.bus.drop_value(topology.LIBRARY, _key(voice))

    async def release_others(self, voice: Voice) -> None:
        """Count a voice once, as it is now."""
        await self.bus.put_value(topology.LIBRARY, _key(voice), b"1")
        for key in await library_keys(self.bus, _filter(voice.tenant, voice.voice)):
            if key != _key(voice):
                await self.bus.drop_value(topology.LIBRARY, key)

    async def release_unknown(self, tenant: str, known: Collection[str]) -> None:
        """Stop counting voices that are not known and too old to be in creation: a crash left their values."""
        for key in await library_keys(self.bus, _filter(tenant)):
            voice = key.split(".")[2]
            if voice not in known and time.time() - voice_id_unix_s(voice) > _CREATED_WITHIN_S:
                await self.bus.drop_value(topology.LIBRARY, key)

    async def release_all(self, voice: Voice) -> None:
        """Stop counting a voice."""
        for key in await library_keys(self.bus, _filter(voice.tenant, voice.voice)):
            await self.bus.drop_value(topology.LIBRARY, key)


def _key(voice: Voice) -> str:
    return tenant_key(voice.tenant, "size", voice.voice, voice.revision, voice.clip_bytes)


def _filter(tenant: str, voice: str = "*") -> str:
    return tenant_key(tenant, "size", voice, "*", "*")


def _mebibytes(size: int) -> str:
    return f"{size / topology.MEBIBYTE:.3g}"
