"""Reads the multipart form of a request as a stream.

Uploads go to temporary files, never whole into memory.
"""

import asyncio
import math
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field, fields
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import msgspec
from aiohttp import web

from services.common.wire.failures import (
    EmptyText,
    ReferenceTooLarge,
    TextTooLong,
    UnsupportedLanguage,
)
from services.common.wire.languages import LANGUAGES, language_code
from services.common.wire.messages import (
    MOST_CLIPS,
    MOST_NORMALIZED,
    Parameters,
    Passage,
    Pronunciations,
    TextType,
)
from services.common.wire.parameters import RANGES, Range
from services.http_edge.errors import BadRequest, InsufficientStorage, UploadStalled
from services.http_edge.intake.language import AUTO
from services.http_edge.intake.uploads import UploadPermit, Uploads
from services.http_edge.settings import Settings
from services.http_edge.transport.connections import received_by
from services.http_edge.transport.file_descriptors import highest_descriptor
from services.http_edge.transport.multipart import FormPart, MultipartBody

_BLOCK_BYTES: Final = 256 * 1024
# boundaries, headers and short fields, on top of the text and the upload
_FORM_BYTES: Final = 64 * 1024
_SHORT_FIELD_BYTES: Final = 64
_SEED_LIMIT: Final = 2**63
_FIELDS: Final = (
    "text",
    "text_type",
    "language",
    "reference_audio",
    "enable_text_splitting",
    "spoken_forms",
    "pronunciations",
    "seed",
    *RANGES,
)
_TEXT_FIELDS: Final = (
    "text",
    "text_type",
    "language",
    "enable_text_splitting",
    "spoken_forms",
    "pronunciations",
)
_TEXT_FILE: Final = "text_file"
_GOOD_REFERENCE: Final = "6-30 s of one person speaking (WAV, MP3, FLAC, OGG, M4A, WebM)"
_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True)
class Upload:
    """A file that the client sent as reference audio."""

    path: Path  # exists inside the block of `FormReader.form`
    digest: str  # SHA-256 of its bytes, hex
    size: int  # bytes


_DERIVED: Final = {"derived": True}  # a field that follows from the others


@dataclass(frozen=True)
class Form:
    """A checked request.

    The fields that a client sends are in the order in which `sent` returns them. A new one changes
    the fingerprint of every form: keys that were stored before then count as reused.
    """

    text: str
    language: str  # a supported one, or AUTO
    split: bool
    spoken_forms: bool  # False: the engine gets figures and signs as they are written
    pronunciations: dict[str, str]  # word as written -> how to pronounce it
    seed: int | None
    parameters: Parameters
    uploads: tuple[Upload, ...]  # 1 to MOST_CLIPS recordings of one speaker, in the order sent
    text_type: TextType = "text"
    # estimated, with pauses and pronunciations
    audio_s: float = field(default=0.0, metadata=_DERIVED)
    # that of most of the text first
    languages: tuple[str, ...] = field(default=(), metadata=_DERIVED)
    # in other languages than most of the text
    passages: tuple[Passage, ...] = field(default=(), metadata=_DERIVED)

    def sent(self) -> list[Any]:
        """Return what identifies the form.

        The value of each field that is sent, in order; of uploads, the digests.
        """
        values = {
            item.name: getattr(self, item.name)
            for item in fields(self)
            if not item.metadata.get("derived")
        }
        values["uploads"] = [upload.digest for upload in self.uploads]
        return list(values.values())


def file_prefix(index: int, count: int) -> str:
    """Return the prefix of a message about one of several uploads.

    Its position, as its name can be private.
    """
    return f"file {index + 1} of {count}: " if count > 1 else ""


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
        known = (*_FIELDS, _TEXT_FILE) if self.job else _FIELDS
        with ExitStack() as files, self.uploads.space.hold(caller) as hold:
            self.uploads.space.check(request.content_length or 0, caller)
            fields, uploads = await self._parts(
                request, caller, _Files(files, hold, settings), known
            )
            yield _checked(_with_text(fields), uploads, settings)

    async def text_form(self, request: web.Request, caller: str) -> Form:
        """Read and check a form with a short text and no recordings.

        Raises the errors of `form`.
        """
        most = min(self.settings.max_text_characters, MOST_NORMALIZED)
        settings = msgspec.structs.replace(
            self.settings, max_text_characters=most, max_upload_bytes=1
        )
        _check_before_reading(request, settings, "text and language")
        with ExitStack() as no_files, self.uploads.space.hold(caller) as hold:
            fields, _ = await self._parts(
                request, caller, _Files(no_files, hold, settings), _TEXT_FIELDS
            )
        return _form(fields, (), settings)

    async def _parts(
        self, request: web.Request, caller: str, files: "_Files", known: tuple[str, ...]
    ) -> tuple[dict[str, str], tuple[Upload, ...]]:
        fields: dict[str, str] = {}
        idle_s = self.settings.upload_idle_timeout_s
        async with self.uploads.reading(caller, received_by(request)) as upload:
            await _expect_body(request)
            body = MultipartBody(
                request, turn=self.uploads.turn, idle_s=idle_s, received=upload.received
            )
            part = await _in_time(body, idle_s)
            while isinstance(part, FormPart):
                if part.name not in known:
                    raise BadRequest(f"unknown field; the fields are {', '.join(known)}")
                if part.name in fields:
                    raise BadRequest(f"the field {part.name} was sent twice")
                if part.name == "reference_audio":
                    part = await files.save(body)
                else:
                    fields[part.name], part = await _read_field(body, part.name, files.settings)
        return fields, tuple(files.uploads)


def _check_before_reading(
    request: web.Request, settings: Settings, wanted: str = "text, language and reference_audio"
) -> None:
    if request.content_type != "multipart/form-data":
        raise BadRequest(f"send multipart/form-data with the fields {wanted}")
    largest = settings.max_upload_bytes + 4 * settings.max_text_characters + _FORM_BYTES
    if request.content_length is not None and request.content_length > largest:
        raise ReferenceTooLarge(f"the body is larger than {largest} bytes; send 6-30 s of speech")


async def _expect_body(request: web.Request) -> None:
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0


async def _in_time(body: MultipartBody, idle_s: float) -> FormPart | bytes | None:
    try:
        return await body.next()
    except TimeoutError:
        raise UploadStalled(f"nothing arrived for {idle_s:.0f} s; send it again") from None


@dataclass
class _Files:
    """The uploads of a form, in unnamed temporary files.

    However this process ends, no voice stays on disk.

    The decoder process opens them through this process's descriptors (proc_pid_fd(5)).
    """

    stack: ExitStack  # closes the files
    hold: UploadPermit
    settings: Settings
    uploads: list[Upload] = field(default_factory=list)

    async def save(self, body: MultipartBody) -> FormPart | bytes | None:
        """Write the content of the current part to a file, and return what follows it."""
        if len(self.uploads) == MOST_CLIPS:
            raise BadRequest(
                f"more than {MOST_CLIPS} files were sent as reference_audio; send 1 to {MOST_CLIPS}"
            )
        file = self.stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115  # the stack closes it
        if file.fileno() >= highest_descriptor():
            raise InsufficientStorage("too many files are open; retry later")
        digest = sha256()
        size = 0
        left = self.settings.max_upload_bytes - sum(upload.size for upload in self.uploads)
        content = bytearray()
        while isinstance(found := await _in_time(body, self.settings.upload_idle_timeout_s), bytes):
            size += len(found)
            if size > left:
                raise ReferenceTooLarge(
                    f"the reference audio is larger than {self.settings.max_upload_bytes} bytes, all files together; "
                    "send 6-30 s of speech"
                )
            digest.update(found)
            self.hold.add(len(found))
            content += found
            if len(content) >= _BLOCK_BYTES:
                await asyncio.to_thread(file.write, bytes(content))
                content.clear()
        await asyncio.to_thread(file.write, bytes(content))
        await asyncio.to_thread(file.flush)
        path = Path(f"/proc/{os.getpid()}/fd/{file.fileno()}")
        self.uploads.append(Upload(path, digest.hexdigest(), size))
        return found


async def _read_field(
    body: MultipartBody, name: str, settings: Settings
) -> tuple[str, FormPart | bytes | None]:
    """Return the content of the current part, and what follows it."""
    longest = {
        "text": 4 * settings.max_text_characters,
        _TEXT_FILE: 4 * settings.max_text_characters,
        "pronunciations": _FORM_BYTES // 2,
    }.get(name, _SHORT_FIELD_BYTES)
    content = bytearray()
    while isinstance(found := await _in_time(body, settings.upload_idle_timeout_s), bytes):
        content += found
        if len(content) > longest:
            if name in ("text", _TEXT_FILE):
                raise _too_long(settings)
            raise BadRequest(f"the field {name} is too long")
    try:
        return content.decode("utf-8"), found
    except UnicodeDecodeError:
        raise BadRequest(f"the field {name} is not UTF-8") from None


def _with_text(fields: dict[str, str]) -> dict[str, str]:
    """Return the fields with the content of text_file, without its byte order mark, as text."""
    if _TEXT_FILE not in fields:
        return fields
    if "text" in fields:
        raise BadRequest("text and text_file were both sent; send one of them")
    return fields | {"text": fields[_TEXT_FILE].removeprefix("\ufeff")}


def _too_long(settings: Settings) -> TextTooLong:
    return TextTooLong(
        f"the text is longer than {settings.max_text_characters} characters; send it in parts"
    )


def _checked(fields: dict[str, str], uploads: tuple[Upload, ...], settings: Settings) -> Form:
    form = _form(fields, uploads, settings)
    if not uploads:
        raise BadRequest("the file reference_audio is missing; send 6-30 s of one person speaking")
    for index, upload in enumerate(uploads):
        if not upload.size:
            raise BadRequest(
                f"{file_prefix(index, len(uploads))}reference_audio is empty; send {_GOOD_REFERENCE}"
            )
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
        split=_boolean(fields, "enable_text_splitting"),
        spoken_forms=_boolean(fields, "spoken_forms"),
        pronunciations=_pronunciations(fields.get("pronunciations", "")),
        seed=_seed(fields.get("seed")),
        text_type=_text_type(fields),
        parameters=_parameters(fields),
    )


def _language(given: str) -> str:
    """Return the code of a supported language, or AUTO; an empty field counts as not sent."""
    given = given.strip() or "fr"
    language = AUTO if given.lower() == AUTO else language_code(given)
    if language is None:
        raise UnsupportedLanguage(f"language is unknown; send one of {AUTO} {' '.join(LANGUAGES)}")
    return language


def _boolean(fields: dict[str, str], name: str) -> bool:
    try:
        return _BOOLEANS[fields.get(name, "true").strip().lower()]
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
