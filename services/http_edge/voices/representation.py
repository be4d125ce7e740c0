"""The JSON of a voice. Pure."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from services.common.wire.messages import BuiltInVoice
from services.common.wire.voices import SHARED_TENANT, ResolvedVoice, Voice


def voice_body(voice: Voice) -> dict[str, Any]:
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
        "parameters": msgspec.to_builtins(voice.parameters),
        "warnings": list(voice.warnings),
    }
    return {name: value for name, value in body.items() if value is not None}


def built_in_body(voice: BuiltInVoice) -> dict[str, Any]:
    """Return the JSON of a built-in voice; no `languages` means all of the engine's."""
    body = {
        "id": ResolvedVoice("builtin", voice.name).reference,
        "name": voice.name,
        "kind": "builtin",
        "languages": list(voice.languages) or None,
        "gender": voice.gender,
    }
    return {name: value for name, value in body.items() if value is not None}


def _rfc3339(unix_ms: int) -> str:
    return datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat(timespec="milliseconds")
