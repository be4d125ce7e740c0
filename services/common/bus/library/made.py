"""Values derived from a stored voice: computed voices and previews in `TTS_VOICES`, copies in workers' memory."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from msgspec import UNSET

from services.common.bus import topology
from services.common.bus.ports import Bus
from services.common.voice_tensors import unpack_tensors
from services.common.wire import codec, subjects
from services.common.wire.failures import MalformedMessage
from services.common.wire.identity import library_voice_key, tenant_key
from services.common.wire.voices import MOST_COMPUTED, Voice, VoiceForgotten

_DIGEST_BYTES: Final = 32


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

    async def computed(self, voice: Voice) -> list[bytes]:
        """Return what engines computed of this revision, with their default settings, by engine and version."""
        made = library_voice_key(voice.tenant, voice.voice, voice.revision, "*", "*")
        values = [
            await self.bus.get_value(topology.VOICES, key) for key in sorted(await self._keys(made))
        ]
        computed = []
        for value in values:
            with suppress(MalformedMessage):  # damaged: workers replace it
                computed.append(unsealed(value or b""))
        return computed

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
        return {int(key.split(".")[3]) for key in await self._keys(made)}

    async def _keys(self, key_filter: str) -> list[str]:
        held = await self.bus.count_by_subject(
            f"KV_{topology.VOICES}", topology.value_subject(topology.VOICES, key_filter)
        )
        prefix = len(topology.value_subject(topology.VOICES, ""))
        return [subject[prefix:] for subject in held]


def portable(computed: Iterable[bytes]) -> list[bytes]:
    """Return the computed voices that a file can contain: the first of each engine and model."""
    found: dict[tuple[str, str], bytes] = {}
    for content in computed:
        with suppress(MalformedMessage):  # the engine has its own format
            voice = unpack_tensors(content)
            found.setdefault((voice.engine, voice.model), content)
    return list(found.values())[:MOST_COMPUTED]


def sealed(computed: bytes) -> bytes:
    """Return a computed voice as the bucket stores it: its SHA-256, then its bytes."""
    return sha256(computed).digest() + computed


def unsealed(stored: bytes) -> bytes:
    """Return the computed voice of a stored value. Raises MalformedMessage if its SHA-256 does not match."""
    digest = stored[:_DIGEST_BYTES]
    computed = stored[_DIGEST_BYTES:]
    if sha256(computed).digest() != digest:
        raise MalformedMessage("the stored voice does not match its SHA-256")
    return computed
