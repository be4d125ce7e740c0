"""Erases the voices that a tenant sent with requests, and that are not in its library."""

from dataclasses import dataclass

from services.common.bus import topology
from services.common.bus.ports import Bus
from services.common.wire import codec, subjects
from services.common.wire.identity import clip_object, tenant_key, voice_key
from services.common.wire.voices import VoiceForgotten


@dataclass(frozen=True)
class OneOffVoices:
    """The clips of requests and what was computed from them. Every method raises BusUnavailable."""

    bus: Bus

    async def erase(self, tenant: str) -> int:
        """Erase all of a tenant, in NATS and in every worker; return how many clips there were."""
        clips = await self._clips(tenant)
        for _, clip in clips:
            await self.bus.drop_object(topology.CLIPS, clip_object(tenant, clip))

        await self._purge_computed(tenant)
        message = VoiceForgotten(tenant=tenant, voice=None)
        await self.bus.send(subjects.forget(tenant), codec.encode(message))

        # the values count clips of the quota: they go last, so that an interrupted call can be repeated
        for key, _ in clips:
            await self.bus.drop_value(topology.PROGRESS, key)
        # of a worker that had read its clips before
        await self._purge_computed(tenant)
        return len(clips)

    async def _clips(self, tenant: str) -> list[tuple[str, str]]:
        """Return key and id of each clip that the tenant's quota counts."""
        held = await self.bus.count_by_subject(
            f"KV_{topology.PROGRESS}",
            topology.value_subject(topology.PROGRESS, tenant_key(tenant, "clip", "*", "*")),
        )
        prefix = len(topology.value_subject(topology.PROGRESS, ""))
        keys = [subject[prefix:] for subject in held]
        return [(key, key.split(".")[2]) for key in keys]

    async def _purge_computed(self, tenant: str) -> None:
        every = voice_key(tenant, "*", "*", "*")
        await self.bus.purge(
            f"KV_{topology.VOICES}", topology.value_subject(topology.VOICES, every)
        )
