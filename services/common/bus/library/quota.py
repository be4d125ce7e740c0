"""The quota of each tenant in the voice library: how many voices, and how many bytes their clips take.

Each revision of a voice has one value, `size.<tenant>.<voice>.<revision>.<bytes>`. The NATS server has the keys, so
edges that write at the same time see each other, and a crash loses no count.

How they are counted

Listing the keys of a tenant with 10,000 voices takes 25 ms. So an edge lists them once, remembers the sums and the
number of the last message that they contain, and later adds only the keys that were written since: its own, and those
of other edges. Released keys leave no message, so the sums are never too low, but can be too high; where they exceed a
limit, the keys are listed again.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Final

from services.common.bus import topology
from services.common.bus.library.records import library_keys
from services.common.bus.ports import PAGE_MESSAGES, Bus
from services.common.wire.failures import TenantVoicesFull
from services.common.wire.identity import tenant_key
from services.common.wire.voices import Voice, voice_id_unix_s

_CREATED_WITHIN_S: Final = 600.0
_STREAM: Final = f"KV_{topology.LIBRARY}"
_MOST_REMEMBERED: Final = 1_024  # tenants


@dataclass(frozen=True)
class VoiceLimits:
    """The most that one tenant can store."""

    voices: int = 1_000
    clip_bytes: int = 1024 * topology.MEBIBYTE


@dataclass(frozen=True)
class CountedVoices:
    """The voices of a tenant, not fewer than there are."""

    voices: int
    clip_bytes: int
    through: int = 0  # number of the last message of the bucket that is counted

    def exceeds(self, limits: VoiceLimits) -> bool:
        """Return whether they are more than a tenant can store."""
        return self.voices > limits.voices or self.clip_bytes > limits.clip_bytes


@dataclass
class RememberedTenant:
    """The last count of a tenant; the lock orders the keys that this edge writes."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    counted: CountedVoices | None = None


class RememberedCounts:
    """The latest counts of the tenants that have written last."""

    def __init__(self) -> None:
        self._tenants: OrderedDict[str, RememberedTenant] = OrderedDict()

    def of(self, tenant: str) -> RememberedTenant:
        """Return the entry of a tenant."""
        known = self._tenants.setdefault(tenant, RememberedTenant())
        self._tenants.move_to_end(tenant)
        if len(self._tenants) > _MOST_REMEMBERED:
            self._tenants.popitem(last=False)
        return known


@dataclass(frozen=True)
class VoiceQuota:
    """Counts the voices of each tenant. Every method raises BusUnavailable."""

    bus: Bus
    limits: VoiceLimits
    remembered: RememberedCounts = field(default_factory=RememberedCounts)

    async def take(self, voice: Voice) -> None:
        """Count this revision of a voice. Raises TenantVoicesFull, QueueFull."""
        known = self.remembered.of(voice.tenant)
        async with known.lock:
            before, known.counted = known.counted, None
            await self.bus.put_value(topology.LIBRARY, _key(voice), b"1")
            now = None if before is None else await self._continued(before, voice)
            if now is None or now.exceeds(self.limits):
                now = await self._listed(voice)
            known.counted = now if now.through else None

        if now.exceeds(self.limits):
            await self.release(voice)
            raise TenantVoicesFull(
                f"your library would have {now.voices} of {self.limits.voices} voices and "
                f"{_mebibytes(now.clip_bytes)} of {_mebibytes(self.limits.clip_bytes)} MiB of clips; "
                "delete voices (DELETE /voices/ID), or send shorter clips"
            )

    async def _continued(self, before: CountedVoices, voice: Voice) -> CountedVoices | None:
        """Return the count with what was written since.

        None if that is much, or if a replica answers that has not received the value of this voice yet.
        """
        since = await self.bus.page(
            _STREAM,
            topology.value_subject(topology.LIBRARY, _filter(voice.tenant)),
            after=before.through,
        )
        subjects = [message.subject for message in since]
        own = topology.value_subject(topology.LIBRARY, _key(voice))
        if own not in subjects or len(since) >= PAGE_MESSAGES:
            return None
        return CountedVoices(
            before.voices + len(since),
            before.clip_bytes + _clip_bytes(subjects),
            since[-1].number,
        )

    async def _listed(self, voice: Voice) -> CountedVoices:
        """Return the count of a tenant's keys; it contains everything up to the value of this voice."""
        keys = await library_keys(self.bus, _filter(voice.tenant))
        own = await self.bus.get_revision(topology.LIBRARY, _key(voice))
        return CountedVoices(
            len({key.split(".")[2] for key in keys}),
            _clip_bytes(keys),
            0 if own is None else own.revision,
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


def _clip_bytes(keys: Iterable[str]) -> int:
    """Return the bytes of the clips that these keys, or their subjects, count."""
    return sum(int(key.rsplit(".", 1)[1]) for key in keys)


def _mebibytes(size: int) -> str:
    return f"{size / topology.MEBIBYTE:.3g}"
