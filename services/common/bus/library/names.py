"""Unique names of a tenant's voices: each is claimed by creating one value, which one of two writers can.

A claim whose voice does not exist, or has another name, was left by a crash and is taken over.
"""

import time
from dataclasses import dataclass
from typing import Final

from services.common.bus import topology
from services.common.bus.library.records import VoiceRecords
from services.common.bus.ports import Bus
from services.common.wire.failures import VoiceNameTaken
from services.common.wire.identity import tenant_key
from services.common.wire.voices import Voice, is_voice_id, name_key, voice_id_unix_s

_RECORD_FOLLOWS_S: Final = 600.0  # a claim is older than its voice's record, but not by more


@dataclass(frozen=True)
class VoiceNames:
    """The claims, `name.<tenant>.<digest>` in the bucket `TTS_LIBRARY`."""

    bus: Bus
    records: VoiceRecords

    async def find(self, tenant: str, name: str) -> Voice | None:
        """Return the tenant's ready voice of this name, or None."""
        claimed = await self.bus.get_value(topology.LIBRARY, _key(tenant, name))
        if claimed is None:
            return None
        record = await self.records.get(tenant, claimed.decode())
        if record is None or record.state != "ready" or name_key(record.name) != name_key(name):
            return None
        return record

    async def claim(self, tenant: str, name: str, voice: str) -> None:
        """Make a name lead to this voice. Raises VoiceNameTaken, BusUnavailable, QueueFull."""
        key = _key(tenant, name)
        if await self.bus.create_value(topology.LIBRARY, key, voice.encode()):
            return
        claim = await self.bus.get_revision(topology.LIBRARY, key)
        if claim is not None and await self._is_held(tenant, name, claim.content.decode(), voice):
            raise VoiceNameTaken(
                "another voice of yours has this name; send another name, or change that voice"
            )
        revision = 0 if claim is None else claim.revision
        if not await self.bus.update_value(topology.LIBRARY, key, voice.encode(), revision):
            raise VoiceNameTaken(
                "another request is creating a voice with this name; send another name"
            )

    async def release(self, tenant: str, name: str, voice: str) -> None:
        """Give up a name, if it leads to this voice."""
        key = _key(tenant, name)
        if await self.bus.get_value(topology.LIBRARY, key) == voice.encode():
            await self.bus.drop_value(topology.LIBRARY, key)

    async def _is_held(self, tenant: str, name: str, holder: str, voice: str) -> bool:
        """Return whether the holder of a claim is another voice, which has this name or is being created."""
        if holder == voice or not is_voice_id(holder):
            return False
        record = await self.records.get(tenant, holder)
        if record is None:
            return time.time() - voice_id_unix_s(holder) < _RECORD_FOLLOWS_S
        return name_key(record.name) == name_key(name)


def _key(tenant: str, name: str) -> str:
    return tenant_key(tenant, "name", name_key(name))
