"""Values derived from a stored voice: computed voices and previews in `TTS_VOICES`, copies in workers' memory."""

from dataclasses import dataclass

from msgspec import UNSET

from services.common.bus import topology
from services.common.bus.ports import Bus
from services.common.wire import codec, subjects
from services.common.wire.identity import library_voice_key, tenant_key
from services.common.wire.voices import Voice, VoiceForgotten


@dataclass(frozen=True)
class MadeOfVoice:
    """Erases derived values. Every method raises BusUnavailable."""

    bus: Bus

    async def erase(self, voice: Voice) -> None:
        """Erase what was made of any revision of a voice, in NATS and in every worker."""
        await self._forget(voice)
        await self._purge(tenant_key(voice.tenant, "voice", voice.voice, ">"))

    async def erase_earlier(self, voice: Voice) -> None:
        """Erase what was made of revisions before this one."""
        await self._forget(voice, below=voice.revision)
        for revision in await self._revisions(voice):
            if revision < voice.revision:
                await self._purge(library_voice_key(voice.tenant, voice.voice, revision, ">"))

    async def _forget(self, voice: Voice, *, below: int | None = None) -> None:
        message = VoiceForgotten(
            tenant=voice.tenant, voice=voice.voice, below=UNSET if below is None else below
        )
        await self.bus.send(subjects.forget(voice.tenant), codec.encode(message))

    async def _purge(self, key_filter: str) -> None:
        await self.bus.purge(
            f"KV_{topology.VOICES}", topology.value_subject(topology.VOICES, key_filter)
        )

    async def _revisions(self, voice: Voice) -> set[int]:
        """Return the revisions of which something is stored."""
        made = tenant_key(voice.tenant, "voice", voice.voice, ">")
        held = await self.bus.count_by_subject(
            f"KV_{topology.VOICES}", topology.value_subject(topology.VOICES, made)
        )
        prefix = len(topology.value_subject(topology.VOICES, ""))
        return {int(subject[prefix:].split(".")[3]) for subject in held}
