"""Receives a tenant's commands about voices over NATS, as HTTP does under `/voices`."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from typing import Final, NoReturn

import msgspec
import structlog
from msgspec import UNSET

from services.common.audio.wav import read_wav
from services.common.bus.clips import fetch_clip
from services.common.bus.library.resolving import built_in_voices
from services.common.bus.library.voices import VoiceLibrary
from services.common.bus.ports import Received
from services.common.wire import codec
from services.common.wire.addressing import require_own
from services.common.wire.failures import (
    ConsentRequired,
    MalformedMessage,
    PipelineError,
    UnknownVoice,
    UnusableReference,
)
from services.common.wire.messages import Message
from services.common.wire.voices import (
    RESERVED_NAMES,
    SHARED_TENANT,
    ChangeVoice,
    Consent,
    CreateVoice,
    DeleteVoice,
    ListVoices,
    ReadVoice,
    Voice,
    VoiceAnswer,
    VoiceCommand,
    VoiceDeleted,
    VoiceRefused,
    VoicesListed,
    is_voice_id,
    name_key,
)
from services.http_edge.capacity.fleet import Fleet

log = structlog.get_logger()

_RESERVED: Final = frozenset(map(name_key, RESERVED_NAMES))


@dataclass(frozen=True)
class VoiceIngress:
    """Creates, reads, changes, deletes and lists the voices of tenants."""

    library: VoiceLibrary
    fleet: Fleet
    consent_required: bool

    async def answer(self, tenant: str, message: Received) -> bytes:
        """Carry out a command and return the reply.

        Raises MalformedMessage, ConsentRequired, UnknownVoice, UnknownClip, UnusableReference,
        VoiceNameTaken, VoiceBusy, TenantVoicesFull, QueueFull, BusUnavailable.
        """
        command: VoiceCommand = codec.decode(message.payload, VoiceCommand)  # type: ignore[arg-type]  # a union is a type to msgspec
        require_own(command, message.subject)
        if tenant == SHARED_TENANT:
            raise MalformedMessage(
                "tenant is that of the shared voices, which only the operator changes; send your own"
            )
        return codec.encode(await self._answer(tenant, command))

    def refuse(self, failure: PipelineError) -> bytes:
        """Return the reply with the reason why nothing was changed."""
        return codec.encode(
            VoiceRefused(code=failure.code, detail=str(failure), retryable=failure.retryable)
        )

    async def _answer(self, tenant: str, command: VoiceCommand) -> Message:
        match command:
            case CreateVoice():
                return VoiceAnswer(voice=await self._create(command))
            case ChangeVoice():
                return VoiceAnswer(voice=await self._change(command))
            case ReadVoice():
                return VoiceAnswer(voice=await self._read(tenant, command.voice))
            case DeleteVoice():
                return VoiceDeleted(voice=await self._delete(tenant, command.voice))
            case ListVoices():
                return await self._list(tenant, command)

    async def _create(self, command: CreateVoice) -> Voice:
        _check_name(command.name)
        self._check_consent(command.consent)
        wavs = await self._clips(command.tenant, command.clips)
        draft = Voice(
            voice="v_" + 20 * "0",  # this and the next fields are set by the library
            tenant=command.tenant,
            name=command.name,
            revision=1,
            state="creating",
            clips=command.clips,
            clip_bytes=0,
            audio_s=_seconds(wavs),
            created_unix_ms=0,
            changed_unix_ms=0,
            language=command.language,
            description=command.description,
            consent=command.consent,
            parameters=command.parameters,
        )
        made = await self.library.create(draft, wavs)
        _audit("voice_created", made.tenant, made.voice)
        return made

    async def _change(self, command: ChangeVoice) -> Voice:
        """Change what is sent; if the clips cannot be replaced, everything stays as it was."""
        if command.name is not UNSET:
            _check_name(command.name)
        if command.consent is not UNSET or command.clips is not UNSET:
            self._check_consent(None if command.consent is UNSET else command.consent)

        before = await self.library.require(command.tenant, command.voice)
        if command.clips is UNSET:
            changed = await self.library.change(
                command.tenant, before.voice, _changing(command, named=True)
            )
            _audit("voice_changed", changed.tenant, changed.voice)
            return changed

        wavs = await self._clips(command.tenant, command.clips)
        name = before.name if command.name is UNSET else command.name
        if name != before.name:
            await self._rename(before, name)
        try:
            replaced = await self.library.replace_clips(
                command.tenant, before.voice, wavs, _changing(command, audio_s=_seconds(wavs))
            )
        except PipelineError:
            if name != before.name:
                with suppress(PipelineError):
                    await self._rename(before, before.name)
            raise
        _audit("voice_clips_replaced", replaced.tenant, replaced.voice)
        return replaced

    async def _rename(self, voice: Voice, name: str) -> None:
        await self.library.change(
            voice.tenant, voice.voice, lambda now: msgspec.structs.replace(now, name=name)
        )

    async def _read(self, tenant: str, voice: str) -> Voice:
        """Return a voice of the tenant, or a shared one."""
        found = await self.library.find(tenant, voice)
        if found is not None:
            return found
        shared = await self.library.find(SHARED_TENANT, voice)
        return await self.library.require(tenant, voice) if shared is None else _public(shared)

    async def _delete(self, tenant: str, voice: str) -> str:
        """Delete a voice and return its id; a deletion that was interrupted is finished."""
        finished = is_voice_id(voice) and await self.library.delete(tenant, voice)
        if finished:
            deleted = voice
        else:
            found = await self.library.require(tenant, voice)
            deleted = found.voice
            if not await self.library.delete(tenant, deleted):
                raise UnknownVoice("another request has deleted this voice")
        _audit("voice_deleted", tenant, deleted)
        return deleted

    async def _list(self, tenant: str, command: ListVoices) -> VoicesListed:
        """Return a page of the tenant's and the shared voices, oldest first."""
        own = await self.library.page(tenant, limit=command.limit, after=command.after)
        shared = await self.library.page(SHARED_TENANT, limit=command.limit, after=command.after)
        ends = [page.next for page in (own, shared) if page.next is not None]
        end = min(ends, default=None)  # nothing after it has been read of both

        read = [*own.voices, *map(_public, shared.voices)]
        read = [voice for voice in read if end is None or voice.voice <= end]
        read.sort(key=lambda voice: voice.voice)
        shown = read[: command.limit]
        return VoicesListed(
            voices=tuple(shown),
            builtin=()
            if command.after is not None
            else tuple(built_in_voices(self.fleet.workers.alive())),
            next=shown[-1].voice if len(read) > len(shown) else end,
        )

    def _check_consent(self, consent: Consent | None) -> None:
        if consent is None:
            if self.consent_required:
                raise ConsentRequired(
                    "the speaker's consent is required; send consent with speaker, statement, date and method"
                )
            return
        try:
            date.fromisoformat(consent.date)
        except ValueError:
            raise MalformedMessage(
                "consent.date is not a day of the calendar; send it as YYYY-MM-DD"
            ) from None

    async def _clips(self, tenant: str, clips: tuple[str, ...]) -> list[bytes]:
        """Return the WAV bytes of clips that `StoreClip` stored. Raises UnknownClip."""
        return [await fetch_clip(self.library.bus, tenant, clip) for clip in dict.fromkeys(clips)]


def _check_name(name: str) -> None:
    """Raise MalformedMessage for a name that means something else in a path or a request."""
    if name_key(name) in _RESERVED:
        _refuse_name(f"name is reserved, as are {', '.join(sorted(RESERVED_NAMES))}")
    if is_voice_id(name):
        _refuse_name("name has the form of a voice's id")


def _refuse_name(reason: str) -> NoReturn:
    raise MalformedMessage(f"{reason}; send another name")


def _changing(
    command: ChangeVoice, *, named: bool = False, audio_s: float | None = None
) -> Callable[[Voice], Voice]:
    """Return the change of a record that a command asks for, without its clips."""
    fields = {
        field: value
        for field in ("language", "description", "parameters", "consent")
        if (value := getattr(command, field)) is not UNSET
    }
    if named and command.name is not UNSET:
        fields["name"] = command.name
    if audio_s is not None:
        fields |= {"audio_s": audio_s, "warnings": (), "uploaded_by": ""}
    return lambda now: msgspec.structs.replace(now, **fields)


def _seconds(wavs: list[bytes]) -> float:
    """Return the length of clips in seconds. Raises UnusableReference."""
    try:
        clips = [read_wav(wav) for wav in wavs]
    except ValueError:
        raise UnusableReference(
            "clips: an object in the store is not a mono 16-bit WAV file; store it with StoreClip"
        ) from None
    return round(sum(len(clip.samples) / clip.sample_rate_hz for clip in clips), 3)


def _public(voice: Voice) -> Voice:
    """Return what tenants may see of a shared voice: not who consented, nor which key stored it."""
    return msgspec.structs.replace(voice, consent=None, uploaded_by="")


def _audit(event: str, tenant: str, voice: str) -> None:
    log.info(event, tenant=tenant, voice=voice, key="")  # no API key is involved
