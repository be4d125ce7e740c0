"""Reads and checks the form of a request that speaks, or is normalized."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, Protocol

import msgspec
from aiohttp import web

from services.common.wire.failures import EmptyText, PipelineError, TextTooLong
from services.common.wire.fields import (
    MOST_NORMALIZED,
)
from services.common.wire.options import (
    Parameters,
    TextOptions,
)
from services.common.wire.parameters import RANGES
from services.common.wire.parts import (
    Chapter,
    Passage,
    Speaker,
)
from services.http_edge.encoders.registry import WAV, OutputFormat, output_format
from services.http_edge.errors import BadRequest
from services.http_edge.intake.forms.body import (
    FORM_BYTES,
    REFERENCE,
    BodyReader,
    FieldTooLong,
    Upload,
    check_multipart,
    check_uploads,
)
from services.http_edge.intake.forms.form_fields import (
    CHAPTERS,
    FIELDS,
    JOB_FORM,
    NORMALIZE_FORM,
    SPEECH_FORM,
    TEXT,
    TEXT_FILE,
    TITLE,
    VOICES,
    Field,
)
from services.http_edge.intake.forms.uploads import Uploads
from services.http_edge.settings import Settings

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
    engine: str | None = None  # another one than the edge's
    title: str | None = None  # of a job
    chapters: tuple[Chapter, ...] = ()  # of a job, in order
    voices: Mapping[str, str] = field(default_factory=dict)  # name in the text -> name or id
    # estimated, with pauses and pronunciations
    audio_s: float = field(default=0.0, metadata=_DERIVED)
    # that of most of the text first
    languages: tuple[str, ...] = field(default=(), metadata=_DERIVED)
    # in other languages than most of the text
    passages: tuple[Passage, ...] = field(default=(), metadata=_DERIVED)
    # of the voices that the text names; empty for text in the voice of the form
    names: tuple[str, ...] = field(default=("",), metadata=_DERIVED)
    # these voices, once they are resolved
    speakers: tuple[Speaker, ...] = field(default=(), metadata=_DERIVED)
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
        not_sent = {
            "voice": None,
            "engine": None,
            "title": None,
            "chapters": (),
            "voices": {},
        } | type(self.options)().fields()
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

    @property
    def selects_engine(self) -> bool:
        """Return whether the body can name another engine than the edge's."""

    def form(self, request: web.Request, caller: str) -> AbstractAsyncContextManager[Form]:
        """Read and check the body; temporary files are deleted when the block ends. Raises PipelineError."""


@dataclass(frozen=True)
class FormReader:
    """Reads forms, each in an upload slot of its caller."""

    uploads: Uploads
    settings: Settings
    job: bool = False  # a job's text may be long, and a file
    selects_engine: bool = False

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
        known = JOB_FORM if self.job else SPEECH_FORM
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
            async with self._parts(request, caller, NORMALIZE_FORM, settings) as (fields, _):
                return _form(fields, (), settings)
        except FieldTooLong as error:
            raise _field_too_long(error, settings) from None

    def _parts(
        self, request: web.Request, caller: str, known: Sequence[Field], settings: Settings
    ) -> AbstractAsyncContextManager[tuple[dict[str, str], tuple[Upload, ...]]]:
        longest = {
            TEXT: 4 * settings.max_text_characters,
            TEXT_FILE: 4 * settings.max_text_characters,
            REFERENCE: settings.max_upload_bytes,
        }
        body = BodyReader(self.uploads, settings.upload_idle_timeout_s)
        limits = {item.name: longest.get(item.name, item.longest_bytes) for item in known}
        return body.parts(request, caller, limits)


def _check_before_reading(
    request: web.Request,
    settings: Settings,
    wanted: str = "text, language, and voice or reference_audio",
) -> None:
    largest = settings.max_upload_bytes + 4 * settings.max_text_characters + FORM_BYTES
    check_multipart(request, largest=largest, wanted=wanted)


def _field_too_long(error: FieldTooLong, settings: Settings) -> PipelineError:
    return _too_long(settings, error.field) if error.field in (TEXT, TEXT_FILE) else error


def _with_text(fields: dict[str, str]) -> dict[str, str]:
    """Return the fields with the content of text_file, without its byte order mark, as text."""
    if not fields.get(TEXT_FILE, "").strip():
        return fields  # none, or an empty one, which counts as not sent if there is a text
    if fields.get("text", "").strip():
        raise BadRequest("text and text_file were both sent; send one of them", field=TEXT_FILE)
    return fields | {"text": fields[TEXT_FILE].removeprefix("\ufeff")}


def _too_long(settings: Settings, field_name: str | None) -> TextTooLong:
    failure = TextTooLong(
        f"the text is longer than {settings.max_text_characters} characters; send it in parts"
    )
    failure.field = field_name
    return failure


def _checked(fields: dict[str, str], uploads: tuple[Upload, ...], settings: Settings) -> Form:
    form = _form(fields, uploads, settings)

    if uploads and form.voice is not None:
        raise BadRequest(
            "voice and reference_audio were both sent; send one of them", field=REFERENCE
        )

    check_uploads(uploads)
    return form


def _form(fields: dict[str, str], uploads: tuple[Upload, ...], settings: Settings) -> Form:
    if "text" not in fields:
        raise BadRequest("the field text is missing", field=TEXT)
    if not fields["text"].strip():
        raise EmptyText("the text is empty; send at least one word")
    if len(fields["text"]) > settings.max_text_characters:
        raise _too_long(settings, TEXT_FILE if fields.get(TEXT_FILE) else TEXT)
    options = _options(fields)
    return Form(
        text=fields["text"],
        language=FIELDS["language"].value(fields),
        uploads=uploads,
        options=options,
        seed=FIELDS["seed"].value(fields),
        voice=FIELDS["voice"].value(fields),
        title=FIELDS[TITLE].value(fields),
        chapters=_chapters(fields),
        voices=_voices(fields, options.text_type),
        parameters=Parameters(**{name: FIELDS[name].value(fields) for name in RANGES}),
    )


def _voices(fields: dict[str, str], text_type: str) -> dict[str, str]:
    voices = dict(FIELDS[VOICES].value(fields))
    if voices and text_type == "text":
        raise BadRequest(
            "voices was sent for a plain text; send text_type=dialogue or ssml", field=VOICES
        )
    if not voices and text_type == "dialogue":
        raise BadRequest(
            'a dialogue needs the voices of its speakers; send {"Anna": "NAME OR ID OF A VOICE"}',
            field=VOICES,
        )
    return voices


def _chapters(fields: dict[str, str]) -> tuple[Chapter, ...]:
    chapters: tuple[Chapter, ...] = FIELDS[CHAPTERS].value(fields)
    if chapters and chapters[-1].start >= len(fields[TEXT]):
        raise BadRequest(
            f"a chapter begins at character {chapters[-1].start}, and the text has {len(fields[TEXT])}; "
            "send the start of each in Unicode code points, from 0"
        )
    return chapters


def _options(fields: dict[str, str]) -> TextOptions:
    return TextOptions(
        split=FIELDS["enable_text_splitting"].value(fields),
        spoken_forms=FIELDS["spoken_forms"].value(fields),
        pronunciations=dict(FIELDS["pronunciations"].value(fields)),
        text_type=FIELDS["text_type"].value(fields),
    )


def _output(fields: dict[str, str], accept: str) -> OutputFormat:
    return output_format(
        fields.get("response_format"), fields.get("sample_rate"), accept=accept, default="wav"
    )
