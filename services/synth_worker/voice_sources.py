"""Sources of a voice: clips that came with a request, a voice of the library, or a voice of the engine."""

import asyncio
from typing import Final, NamedTuple

from msgspec import UNSET

from services.common.audio.clip import Clip
from services.common.audio.wav import read_wav
from services.common.bus import topology
from services.common.bus.clips import fetch_clip, has_clip
from services.common.bus.library.voices import VoiceLibrary
from services.common.bus.ports import Bus
from services.common.wire.failures import (
    MalformedMessage,
    UnknownClip,
    UnknownVoice,
    UnusableReference,
)
from services.common.wire.messages import SentenceJob
from services.common.wire.voices import Voice, parse_reference

_VOICE_GONE: Final = "the voice was deleted or its clips were replaced; send the request again with an existing voice"
_CLIP_ADVICE: Final = (
    "send StoreClip, which makes a clip of any recording, or store mono 16-bit WAV at 24 kHz"
)
_LOWEST_RATE_HZ: Final = 7_000
_HIGHEST_RATE_HZ: Final = 192_000
_CLIP_GONE: Final = "the reference audio was deleted; send it again"


class OneOffVoice(NamedTuple):
    """The clips that came with a request."""

    tenant: str
    clips: tuple[str, ...]


class VoiceRevision(NamedTuple):
    """One revision of a voice of the library."""

    owner: str  # the tenant that it is stored under
    voice: str
    revision: int


class EngineVoice(NamedTuple):
    """A built-in voice of the engine."""

    name: str


class ImportedVoice(NamedTuple):
    """The computed voices that a library voice was imported with."""

    contents: tuple[bytes, ...]  # of one engine, each serialised as by its `condition`
    models: str  # all engines and models, for people
    has_clips: bool  # whether the voice can be computed here


ClipSource = OneOffVoice | VoiceRevision
VoiceSource = ClipSource | EngineVoice


def source_of(job: SentenceJob) -> VoiceSource:
    """Return the source of a sentence's voice. Raises MalformedMessage."""
    if (job.voice is UNSET) == (not job.clips):
        raise MalformedMessage("a sentence has either voice or clips; send one of them")
    if job.voice is UNSET:
        return OneOffVoice(job.tenant, job.clips)

    resolved = parse_reference(job.voice)
    if resolved is None:
        raise MalformedMessage(
            "voice of a sentence is a resolved reference: v_...@1, shared:v_...@1 or builtin:NAME"
        )
    if resolved.scope == "builtin":
        return EngineVoice(resolved.id)
    return VoiceRevision(resolved.owner(job.tenant), resolved.id, resolved.revision)


async def read_clips(bus: Bus, source: ClipSource) -> list[Clip]:
    """Return the recordings of a voice.

    Raises UnknownClip, UnknownVoice, UnusableReference, BusUnavailable.
    """
    if isinstance(source, OneOffVoice):
        return [_clip(await fetch_clip(bus, source.tenant, clip)) for clip in source.clips]

    record = await _record(bus, source)
    return [_clip(wav) for wav in await VoiceLibrary(bus).clips(record)]


async def read_computed(bus: Bus, source: VoiceRevision, engine: str) -> ImportedVoice:
    """Return what this engine computed of a voice elsewhere. Raises UnknownVoice, BusUnavailable."""
    record = await _record(bus, source)
    contents = [
        await VoiceLibrary(bus).clip(source.owner, source.voice, computed.file)
        for computed in record.computed or ()
        if computed.engine == engine
    ]
    return ImportedVoice(tuple(contents), record.computed_for, has_clips=bool(record.clips))


async def _record(bus: Bus, source: VoiceRevision) -> Voice:
    record = await VoiceLibrary(bus).read(source.owner, source.voice)
    if record is None or record.revision != source.revision:
        raise UnknownVoice(_VOICE_GONE)
    return record


def _clip(content: bytes) -> Clip:
    """Return the recording in a stored clip. Raises UnusableReference for one that is not a WAV."""
    try:
        clip = read_wav(content)
    except ValueError:
        raise UnusableReference(
            f"a reference clip is not a mono 16-bit WAV file; {_CLIP_ADVICE}"
        ) from None

    if not _LOWEST_RATE_HZ <= clip.sample_rate_hz <= _HIGHEST_RATE_HZ:
        raise UnusableReference(
            f"a reference clip has {clip.sample_rate_hz} samples per second, not {_LOWEST_RATE_HZ} "
            f"to {_HIGHEST_RATE_HZ}; {_CLIP_ADVICE}"
        )
    if not clip.samples.size:
        raise UnusableReference(f"a reference clip has no samples; {_CLIP_ADVICE}")
    return clip


async def exists(bus: Bus, source: ClipSource) -> bool:
    """Return whether the recordings of a voice exist. Raises BusUnavailable."""
    if isinstance(source, VoiceRevision):
        return await VoiceLibrary(bus).exists(*source)
    return all(
        await asyncio.gather(*(_has_clip(bus, source.tenant, clip) for clip in source.clips))
    )


def gone(source: ClipSource) -> UnknownClip | UnknownVoice:
    """Return the error of a voice that was deleted while a sentence waited for it."""
    if isinstance(source, OneOffVoice):
        return UnknownClip(_CLIP_GONE)
    return UnknownVoice(_VOICE_GONE)


async def _has_clip(bus: Bus, tenant: str, clip: str) -> bool:
    """Return whether a clip exists, also under its bare id, where earlier releases stored it."""
    return await has_clip(bus, tenant, clip) or await bus.has_object(topology.CLIPS, clip)
