"""The JSON body of `POST /v1/audio/speech`, as OpenAI defines it, read into a form.

Fields that are unknown are ignored: clients send those of other servers. https://platform.openai.com/docs/api-reference/audio
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

import msgspec
from aiohttp import web

from services.common.wire.failures import EmptyText, TextTooLong, UnsupportedLanguage
from services.common.wire.fields import Pronunciations, Seed, VoiceReference
from services.common.wire.languages import LANGUAGES, language_code
from services.common.wire.options import Parameters, TextOptions
from services.common.wire.parameters import RANGES
from services.http_edge.capacity.fleet import Fleet
from services.http_edge.encoders.registry import (
    FORMATS,
    SAMPLE_RATES_HZ,
    OutputFormat,
    output_format,
)
from services.http_edge.errors import BadRequest, UnknownModel
from services.http_edge.intake.forms.body import BodyReader
from services.http_edge.intake.forms.form import Form
from services.http_edge.intake.forms.form_fields import JsonField, range_schema
from services.http_edge.intake.forms.uploads import Uploads
from services.http_edge.intake.language import AUTO
from services.http_edge.settings import Settings

ALIASES: Final = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts")  # of the engine that runs
FALLBACK_LANGUAGE: Final = "en"  # of a text that is too short to detect its language
_MOST_IN_JSON: Final = 5_000  # characters: the whole audio of an answer in JSON is held in memory
_FIELDS_BYTES: Final = 64 * 1024  # besides the text
_BYTES_PER_CHARACTER: Final = 6  # JSON can escape each as \\uXXXX


class VoiceObject(msgspec.Struct):
    """A voice as OpenAI's newer clients send it."""

    id: str


_STREAM_FORMATS: Final = ("audio", "sse", "json")
_TIMESTAMPS: Final = ("none", "word")
# `openai_form` reads by this table, and the OpenAPI document lists it
BODY: Final = MappingProxyType(
    {
        entry.name: entry
        for entry in (
            JsonField(
                "model",
                str,
                "a string",
                "an engine that runs, or a name of OpenAI, which stands for the engine of this service",
            ),
            JsonField("input", str, "a string", "the text", {"minLength": 1}),
            JsonField(
                "voice",
                str | VoiceObject,
                'the name or id of a voice, or {"id": "..."}; GET /v1/audio/voices lists them',
                "name or id of a voice, or a name of OpenAI; default: the engine's for the language",
            ),
            JsonField(
                "response_format",
                str,
                "a string",
                "format of the audio",
                {"enum": list(FORMATS), "default": "mp3"},
            ),
            JsonField(
                "stream_format",
                str,
                "a string",
                f"`sse`: the audio in server-sent events; `json`: in one object, of at most {_MOST_IN_JSON} characters",
                {"enum": list(_STREAM_FORMATS), "default": "audio"},
            ),
            JsonField(
                "timestamps",
                str,
                "a string",
                "`word`: when each word is spoken; needs stream_format `sse` or `json`",
                {"enum": list(_TIMESTAMPS), "default": "none"},
            ),
            JsonField("instructions", Any, "a string", "without effect: no engine takes them"),
            JsonField(
                "language",
                str,
                "a string",
                "default: detected; English for a text that is too short for that",
                {"enum": [AUTO, *LANGUAGES], "default": AUTO},
            ),
            JsonField("seed", Seed, "a whole number from 0 to 2^63-1", "repeats the same audio"),
            JsonField(
                "pronunciations", Pronunciations, "an object of words", "word -> replacement"
            ),
            JsonField(
                "sample_rate",
                int | str,
                "a number",
                "Hz; default: the engine's",
                {"type": "integer", "enum": list(SAMPLE_RATES_HZ)},
            ),
            *(
                JsonField(name, float | int | str, "a number", f"{allowed}", range_schema(allowed))
                for name, allowed in RANGES.items()
            ),
        )
    }
)


@dataclass(frozen=True)
class OpenAiReader:
    """Reads bodies, each in an upload slot of its caller."""

    uploads: Uploads
    settings: Settings
    fleet: Fleet
    selects_engine: bool = True

    @asynccontextmanager
    async def form(self, request: web.Request, caller: str) -> AsyncIterator[Form]:
        """Read and check the body.

        Raises BadRequest, UnknownModel, EmptyText, TextTooLong, UnsupportedLanguage, UploadStalled,
        TooManyUploads.
        """
        most = self.settings.max_text_characters * _BYTES_PER_CHARACTER + _FIELDS_BYTES
        reader = BodyReader(self.uploads, self.settings.upload_idle_timeout_s)
        body = await reader.whole(request, caller, most_bytes=most)
        yield openai_form(body, self.settings, self.fleet.engines())


def openai_form(body: bytes, settings: Settings, engines: Sequence[str]) -> Form:
    """Return the form of a JSON body.

    `engines`: the edge's, and the others that run. Raises BadRequest, UnknownModel, EmptyText, TextTooLong,
    UnsupportedLanguage.
    """
    try:
        sent = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadRequest("send a JSON object with model, input and voice") from None
    fields = _Fields({name: value for name, value in sent.items() if bytes(value) != b"null"})

    engine = _engine(fields.text("model"), engines)
    text = _input(fields, settings)
    output = output_format(
        fields.text("response_format"), fields.text("sample_rate"), accept="", default="mp3"
    )
    output = _framed(output, fields, text)
    return Form(
        text=text,
        language=_language(fields.text("language")),
        options=TextOptions(pronunciations=fields.get("pronunciations") or {}),
        seed=fields.get("seed"),
        parameters=_parameters(fields),
        uploads=(),
        voice=_voice(fields),
        engine=engine,
        fallback_language=FALLBACK_LANGUAGE,
        openai_voices=True,
        output=output,
    )


@dataclass(frozen=True)
class _Fields:
    """The fields of a body that are not null."""

    sent: Mapping[str, msgspec.Raw]

    def get(self, name: str) -> Any:
        """Return a field's value, or None if it was not sent. Raises BadRequest."""
        if name not in self.sent:
            return None
        known = BODY[name]
        try:
            return msgspec.json.decode(self.sent[name], type=known.kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise BadRequest(f"{name} must be {known.wanted}", field=name) from None

    def text(self, name: str) -> str:
        """Return a field's text without white space around it; empty if it was not sent. Raises BadRequest."""
        value = self.get(name)
        return "" if value is None else str(value).strip()


def _engine(model: str, engines: Sequence[str]) -> str | None:
    """Return the engine that a model names; None for the edge's own."""
    if not model or model in (engines[0], *ALIASES):
        return None
    if model not in engines:
        raise UnknownModel(
            f"the model does not exist; send one of {', '.join((*engines, *ALIASES))}",
            field="model",
        )
    return model


def _input(fields: _Fields, settings: Settings) -> str:
    if "input" not in fields.sent:
        raise BadRequest("input is missing; send the text to speak", field="input")
    text: str = fields.get("input")
    if not text.strip():
        raise EmptyText("input is empty; send at least one word")
    if len(text) > settings.max_text_characters:
        raise TextTooLong(
            f"input is longer than {settings.max_text_characters} characters; send it in parts"
        )
    return text


def _language(given: str) -> str:
    if not given or given.lower() == AUTO:
        return AUTO
    language = language_code(given)
    if language is None:
        raise UnsupportedLanguage(f"language is unknown; send one of {AUTO} {' '.join(LANGUAGES)}")
    return language


def _voice(fields: _Fields) -> str | None:
    given = fields.get("voice")
    name = given.id if isinstance(given, VoiceObject) else given
    if name is None or not name.strip():
        return None
    try:
        return msgspec.convert(name.strip(), VoiceReference)
    except msgspec.ValidationError:
        raise BadRequest(f"voice must be {BODY['voice'].wanted}", field="voice") from None


def _parameters(fields: _Fields) -> Parameters:
    values: dict[str, float | str] = {}
    for name in RANGES:
        value = fields.get(name)
        if value is None or (name == "speed" and value == 1):
            continue
        try:
            msgspec.convert({name: value}, Parameters)
        except msgspec.ValidationError:
            allowed = RANGES[name]
            words = "".join(f", or {word}" for word in allowed.words)
            raise BadRequest(
                f"{name} must be a number from {allowed.lowest:g} to {allowed.highest:g}{words}",
                field=name,
            ) from None
        values[name] = value
    return msgspec.convert(values, Parameters)


def _framed(output: OutputFormat, fields: _Fields, text: str) -> OutputFormat:
    """Return the format with what `stream_format` and `timestamps` select."""
    given = fields.text("stream_format") or "audio"
    if given not in _STREAM_FORMATS:
        raise BadRequest("stream_format must be audio, sse or json", field="stream_format")
    timestamps = fields.text("timestamps") or "none"
    if timestamps not in _TIMESTAMPS:
        raise BadRequest("timestamps must be none or word", field="timestamps")
    if timestamps == "word" and given == "audio":
        raise BadRequest("timestamps need stream_format sse or json", field="timestamps")
    if given == "json" and len(text) > _MOST_IN_JSON:
        raise TextTooLong(
            f"with stream_format json, input has at most {_MOST_IN_JSON} characters; send sse for a longer one"
        )
    return replace(
        output,
        event_characters=len(text) if given == "sse" else None,
        in_json=given == "json",
        word_times=timestamps == "word",
    )
