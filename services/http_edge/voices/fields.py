"""Checks the fields of a voice, as forms and JSON bodies contain them.

Pure. Every error names the field and states what to send.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from services.common.wire.failures import ConsentRequired
from services.common.wire.fields import VoiceName
from services.common.wire.languages import LANGUAGES, language_code
from services.common.wire.options import AS_USUAL, Parameters
from services.common.wire.parameters import RANGES
from services.common.wire.voices import (
    RESERVED_NAMES,
    Consent,
    Voice,
    VoiceDescription,
    is_voice_id,
    name_key,
)
from services.http_edge.errors import BadRequest
from services.http_edge.intake.forms.form_fields import JsonField

CONSENT_EXAMPLE: Final = (
    '{"speaker": "Anna Weber", "statement": "I agree that my voice is cloned.", '
    '"date": "2026-01-31", "method": "written"}'
)
_RESERVED: Final = frozenset(name_key(name) for name in RESERVED_NAMES)
FIELDS: Final = (
    JsonField("name", VoiceName, "a string", "unique in the library, in any case"),
    JsonField("description", VoiceDescription, "a string", "at most 500 characters"),
    JsonField(
        "language",
        str | None,
        "a string or null",
        "of the recordings: for lists and previews",
        {"enum": [*LANGUAGES, None]},
    ),
    JsonField("parameters", Parameters, "a JSON object", "apply where a request does not set them"),
    JsonField("consent", Consent, "a JSON object", "the speaker's consent to being cloned"),
)
_CHANGEABLE: Final = tuple(field.name for field in FIELDS)

T = TypeVar("T")


@dataclass(frozen=True)
class VoiceFields:
    """The description of a voice, without its clips; UNSET where a field was not sent."""

    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    language: str | UnsetType | None = UNSET
    parameters: Parameters | UnsetType = UNSET
    consent: Consent | UnsetType = UNSET

    def applied(self, voice: Voice) -> Voice:
        """Return the voice with what was sent."""
        changes = {
            name: getattr(self, name)
            for name in _CHANGEABLE
            if not isinstance(getattr(self, name), UnsetType)
        }
        return msgspec.structs.replace(voice, **changes)

    def require_consent(self) -> None:
        """Raise ConsentRequired if no consent was sent."""
        if isinstance(self.consent, UnsetType):
            raise ConsentRequired(
                f"the speaker's consent is required; send the field consent: {CONSENT_EXAMPLE}"
            )


def check_imported(draft: Voice, *, consent_required: bool) -> None:
    """Raise BadRequest or ConsentRequired if a form with the same content would be refused."""
    _name(draft.name)
    if consent_required and draft.consent is None:
        raise ConsentRequired(
            "the voice file contains no consent of the speaker, which is required; "
            f"add consent to its voice.json: {CONSENT_EXAMPLE}"
        )


def form_fields(fields: Mapping[str, str]) -> VoiceFields:
    """Return the fields of a form; an empty field counts as not sent. Raises BadRequest."""
    sent = {name: value.strip() for name, value in fields.items() if value.strip()}
    return VoiceFields(
        name=_name(sent["name"]) if "name" in sent else UNSET,
        description=_description(sent["description"]) if "description" in sent else UNSET,
        language=_language(sent["language"]) if "language" in sent else UNSET,
        parameters=_parameters(sent["parameters"].encode()) if "parameters" in sent else UNSET,
        consent=_consent(sent["consent"].encode()) if "consent" in sent else UNSET,
    )


def json_fields(body: bytes) -> VoiceFields:
    """Return the fields of a JSON object, of which at least one is sent. Raises BadRequest."""
    try:
        sent = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadRequest(
            f"the body must be a JSON object with any of {', '.join(_CHANGEABLE)}"
        ) from None

    unknown = [name for name in sent if name not in _CHANGEABLE]
    if unknown or not sent:
        raise BadRequest(f"send a JSON object with any of {', '.join(_CHANGEABLE)}, and no others")

    return VoiceFields(
        name=_name(_text("name", sent["name"])) if "name" in sent else UNSET,
        description=_description(_text("description", sent["description"]))
        if "description" in sent
        else UNSET,
        language=_json_language(sent["language"]) if "language" in sent else UNSET,
        parameters=_parameters(bytes(sent["parameters"])) if "parameters" in sent else UNSET,
        consent=_consent(bytes(sent["consent"])) if "consent" in sent else UNSET,
    )


def _text(field: str, value: msgspec.Raw) -> str:
    return _decoded(bytes(value), str, f"{field} must be a string", field=field)


def _name(given: str) -> str:
    try:
        name = msgspec.convert(given, VoiceName)
    except msgspec.ValidationError:
        raise BadRequest(
            "name must be 1 to 64 characters, without / : @ and without spaces around it",
            field="name",
        ) from None

    if name_key(name) in _RESERVED or is_voice_id(name):
        raise BadRequest(
            f"name must not be {', '.join(sorted(RESERVED_NAMES))} or look like the id of a voice",
            field="name",
        )
    return name


def _description(given: str) -> str:
    try:
        return msgspec.convert(given, VoiceDescription)
    except msgspec.ValidationError:
        raise BadRequest(
            "description must be at most 500 characters", field="description"
        ) from None


def _json_language(value: msgspec.Raw) -> str | None:
    """Return the code of a language; None for null."""
    if bytes(value).strip() == b"null":
        return None
    given = _decoded(bytes(value), str, "language must be a string or null", field="language")
    return _language(given)


def _language(given: str) -> str:
    language = language_code(given)
    if language is None:
        raise BadRequest(
            f"language is unknown; send one of {' '.join(LANGUAGES)}", field="language"
        )
    return language


def _parameters(value: bytes) -> Parameters:
    """Return the parameters of a JSON object of numbers; `{}` for none."""
    return _decoded(
        value,
        Parameters,
        'parameters must be a JSON object such as {"speed": 1.1}; allowed are '
        + ", ".join(f"{name} ({allowed})" for name, allowed in RANGES.items()),
        field="parameters",
    )


def _consent(value: bytes) -> Consent:
    advice = f"consent must be a JSON object such as {CONSENT_EXAMPLE}"
    consent = _decoded(value, Consent, advice, field="consent")
    try:
        date.fromisoformat(consent.date)
    except ValueError:  # such as 2026-02-30
        raise BadRequest(advice, field="consent") from None
    return consent


def _decoded(value: bytes, expected: type[T], advice: str, *, field: str) -> T:
    """Return the JSON value of a field. Raises BadRequest with the advice."""
    try:
        return msgspec.json.decode(value, type=expected)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # of JSON or of the type
        raise BadRequest(advice, field=field) from None


def new_voice(fields: VoiceFields, *, tenant: str, uploaded_by: str) -> Voice:
    """Return the draft of a voice for `VoiceLibrary.create`. Raises BadRequest if it has no name."""
    if isinstance(fields.name, UnsetType):
        raise BadRequest("the field name is missing; send 1 to 64 characters", field="name")

    draft = Voice(
        voice="v_" + "0" * 20,
        tenant=tenant,
        name=fields.name,
        revision=1,
        state="creating",
        clips=(),
        clip_bytes=0,
        audio_s=0.0,
        created_unix_ms=0,
        changed_unix_ms=0,
        uploaded_by=uploaded_by,
        parameters=AS_USUAL,
    )
    return fields.applied(draft)
