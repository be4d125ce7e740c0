"""The records of stored voices, in the bucket `TTS_LIBRARY`."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import structlog

from services.common.bus import topology
from services.common.bus.atomic_update import update_atomically
from services.common.bus.ports import Bus
from services.common.wire import codec
from services.common.wire.failures import MalformedMessage, UnknownVoice
from services.common.wire.identity import library_key
from services.common.wire.voices import Voice, VoiceState

log = structlog.get_logger()

_AT_ONCE: Final = 512  # records that are read at once


@dataclass(frozen=True)
class VoiceRecords:
    """Reads and changes records. Every method raises BusUnavailable; those that write, QueueFull."""

    bus: Bus

    async def get(self, tenant: str, voice: str) -> Voice | None:
        """Return a voice's record, in whatever state; None if there is none."""
        return _decoded(await self.bus.get_value(topology.LIBRARY, library_key(tenant, voice)))

    async def get_all(self, tenant: str, ids: Sequence[str]) -> list[Voice]:
        """Return the records of these voices, in order, without those that do not exist."""
        keys = [library_key(tenant, voice) for voice in ids]
        values: dict[str, bytes] = {}
        for begin in range(0, len(keys), _AT_ONCE):
            batch = keys[begin : begin + _AT_ONCE]
            values |= await self.bus.get_values(topology.LIBRARY, batch)
        voices = [_decoded(values.get(key)) for key in keys]
        return [voice for voice in voices if voice is not None]

    async def ids(self, tenant: str) -> list[str]:
        """Return the ids of a tenant's voices, in whatever state, oldest first."""
        keys = await library_keys(self.bus, library_key(tenant, "*"))
        return sorted(key.rsplit(".", 1)[1] for key in keys)

    async def tenants(self) -> list[str]:
        """Return the tenants that keep voices, sorted."""
        keys = await library_keys(self.bus, library_key("*", "*"))
        return sorted({key.split(".")[1] for key in keys})

    async def create(self, voice: Voice) -> None:
        """Store the record of a new voice."""
        key = library_key(voice.tenant, voice.voice)
        await self.bus.put_value(topology.LIBRARY, key, codec.encode(voice))

    async def update(
        self,
        tenant: str,
        voice: str,
        change: Callable[[Voice], Voice],
        *,
        states: tuple[VoiceState, ...] = ("ready",),
    ) -> Voice:
        """Change the record of a voice that is in one of these states, and return it.

        `change` can be called several times, where other writers come first. Raises UnknownVoice.
        """
        changed: list[Voice] = []

        async def apply(content: bytes) -> bytes:
            now = _decoded(content)
            if now is None or now.state not in states:
                raise UnknownVoice("this voice no longer exists; GET /voices lists those that do")
            changed[:] = [
                msgspec.structs.replace(change(now), changed_unix_ms=round(time.time() * 1000))
            ]
            return codec.encode(changed[0])

        await update_atomically(self.bus, topology.LIBRARY, library_key(tenant, voice), apply)
        return changed[0]

    async def drop(self, voice: Voice) -> None:
        """Remove a record."""
        await self.bus.drop_value(topology.LIBRARY, library_key(voice.tenant, voice.voice))


async def library_keys(bus: Bus, key_filter: str) -> list[str]:
    """Return the keys of the bucket `TTS_LIBRARY` that match."""
    held = await bus.count_by_subject(
        f"KV_{topology.LIBRARY}", topology.value_subject(topology.LIBRARY, key_filter)
    )
    prefix = len(topology.value_subject(topology.LIBRARY, ""))
    return [subject[prefix:] for subject in held]


def _decoded(content: bytes | None) -> Voice | None:
    if not content:
        return None
    try:
        return codec.decode(content, Voice)
    except MalformedMessage as error:
        log.warning("voice_record_malformed", detail=str(error))
        return None
