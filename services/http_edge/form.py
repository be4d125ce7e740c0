"""The multipart form of a request, read in a stream: the upload goes to a temporary file, never whole into memory."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO, Final, TypeVar

from aiohttp import BodyPartReader, MultipartReader, web

from services.common.wire.failures import EmptyText, ReferenceTooLarge, TextTooLong, UnsupportedLanguage
from services.common.wire.languages import LANGUAGES
from services.http_edge.errors import BadRequest, UploadStalled
from services.http_edge.settings import Settings

T = TypeVar("T")
_BLOCK_BYTES: Final = 256 * 1024
_FORM_BYTES: Final = 64 * 1024  # boundaries, headers and short fields, on top of the text and the upload
_SHORT_FIELD_BYTES: Final = 64
_SEED_LIMIT: Final = 2**63
_FIELDS: Final = ("text", "language", "reference_audio", "enable_text_splitting", "seed")
_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True)
class Form:
    """A checked request."""

    text: str
    language: str
    upload: Path  # exists as long as the block of `read_form`
    upload_digest: str  # SHA-256 of the upload's bytes, hex
    split: bool
    seed: int | None


@asynccontextmanager
async def read_form(request: web.Request, settings: Settings) -> AsyncIterator[Form]:
    """Read and check the form; the upload's file goes when the block ends.

    Raises BadRequest, EmptyText, TextTooLong, UnsupportedLanguage, ReferenceTooLarge, UploadStalled: each says what
    to send.
    """
    _check_before_reading(request, settings)
    with tempfile.NamedTemporaryFile(prefix="reference-") as file:
        fields, digest = await _read_parts(request, file, settings)
        yield _checked(fields, Path(file.name), digest, settings)


def _check_before_reading(request: web.Request, settings: Settings) -> None:
    if request.content_type != "multipart/form-data":
        raise BadRequest("send multipart/form-data with the fields text, language and reference_audio")
    largest = settings.max_upload_bytes + 4 * settings.max_text_characters + _FORM_BYTES
    if request.content_length is not None and request.content_length > largest:
        raise ReferenceTooLarge(f"the body is larger than {largest} bytes; send 6-30 s of speech")


async def _read_parts(request: web.Request, file: IO[bytes], settings: Settings) -> tuple[dict[str, str], str | None]:
    fields: dict[str, str] = {}
    digest: str | None = None
    try:
        reader = await request.multipart()
        while (part := await _in_time(reader.next(), settings)) is not None:
            if isinstance(part, MultipartReader):
                raise BadRequest("a part of the form is itself multipart; send plain fields")
            name = part.name or ""
            if name not in _FIELDS:
                raise BadRequest(f"unknown field; the fields are {', '.join(_FIELDS)}")
            if name in fields or (name == "reference_audio" and digest is not None):
                raise BadRequest(f"the field {name} was sent twice")
            if name == "reference_audio":
                digest = await _save(part, file, settings)
            else:
                fields[name] = await _read_field(part, name, settings)
    except (ValueError, AssertionError, RuntimeError, LookupError) as error:  # what the multipart parser raises
        raise BadRequest(f"the multipart body is broken ({type(error).__name__})") from None
    return fields, digest


async def _in_time(reading: Awaitable[T], settings: Settings) -> T:
    try:
        return await asyncio.wait_for(reading, settings.upload_idle_timeout_s)
    except TimeoutError:
        raise UploadStalled(f"nothing arrived for {settings.upload_idle_timeout_s:.0f} s; send it again") from None


async def _save(part: BodyPartReader, file: IO[bytes], settings: Settings) -> str:
    """Write the upload to the file and return its SHA-256."""
    digest, size = sha256(), 0
    while block := await _in_time(part.read_chunk(_BLOCK_BYTES), settings):
        size += len(block)
        if size > settings.max_upload_bytes:
            raise ReferenceTooLarge(
                f"the reference audio is larger than {settings.max_upload_bytes} bytes; send 6-30 s of speech"
            )
        digest.update(block)
        await asyncio.to_thread(file.write, block)
    await asyncio.to_thread(file.flush)
    if not size:
        raise BadRequest(
            "reference_audio is empty; send 6-30 s of one person speaking (WAV, MP3, FLAC, OGG, M4A, WebM)"
        )
    return digest.hexdigest()


async def _read_field(part: BodyPartReader, name: str, settings: Settings) -> str:
    longest = 4 * settings.max_text_characters if name == "text" else _SHORT_FIELD_BYTES
    content = bytearray()
    while block := await _in_time(part.read_chunk(_BLOCK_BYTES), settings):
        content += block
        if len(content) > longest:
            if name == "text":
                raise _too_long(settings)
            raise BadRequest(f"the field {name} is too long")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise BadRequest(f"the field {name} is not UTF-8") from None


def _too_long(settings: Settings) -> TextTooLong:
    return TextTooLong(f"the text is longer than {settings.max_text_characters} characters; send it in parts")


def _checked(fields: dict[str, str], upload: Path, digest: str | None, settings: Settings) -> Form:
    if "text" not in fields:
        raise BadRequest("the field text is missing")
    if not fields["text"].strip():
        raise EmptyText("the text is empty; send at least one word")
    if len(fields["text"]) > settings.max_text_characters:
        raise _too_long(settings)
    language = fields.get("language", "fr").strip().lower()
    if language not in LANGUAGES:
        raise UnsupportedLanguage(f"unknown language; the languages are {' '.join(LANGUAGES)}")
    if digest is None:
        raise BadRequest("the file reference_audio is missing; send 6-30 s of one person speaking")
    return Form(
        text=fields["text"],
        language=language,
        upload=upload,
        upload_digest=digest,
        split=_boolean(fields.get("enable_text_splitting", "true")),
        seed=_seed(fields.get("seed")),
    )


def _boolean(value: str) -> bool:
    try:
        return _BOOLEANS[value.strip().lower()]
    except KeyError:
        raise BadRequest("enable_text_splitting is true or false") from None


def _seed(value: str | None) -> int | None:
    if value is None or not value.strip():
        return None
    if not value.strip().isascii() or not value.strip().isdigit() or int(value) >= _SEED_LIMIT:
        raise BadRequest("seed is a whole number from 0 to 2^63-1")
    return int(value)
