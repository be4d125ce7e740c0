"""The fields of the forms that speak, are jobs or are normalized: what each accepts, as a table.

`form.py` reads forms by it, and the OpenAPI document describes them by it, so neither can differ from the other.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, get_args

import msgspec

from services.common.wire.failures import PipelineError, UnsupportedLanguage
from services.common.wire.fields import (
    LONGEST_TITLE,
    MOST_CHAPTERS,
    MOST_SPEAKERS,
    TextType,
    VoiceReference,
)
from services.common.wire.languages import LANGUAGES, language_code
from services.common.wire.parameters import RANGES, Range
from services.http_edge.encoders.registry import FORMATS, SAMPLE_RATES_HZ
from services.http_edge.errors import BadRequest
from services.http_edge.intake.forms.body import FORM_BYTES, REFERENCE
from services.http_edge.intake.forms.json_values import (
    read_chapters,
    read_pronunciations,
    read_title,
    read_voices,
)
from services.http_edge.intake.language import AUTO

TEXT: Final = "text"
TEXT_FILE: Final = "text_file"
TITLE: Final = "title"
CHAPTERS: Final = "chapters"
VOICES: Final = "voices"
_SHORT_BYTES: Final = 64
_VOICE_BYTES: Final = 400
_CHAPTERS_BYTES: Final = 512 * 1024
_VOICES_BYTES: Final = 32 * 1024
_SEED_LIMIT: Final = 2**63
# `on` is what the checkbox of an HTML form sends
_BOOLEANS: Final = {
    **dict.fromkeys(("true", "1", "on", "yes"), True),
    **dict.fromkeys(("false", "0", "off", "no"), False),
}


@dataclass(frozen=True)
class Field:
    """A field of a form, or a parameter of a query."""

    name: str
    description: str
    schema: Mapping[str, Any]  # JSON Schema of the value
    # From the text that was sent, stripped and not empty. Raises PipelineError, which names the field.
    read: Callable[[str], Any] = str
    default: Any = None  # if it was not sent, or is empty
    longest_bytes: int = _SHORT_BYTES
    content_type: str = "text/plain"  # of the part of the form
    required: bool = False
    kind: Any = None  # the type that describes the value, instead of `schema`

    def value(self, sent: Mapping[str, str]) -> Any:
        """Return the value that was sent, or the default. Raises what `read` raises."""
        given = sent.get(self.name, "").strip()
        return self.checked(given) if given else self.default

    def checked(self, given: str) -> Any:
        """Return the value of a text. Raises what `read` raises, with the name of the field."""
        try:
            return self.read(given)
        except PipelineError as failure:
            failure.field = self.name
            raise


@dataclass(frozen=True)
class JsonField:
    """A field of a JSON body."""

    name: str
    kind: Any  # type of its value
    wanted: str  # for messages: "... must be {wanted}"
    description: str
    # in addition to that of the type
    schema: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


def whole_number(name: str, lowest: int, highest: int, description: str) -> Field:
    """Return a field with a whole number, of digits alone."""

    def read(given: str) -> int:
        digits = given.isascii() and given.isdigit() and len(given) <= len(str(highest))
        if not digits or not lowest <= int(given) <= highest:
            shown = "2^63-1" if highest == _SEED_LIMIT - 1 else highest
            raise BadRequest(f"{name} must be a whole number from {lowest} to {shown}")
        return int(given)

    schema = {"type": "integer", "minimum": lowest, "maximum": highest}
    return Field(name, description, schema, read)


def choice(name: str, values: Sequence[str], description: str, *, default: str) -> Field:
    """Return a field with one of several words, in any case."""

    def read(given: str) -> str:
        if given.lower() not in values:
            raise BadRequest(f"{name} must be {' or '.join(values)}")
        return given.lower()

    schema = {"type": "string", "enum": list(values), "default": default}
    return Field(name, description, schema, read, default)


def switch(name: str, description: str, *, default: bool = True) -> Field:
    """Return a field that is on or off."""

    def read(given: str) -> bool:
        try:
            return _BOOLEANS[given.lower()]
        except KeyError:
            raise BadRequest(f"{name} must be true or false") from None

    schema = {"type": "boolean", "default": default}
    return Field(name, description, schema, read, default=default)


def number(name: str, allowed: Range) -> Field:
    """Return a field with a synthesis parameter."""

    def read(given: str) -> Any:  # int where the range is of whole numbers, else float
        if given.lower() in allowed.words:
            return given.lower()
        try:
            sent = float(given) if given.isascii() and "_" not in given else math.nan
        except ValueError:
            sent = math.nan
        if not allowed.lowest <= sent <= allowed.highest or (
            allowed.whole and not sent.is_integer()
        ):
            raise BadRequest(f"{name} must be {allowed}")
        return int(sent) if allowed.whole else sent

    return Field(
        name, f"{allowed}; default: of the voice, then of the engine", range_schema(allowed), read
    )


def range_schema(allowed: Range) -> dict[str, Any]:
    """Return the JSON Schema of a synthesis parameter."""
    kind = "integer" if allowed.whole else "number"
    lowest, highest = (
        (int(allowed.lowest), int(allowed.highest))
        if allowed.whole
        else (allowed.lowest, allowed.highest)
    )
    numbers = {"type": kind, "minimum": lowest, "maximum": highest}
    if not allowed.words:
        return numbers
    return {"anyOf": [numbers, {"type": "string", "enum": list(allowed.words)}]}


def _read_language(given: str) -> str:
    language = AUTO if given.lower() == AUTO else language_code(given)
    if language is None:
        raise UnsupportedLanguage(f"language is unknown; send one of {AUTO} {' '.join(LANGUAGES)}")
    return language


def _read_voice(given: str) -> str:
    try:
        return msgspec.convert(given, VoiceReference)
    except msgspec.ValidationError:
        raise BadRequest(
            "voice must be the name or id of a voice, at most 100 characters; GET /voices lists them"
        ) from None


_LANGUAGE: Final = Field(
    "language",
    "one of the languages, in any common form (`fr-FR`, `zh-cn`, `en_US`), or `auto`",
    {"type": "string", "examples": [AUTO, *LANGUAGES], "enum": [AUTO, *LANGUAGES], "default": "fr"},
    _read_language,
    default="fr",
)
_TEXT_FIELDS: Final = (
    Field(TEXT, "at least one word", {"type": "string", "minLength": 1}, required=True),
    choice(
        "text_type",
        get_args(TextType),
        "`ssml`: the text is an SSML document; `dialogue`: lines such as `Anna: Hello.`, with the names of `voices`",
        default="text",
    ),
    Field(
        VOICES,
        'a JSON object, name in the text -> name or id of its voice: `{"Anna": "builtin:af_heart"}`; of a dialogue, '
        "and for `<voice name=...>` of SSML",
        {
            "type": "object",
            "additionalProperties": {"type": "string", "pattern": r"^[^\x00-\x1f\x7f]{1,100}$"},
            "propertyNames": {"pattern": r"^[^\x00-\x1f\x7f]{1,100}$"},
            "maxProperties": MOST_SPEAKERS,
        },
        read_voices,
        default=MappingProxyType({}),
        longest_bytes=_VOICES_BYTES,
        content_type="application/json",
    ),
    _LANGUAGE,
)
_VOICE_FIELDS: Final = (
    Field(
        REFERENCE,
        "recordings of one person, 6 to 30 s each: WAV, FLAC, MP3, OGG, WebM or M4A; instead of `voice`",
        {"type": "string", "contentMediaType": "application/octet-stream"},
        content_type="application/octet-stream",
    ),
    Field(
        "voice",
        "name or id of a voice; without it and `reference_audio`, the engine's voice for the language",
        {"type": "string", "pattern": r"^[^\x00-\x1f\x7f]{1,100}$"},
        _read_voice,
        longest_bytes=_VOICE_BYTES,
    ),
)
_READING_FIELDS: Final = (
    switch("enable_text_splitting", "`false`: keep the text whole where the engine can"),
    switch("spoken_forms", "`false`: leave numbers, dates, units and abbreviations as written"),
    Field(
        "pronunciations",
        'a JSON object, word as written -> replacement: `{"SQL": "sequel"}`',
        {
            "type": "object",
            "additionalProperties": {"type": "string", "minLength": 1, "maxLength": 100},
            "propertyNames": {"minLength": 1, "maxLength": 100},
            "maxProperties": 500,
        },
        read_pronunciations,
        default=MappingProxyType({}),
        longest_bytes=FORM_BYTES // 2,
        content_type="application/json",
    ),
)
_SYNTHESIS_FIELDS: Final = (
    whole_number("seed", 0, _SEED_LIMIT - 1, "equal requests with equal seeds produce equal audio"),
    *(number(name, allowed) for name, allowed in RANGES.items()),
)
# of the response, not of the speech
OUTPUT_FIELDS: Final = (
    Field(
        "response_format",
        "format of the audio; default: selected by `Accept`, then `wav`",
        {"type": "string", "enum": list(FORMATS)},
    ),
    Field(
        "sample_rate",
        "Hz; default: the engine's, and 8000 for `mulaw` and `alaw`. `opus` has 8000, 16000, 24000 and 48000 only",
        {"type": "integer", "enum": list(SAMPLE_RATES_HZ)},
    ),
)
_TEXT_FILE_FIELD: Final = Field(
    TEXT_FILE,
    "the text as a UTF-8 file, instead of `text`",
    {"type": "string", "contentMediaType": "text/plain"},
)

_JOB_FIELDS: Final = (
    Field(
        TITLE,
        "one line, for lists of jobs and exported files",
        {"type": "string", "minLength": 1, "maxLength": LONGEST_TITLE},
        read_title,
        longest_bytes=4 * LONGEST_TITLE,
    ),
    Field(
        CHAPTERS,
        "the chapters of the text as a JSON array, in order; each begins at a character of the text",
        {
            "type": "array",
            "maxItems": MOST_CHAPTERS,
            "items": {
                "type": "object",
                "properties": {
                    "title": {"type": "string", "minLength": 1, "maxLength": LONGEST_TITLE},
                    "start": {"type": "integer", "minimum": 0},
                },
                "required": ["title", "start"],
            },
        },
        read_chapters,
        default=(),
        longest_bytes=_CHAPTERS_BYTES,
        content_type="application/json",
    ),
)

COMMON_FIELDS: Final = (*_TEXT_FIELDS, *_VOICE_FIELDS, *_READING_FIELDS, *_SYNTHESIS_FIELDS)
SPEECH_FORM: Final = (*COMMON_FIELDS, *OUTPUT_FIELDS)
JOB_FORM: Final = (*COMMON_FIELDS, _TEXT_FILE_FIELD, *_JOB_FIELDS)
NORMALIZE_FORM: Final = (*_TEXT_FIELDS, *_READING_FIELDS)
FIELDS: Final = MappingProxyType({entry.name: entry for entry in (*SPEECH_FORM, *JOB_FORM)})


_USUAL_PAGE: Final = 50  # entries of a list


def page_limit(description: str, most: int) -> Field:
    """Return the query parameter `limit`: how many entries of a list one response has."""

    def parse(sent: str) -> int:
        number = int(sent) if sent.isascii() and sent.isdigit() and len(sent) < 10 else 0
        if not 1 <= number <= most:
            raise BadRequest(f"limit must be a whole number from 1 to {most}")
        return number

    schema = {"type": "integer", "minimum": 1, "maximum": most, "default": _USUAL_PAGE}
    return Field("limit", description, schema, parse, default=_USUAL_PAGE)
