"""Reads the multipart body of a request as a stream: short fields, and uploads.

Uploads go to temporary files, never whole into memory.
"""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final

from aiohttp import web

from services.common.wire.failures import ReferenceTooLarge
from services.common.wire.fields import MOST_CLIPS
from services.http_edge.errors import BadRequest, InsufficientStorage, UploadStalled
from services.http_edge.intake.forms.uploads import UploadPermit, Uploads
from services.http_edge.transport.connections import received_by
from services.http_edge.transport.file_descriptors import highest_descriptor
from services.http_edge.transport.multipart import FormPart, MultipartBody

FORM_BYTES: Final = 64 * 1024  # boundaries, headers and short fields, on top of text and uploads
REFERENCE: Final = "reference_audio"  # the field of uploads
GOOD_REFERENCE: Final = "6-30 s of one person speaking (WAV, MP3, FLAC, OGG, M4A, WebM)"
_BLOCK_BYTES: Final = 256 * 1024
_MOST_SHOWN: Final = 5  # names in a message
_SHOWN: Final = 40  # characters of each


@dataclass(frozen=True)
class Upload:
    """A file that the client sent as reference audio."""

    path: Path  # exists inside the block of `BodyReader.parts`
    digest: str  # SHA-256 of its bytes, hex
    size: int  # bytes


class FieldTooLong(BadRequest):
    """A field is longer than its limit."""

    def __init__(self, field_name: str) -> None:
        super().__init__(f"the field {field_name} is too long", field=field_name)


@dataclass(frozen=True)
class BodyReader:
    """Reads multipart bodies, each in an upload slot of its caller."""

    uploads: Uploads
    idle_s: float  # a client that sends nothing for so long is disconnected

    @asynccontextmanager
    async def parts(
        self,
        request: web.Request,
        caller: str,
        longest: Mapping[str, int],
        *,
        file_field: str = REFERENCE,
    ) -> AsyncIterator[tuple[dict[str, str], tuple[Upload, ...]]]:
        """Yield the fields and uploads; the files of the uploads are deleted when the block ends.

        `longest`: the known fields, and the most bytes of each; of `file_field`, of all files together. Raises
        BadRequest, FieldTooLong, ReferenceTooLarge, UploadStalled, TooManyUploads, InsufficientStorage.
        """
        with ExitStack() as files, self.uploads.space.hold(caller) as hold:
            self.uploads.space.check(request.content_length or 0, caller)
            saved = _Files(files, hold, file_field, longest.get(file_field, 0), self.idle_s)
            fields = await self._read(request, caller, saved, longest)
            yield fields, tuple(saved.uploads)

    async def _read(
        self, request: web.Request, caller: str, files: "_Files", longest: Mapping[str, int]
    ) -> dict[str, str]:
        fields: dict[str, str] = {}
        async with self.uploads.reading(caller, received_by(request)) as upload:
            await expect_body(request)
            body = MultipartBody(
                request, turn=self.uploads.turn, idle_s=self.idle_s, received=upload.received
            )
            part = await _in_time(body, self.idle_s)

            while isinstance(part, FormPart):
                if part.name not in longest:
                    raise BadRequest(
                        f"unknown field; the fields are {', '.join(longest)}",
                        field=_shown([part.name]) or None,
                    )
                if part.name in fields:
                    raise BadRequest(f"the field {part.name} was sent twice", field=part.name)
                if part.name == files.field_name:
                    part = await files.save(body, named=part.has_file_name)
                    continue
                fields[part.name], part = await _read_field(
                    body, part.name, longest[part.name], self.idle_s
                )

        return fields

    async def whole(self, request: web.Request, caller: str, *, most_bytes: int) -> bytes:
        """Return a body that is short enough for memory.

        Raises BadRequest if it is longer than `most_bytes`, UploadStalled, TooManyUploads.
        """
        too_long = BadRequest(f"the body is longer than {most_bytes} bytes")
        if request.content_length is not None and request.content_length > most_bytes:
            raise too_long

        content = bytearray()
        async with self.uploads.reading(caller, received_by(request)) as upload:
            await expect_body(request)

            while block := await _next_block(request, self.idle_s):
                upload.received(len(block))
                content += block
                if len(content) > most_bytes:
                    raise too_long

        return bytes(content)


def check_multipart(request: web.Request, *, largest: int, wanted: str) -> None:
    """Refuse a body that is not a form, or too large, before any of it is read.

    A query is refused, as its parameters would be ignored. Raises BadRequest, ReferenceTooLarge.
    """
    if request.query:
        raise BadRequest(
            f"unknown query parameter {_shown(request.query)}; send {wanted} as fields of the form",
            field=_shown(list(request.query)[:1]) or None,
        )

    if request.content_type != "multipart/form-data":
        raise BadRequest(f"send multipart/form-data with the fields {wanted}", field="Content-Type")

    if request.content_length is not None and request.content_length > largest:
        raise ReferenceTooLarge(f"the body is larger than {largest} bytes; send 6-30 s of speech")


def _shown(names: Iterable[str]) -> str:
    """Return the names of parameters for a message: the first ones that are short and printable."""
    shown = [name for name in dict.fromkeys(names) if name.isascii() and name.isprintable()]
    return ", ".join(name[:_SHOWN] for name in shown[:_MOST_SHOWN])


def check_uploads(uploads: tuple[Upload, ...]) -> None:
    """Raise BadRequest if a file is empty."""
    for index, upload in enumerate(uploads):
        if not upload.size:
            raise BadRequest(
                f"{file_prefix(index, len(uploads))}reference_audio is empty; send {GOOD_REFERENCE}",
                field=REFERENCE,
            )


def file_prefix(index: int, count: int) -> str:
    """Return the prefix of a message about one of several uploads.

    Its position, as its name can be private.
    """
    return f"file {index + 1} of {count}: " if count > 1 else ""


async def expect_body(request: web.Request) -> None:
    """Send "100 Continue" to a client that waits for it."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0


async def _in_time(body: MultipartBody, idle_s: float) -> FormPart | bytes | None:
    try:
        return await body.next()
    except TimeoutError:
        raise UploadStalled(f"nothing arrived for {idle_s:.0f} s; send it again") from None


async def _next_block(request: web.Request, idle_s: float) -> bytes:
    try:
        async with asyncio.timeout(idle_s):
            return await request.content.readany()
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
    field_name: str
    most_bytes: int  # of all of them
    idle_s: float
    uploads: list[Upload] = field(default_factory=list)

    async def save(self, body: MultipartBody, *, named: bool) -> FormPart | bytes | None:
        """Write the content of the current part to a file, and return what follows it.

        `named`: it has a file name. Without one, an empty part counts as not sent: browsers send
        such a part where no file was selected.
        """
        if len(self.uploads) == MOST_CLIPS:
            raise BadRequest(
                f"more than {MOST_CLIPS} files were sent as {self.field_name}; send 1 to {MOST_CLIPS}",
                field=self.field_name,
            )
        file = self.stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115  # the stack closes it
        if file.fileno() >= highest_descriptor():
            raise InsufficientStorage("too many files are open; retry later")
        digest = sha256()
        size = 0
        left = self.most_bytes - sum(upload.size for upload in self.uploads)
        content = bytearray()
        while isinstance(found := await _in_time(body, self.idle_s), bytes):
            size += len(found)
            if size > left:
                raise ReferenceTooLarge(
                    f"the reference audio is larger than {self.most_bytes} bytes, all files together; "
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
        if not named and not size:
            return found
        path = Path(f"/proc/{os.getpid()}/fd/{file.fileno()}")
        self.uploads.append(Upload(path, digest.hexdigest(), size))
        return found


async def _read_field(
    body: MultipartBody, name: str, longest: int, idle_s: float
) -> tuple[str, FormPart | bytes | None]:
    """Return the content of the current part, and what follows it."""
    content = bytearray()
    while isinstance(found := await _in_time(body, idle_s), bytes):
        content += found
        if len(content) > longest:
            raise FieldTooLong(name)
    try:
        return content.decode("utf-8"), found
    except UnicodeDecodeError:
        raise BadRequest(f"the field {name} is not UTF-8", field=name) from None
