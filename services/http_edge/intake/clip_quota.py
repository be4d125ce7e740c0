"""The quota of each tenant in the clip store, so that no tenant fills the store that all share.

Each clip has one value in a bucket, whose key contains the clip's size; it expires when the clip
does. The NATS server counts the keys, so edges that store at the same time see each other, and a
crash loses no count.
"""

from dataclasses import dataclass

from services.common.bus import topology
from services.common.bus.ports import Bus
from services.common.wire.failures import TenantClipsFull
from services.common.wire.identity import tenant_key


@dataclass(frozen=True)
class ClipQuota:
    """The bytes that one tenant uses of the clip store."""

    bus: Bus
    tenant: str
    limit_bytes: int

    async def take(self, clip: str, size: int) -> None:
        """Count a clip, once.

        Raises TenantClipsFull, BusUnavailable, and QueueFull where the bucket is full.
        """
        key = self._key(clip, size)
        if not await self.bus.create_value(topology.PROGRESS, key, b"1"):
            return
        held = await self.bus.count_by_subject(
            f"KV_{topology.PROGRESS}",
            topology.value_subject(topology.PROGRESS, tenant_key(self.tenant, "clip", "*", "*")),
        )
        if sum(int(subject.rsplit(".", 1)[1]) for subject in held) > self.limit_bytes:
            await self.release(clip, size)
            raise TenantClipsFull(
                f"your reference clips of the last 24 h fill {self.limit_bytes // topology.MEBIBYTE} MiB; "
                "use voices that you sent before, or wait until the oldest expire"
            )

    async def release(self, clip: str, size: int) -> None:
        """Stop counting a clip that was not stored."""
        await self.bus.drop_value(topology.PROGRESS, self._key(clip, size))

    def _key(self, clip: str, size: int) -> str:
        return tenant_key(self.tenant, "clip", clip, size)
