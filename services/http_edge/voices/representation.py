"""The JSON of a voice. Pure."""

from datetime import UTC, datetime
from typing import Annotated, Literal, NotRequired, TypedDict, cast

import msgspec
from msgspec import Meta

from services.common.wire.fields import (
    Count,
    EngineName,
    Gender,
    Language,
)
from services.common.wire.options import (
    Parameters,
)
from services.common.wire.parts import (
    BuiltInVoice,
)
from services.common.wire.voices import (
    SHARED_TENANT,
    Consent,
    ResolvedVoice,
    RevisionNumber,
    Voice,
    VoiceDescription,
    VoiceId,
)

_Timestamp = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]


class ComputedBody(TypedDict):
    """A computed voice that a voice was imported with."""

    engine: EngineName
    model: Annotated[str, Meta(description="as the engine names it; empty: unknown")]


class VoiceBody(TypedDict):
    """A voice. What does not apply to its kind is absent."""

    id: Annotated[str, Meta(pattern=r"^(v_[0-9a-v]{20}|builtin:.+)\Z")]
    name: str
    kind: Literal["library", "shared", "builtin"]
    language: NotRequired[Annotated[Language, Meta(description="of the recordings")]]
    description: NotRequired[VoiceDescription]
    consent: NotRequired[Annotated[Consent, Meta(description="of one's own voices")]]
    uploaded_by: NotRequired[Annotated[str, Meta(description="the id of the API key")]]
    created_at: NotRequired[_Timestamp]
    changed_at: NotRequired[_Timestamp]
    revision: NotRequired[RevisionNumber]
    clips: NotRequired[Annotated[Count, Meta(description="number of recordings")]]
    audio_s: NotRequired[Annotated[float, Meta(ge=0, description="their length, in seconds")]]
    computed: NotRequired[
        Annotated[
            list[ComputedBody], Meta(description="what it was imported with, computed elsewhere")
        ]
    ]
    parameters: NotRequired[Parameters]
    warnings: NotRequired[list[str]]
    gender: NotRequired[Annotated[Gender, Meta(description="of built-in voices")]]
    languages: NotRequired[
        Annotated[list[Language], Meta(description="of built-in voices; absent: all")]
    ]


class VoicesBody(TypedDict):
    """A page of voices."""

    voices: list[VoiceBody]
    next: Annotated[VoiceId | None, Meta(description="`after` of the next page")]


def voice_body(voice: Voice) -> VoiceBody:
    """Return the JSON of a stored voice, without the fields that do not apply.

    Consent and uploader of a shared voice are the operator's, and left out.
    """
    shared = voice.tenant == SHARED_TENANT
    body = {
        "id": voice.voice,
        "name": voice.name,
        "kind": "shared" if shared else "library",
        "language": voice.language,
        "description": voice.description or None,
        "consent": None if shared or voice.consent is None else msgspec.to_builtins(voice.consent),
        "uploaded_by": None if shared else voice.uploaded_by or None,
        "created_at": _rfc3339(voice.created_unix_ms),
        "changed_at": _rfc3339(voice.changed_unix_ms),
        "revision": voice.revision,
        "clips": len(voice.clips),
        "audio_s": round(voice.audio_s, 3),
        "computed": [{"engine": each.engine, "model": each.model} for each in voice.computed or ()]
        or None,
        "parameters": msgspec.to_builtins(voice.parameters),
        "warnings": list(voice.warnings),
    }
    return cast(VoiceBody, {name: value for name, value in body.items() if value is not None})


def built_in_body(voice: BuiltInVoice) -> VoiceBody:
    """Return the JSON of a built-in voice; no `languages` means all of the engine's."""
    body = {
        "id": ResolvedVoice("builtin", voice.name).reference,
        "name": voice.name,
        "kind": "builtin",
        "languages": list(voice.languages) or None,
        "gender": voice.gender,
    }
    return cast(VoiceBody, {name: value for name, value in body.items() if value is not None})


def _rfc3339(unix_ms: int) -> str:
    return datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat(timespec="milliseconds")
