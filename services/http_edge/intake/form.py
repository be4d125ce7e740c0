"""Reads and checks the form of a request that speaks, or is normalized."""

import math
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, Protocol

import msgspec
from aiohttp import web

from services.common.wire.failures import (
    EmptyText,
    PipelineError,
    TextTooLong,
    UnsupportedLanguage,
)
from services.common.wire.languages import LANGUAGES, language_code
from services.common.wire.messages import (
    MOST_NORMALIZED,
    Parameters,
    Passage,
    Pronunciations,
    TextOptions,
    TextType,
    VoiceReference,
)
from services.common.wire.parameters import RANGES, Range
from services.http_edge.encoders.registry import WAV, OutputFormat, output_format
from services.http_edge.errors import BadRequest
from services.http_edge.intake.body import (
    FORM_BYTES,
    REFERENCE,
    BodyReader,
    FieldTooLong,
    Upload,
    check_multipart,
    check_uploads,
)
from services.http_edge.intake.language import AUTO
from services.http_edge.intake.uploads import Uploads
from services.http_edge.settings import Settings

_SHORT_FIELD_BYTES: Final = 64
_VOICE_BYTES: Final = 400
_SEED_LIMIT: Final = 2**63
_FIELDS: Final = (
    "text",
    "text_type",
    "language",
    REFERENCE,
    "voice",
    "enable_text_splitting",
    "spoken_forms",
    "pronunciations",
    "seed",
    *RANGES,
)
_OUTPUT_FIELDS: Final = ("response_format", "sample_rate")  # of the response, not of the speech
_TEXT_FIELDS: Final = (
    "text",
    "text_type",
    "language",
    "enable_text_splitting",
    "spoken_forms",
    "pronunciations",
)
_TEXT_FILE: Final = "text_file"
# `on` is what the checkbox of an HTML form sends
_BOOLEANS: Final = {
    **dict.fromkeys(("true", "1", "on", "yes"), True),
    **dict.fromkeys(("false", "0", "off", "no"), False),
}


# What identifies a form, in the order of the fingerprints that are stored. Any other field counts by
# its name, and only where it differs from its default: it can be added without changing them.
_IDENTIFYING: Final = (
    "text",
    "language",
    "split",
    "spoken_forms",
    "pronunciations",
    "seed",
    "parameters",
    "uploads",
    "text_type",
)
_DERIVED: Final = {"derived": True}  # a field that follows from the others


@dataclass(frozen=True)
class Form:
    """A checked request."""

    text: str
    language: str  # a supported one, or AUTO
    options: TextOptions
    seed: int | None
    parameters: Parameters
    # at most MOST_CLIPS recordings of one speaker, in the order sent; none where `voice` is sent
    uploads: tuple[Upload, ...]
    # a name or an id; without it and uploads, the default voice of the language
    voice: str | None = None
    # estimated, with pauses and pronunciations
    audio_s: float = field(default=0.0, metadata=_DERIVED)
    # that of most of the text first
    languages: tuple[str, ...] = field(default=(), metadata=_DERIVED)
    # in other languages than most of the text
    passages: tuple[Passage, ...] = field(default=(), metadata=_DERIVED)
    # where AUTO detects none in a text that is too short to tell; None: refuse the text
    fallback_language: str | None = field(default=None, metadata=_DERIVED)
    # the names of OpenAI's voices can be sent, and have stand-ins
    openai_voices: bool = field(default=False, metadata=_DERIVED)
    # of the response; the same speech can be sent in any format, so it does not identify the form
    output: OutputFormat = field(default=WAV, metadata=_DERIVED)

    def sent(self) -> list[Any]:
        """Return what identifies the form.

        The values of `_IDENTIFYING`, of uploads the digests; then the name and value of every other field that was
        sent with something else than its default.
        """
        values = self._values()
        not_sent = {"voice": None} | type(self.options)().fields()
        added = [name for name in values if name not in _IDENTIFYING]

        return [
            *(values[name] for name in _IDENTIFYING),
            *([name, values[name]] for name in added if values[name] != not_sent[name]),
        ]

    def _values(self) -> dict[str, Any]:
        """Return every field that the client sends by name, each text option on its own."""
        names = [item.name for item in fields(self) if not item.metadata.get("derived")]
        values = {name: getattr(self, name) for name in names}
        values["uploads"] = [upload.digest for upload in self.uploads]
        options: TextOptions = values.pop("options")

        return values | options.fields()


class RequestReader(Protocol):
    """Reads the body of a request that speaks."""

    def form(self, request: web.Request, caller: str) -> AbstractAsyncContextManager[Form]:
        """Read and check the body; temporary files are deleted when the block ends. Raises PipelineError."""


@dataclass(frozen=True)
class FormReader:
    """Reads forms, each in an upload slot of its caller."""

    uploads: Uploads
    settings: Settings
    job: bool = False  # a job's text may be long, and a file

    @asynccontextmanager
    async def form(self, request: web.Request, caller: str) -> AsyncIterator[Form]:
        """Read and check the form; the files of its uploads are deleted when the block ends.

        Raises BadRequest, EmptyText, TextTooLong, UnsupportedLanguage, ReferenceTooLarge,
        UploadStalled, TooManyUploads, InsufficientStorage: each message states what to send.
        """
        settings = self.settings
        if self.job:
            settings = msgspec.structs.replace(
                settings, max_text_characters=settings.max_job_characters
            )
        _check_before_reading(request, settings)
        known = (*_FIELDS, _TEXT_FILE) if self.job else (*_FIELDS, *_OUTPUT_FIELDS)
        accept = request.headers.get("Accept", "")
        try:
            async with self._parts(request, caller, known, settings) as (fields, uploads):
                form = _checked(_with_text(fields), uploads, settings)
                yield form if self.job else replace(form, output=_output(fields, accept))
        except FieldTooLong as error:
            raise _field_too_long(error, settings) from None

    async def text_form(self, request: web.Request, caller: str) -> Form:
        """Read and check a form with a short text and no recordings.

        Raises the errors of `form`.
        """
        most = min(self.settings.max_text_characters, MOST_NORMALIZED)
        settings = msgspec.structs.replace(
            self.settings, max_text_characters=most, max_upload_bytes=1
        )
        _check_before_reading(request, settings, "text and language")
        try:
            async with self._parts(request, caller, _TEXT_FIELDS, settings) as (fields, _):
                return _form(fields, (), settings)
        except FieldTooLong as error:
            raise _field_too_long(error, settings) from None

    def _parts(
        self, request: web.Request, caller: str, known: tuple[str, ...], settings: Settings
    ) -> AbstractAsyncContextManager[tuple[dict[str, str], tuple[Upload, ...]]]:
        longest = {
            "text": 4 * settings.max_text_characters,
            _TEXT_FILE: 4 * settings.max_text_characters,
            "pronunciations": FORM_BYTES // 2,
            "voice": _VOICE_BYTES,
            REFERENCE: settings.max_upload_bytes,
        }
        body = BodyReader(self.uploads, settings.upload_idle_timeout_s)
        limits = {name: longest.get(name, _SHORT_FIELD_BYTES) for name in known}
        return body.parts(request, caller, limits)


def _check_before_reading(
    request: web.Request,
    settings: Settings,
    wanted: str = "text, language, and voice or reference_audio",
) -> None:
    largest = settings.max_upload_bytes + 4 * settings.max_text_characters + FORM_BYTES
    check_multipart(request, largest=largest, wanted=wanted)


def _field_too_long(error: FieldTooLong, settings: Settings) -> PipelineError:
    return _too_long(settings) if error.field_name in ("text", _TEXT_FILE) else error


def _with_text(fields: dict[str, str]) -> dict[str, str]:
    """Return the fields with the content of text_file, without its byte order mark, as text."""
    if not fields.get(_TEXT_FILE, "").strip():
        return fields  # none, or an empty one, which counts as not sent if there is a text
    if fields.get("text", "").strip():
        raise BadRequest("text and text_file were both sent; send one of them")
    return fields | {"text": fields[_TEXT_FILE].removeprefix("\ufeff")}


def _too_long(settings: Settings) -> TextTooLong:
    return TextTooLong(
        f"the text is longer than {settings.max_text_characters} characters; send it in parts"
    )


def _checked(fields: dict[str, str], uploads: tuple[Upload, ...], settings: Settings) -> Form:
    form = _form(fields, uploads, settings)

    if uploads and form.voice is not None:
        raise BadRequest("voice and reference_audio were both sent; send one of them")

    check_uploads(uploads)
    return form


def _form(fields: dict[str, str], uploads: tuple[Upload, ...], settings: Settings) -> Form:
    if "text" not in fields:
        raise BadRequest("the field text is missing")
    if not fields["text"].strip():
        raise EmptyText("the text is empty; send at least one word")
    if len(fields["text"]) > settings.max_text_characters:
        raise _too_long(settings)
    return Form(
        text=fields["text"],
        language=_language(fields.get("language", "")),
        uploads=uploads,
        options=_options(fields),
        seed=_seed(fields.get("seed")),
        voice=_voice(fields.get("voice", "")),
        parameters=_parameters(fields),
    )


def _options(fields: dict[str, str]) -> TextOptions:
    return TextOptions(
        split=_boolean(fields, "enable_text_splitting"),
        spoken_forms=_boolean(fields, "spoken_forms"),
        pronunciations=_pronunciations(fields.get("pronunciations", "")),
        text_type=_text_type(fields),
    )


def _output(fields: dict[str, str], accept: str) -> OutputFormat:
    return output_format(
        fields.get("response_format"), fields.get("sample_rate"), accept=accept, default="wav"
    )


def _language(given: str) -> str:
    """Return the code of a supported language, or AUTO; an empty field counts as not sent."""
    given = given.strip() or "fr"
    language = AUTO if given.lower() == AUTO else language_code(given)
    if language is None:
        raise UnsupportedLanguage(f"language is unknown; send one of {AUTO} {' '.join(LANGUAGES)}")
    return language


def _voice(given: str) -> str | None:
    """Return the name, id or reference of a voice; an empty field counts as not sent."""
    if not given.strip():
        return None
    try:
        return msgspec.convert(given.strip(), VoiceReference)
    except msgspec.ValidationError:
        raise BadRequest(
            "voice must be the name or id of a voice, at most 100 characters; GET /voices lists them"
        ) from None


def _boolean(fields: dict[str, str], name: str) -> bool:
    """Return a switch that is on by default; an empty field counts as not sent."""
    try:
        return _BOOLEANS[fields.get(name, "").strip().lower() or "true"]
    except KeyError:
        raise BadRequest(f"{name} must be true or false") from None


def _text_type(fields: dict[str, str]) -> TextType:
    given = fields.get("text_type", "").strip().lower()
    if given not in ("", "text", "ssml"):
        raise BadRequest("text_type must be text or ssml")
    return "ssml" if given == "ssml" else "text"


def _pronunciations(value: str) -> dict[str, str]:
    """Return the words of a JSON object; an empty field counts as not sent."""
    try:
        return msgspec.json.decode(value, type=Pronunciations) if value.strip() else {}
    except msgspec.DecodeError:  # of JSON or of the type
        raise BadRequest(
            'pronunciations must be a JSON object of at most 500 words of at most 100 characters: {"SQL": "sequel"}'
        ) from None


def _seed(value: str | None) -> int | None:
    if value is None or not value.strip():
        return None
    if not value.strip().isascii() or not value.strip().isdigit() or int(value) >= _SEED_LIMIT:
        raise BadRequest("seed must be a whole number from 0 to 2^63-1")
    return int(value)


def _parameters(fields: dict[str, str]) -> Parameters:
    """Return the parameters that were sent; an empty field counts as not sent."""
    sent = {name: fields[name].strip() for name in RANGES if fields.get(name, "").strip()}
    return Parameters(**{name: _number(name, value, RANGES[name]) for name, value in sent.items()})


def _number(
    name: str, value: str, allowed: Range
) -> Any:  # int where the range is of whole numbers, else float
    if value.lower() in allowed.words:
        return value.lower()
    try:
        number = float(value) if value.isascii() and "_" not in value else math.nan
    except ValueError:
        number = math.nan
    if not allowed.lowest <= number <= allowed.highest or (
        allowed.whole and not number.is_integer()
    ):
        raise BadRequest(f"{name} must be {allowed}")
    return int(number) if allowed.whole else number
