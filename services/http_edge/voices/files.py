"""Exports voices of the library to portable files (docs/voice-file.md), and imports them."""

import asyncio
from dataclasses import dataclass, field
from typing import Final

import msgspec

from services.common.bus.library.voices import VoiceLibrary
from services.common.voice_file import pack_voice, unpack_voice
from services.common.wire.voices import Voice
from services.http_edge.errors import BadRequest, TooManyRequests
from services.http_edge.intake.forms.body import Upload
from services.http_edge.voices.fields import check_imported

_AT_ONCE: Final = 4  # files in memory, each with a copy of its clips: up to 64 MB


@dataclass(frozen=True)
class VoiceFiles:
    """The files of voices."""

    library: VoiceLibrary
    consent_required: bool
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))

    def check_slots(self) -> None:
        """Raise TooManyRequests if no more files fit into memory."""
        if self.slots.locked():
            raise TooManyRequests("too many voices are being exported or imported; retry later")

    async def packed(self, voice: Voice, *, computed: bool) -> bytes:
        """Return the file of a voice; `computed`: with what engines computed of it.

        Raises UnknownVoice, BusUnavailable, and BadRequest if nothing was computed.
        """
        wavs = await self.library.clips(voice)
        made = (
            await self.library.portable(voice) if computed else await self.library.computed(voice)
        )
        if computed and not made:
            raise BadRequest(
                "no engine with portable voices has computed this voice; speak a sentence with it "
                "first, or leave computed out",
                field="computed",
            )
        return await asyncio.to_thread(pack_voice, voice, wavs, made)

    async def imported(self, tenant: str, upload: Upload, *, uploaded_by: str) -> Voice:
        """Store the voice of a file in the tenant's library.

        Raises MalformedMessage, BadRequest, ConsentRequired, VoiceNameTaken, TenantVoicesFull, QueueFull,
        BusUnavailable.
        """
        content = await asyncio.to_thread(upload.path.read_bytes)
        draft, wavs, computed = await asyncio.to_thread(unpack_voice, content, tenant)
        check_imported(draft, consent_required=self.consent_required)
        named = msgspec.structs.replace(draft, uploaded_by=uploaded_by)
        return await self.library.create(named, wavs, computed)
