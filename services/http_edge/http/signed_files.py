"""Finished files with content credentials: encoded whole, signed, then sent with their length."""

import io
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import IO, Final

from aiohttp import web

from services.http_edge.credentials.signing import (
    HEADER,
    MEDIA_TYPES,
    OFF,
    UNSIGNED,
    ContentCredentials,
)
from services.http_edge.encoders.protocol import Encoder
from services.http_edge.encoders.registry import OutputFormat
from services.http_edge.http.audio_response import CONTAINER_MARK, write, write_last
from services.http_edge.transport.threads import on_thread

MEMORY_BYTES: Final = 8 * 1024 * 1024  # of a file; a longer one is written to disk
BLOCK_BYTES: Final = 256 * 1024


@dataclass(frozen=True)
class SignedFiles:
    """Signs files, if this edge has a certificate."""

    credentials: ContentCredentials | None

    @property
    def name(self) -> str:
        """Return how finished files are signed; "off" if they are not."""
        return OFF if self.credentials is None else self.credentials.name

    @property
    def certificate(self) -> str:
        """Return a short text that differs for other certificates; development ones have the same."""
        return OFF if self.credentials is None else self.credentials.identity.digest

    def signs(self, output: OutputFormat, size: int) -> bool:
        """Return whether a finished file in this format is signed, made of so many bytes of PCM."""
        plain = output.event_characters is None and not output.in_json
        return plain and signable(output) and self.accepts(size, output.format.media_types[0])

    def accepts(self, size: int, media_type: str) -> bool:
        """Return whether a file of this size is signed."""
        return self.credentials is not None and self.credentials.accepts(size, media_type)

    async def sign(self, source: IO[bytes], target: IO[bytes], media_type: str) -> str:
        """Write a signed copy of a file; return how it is signed."""
        if self.credentials is None:
            raise RuntimeError("there is no certificate")
        await self.credentials.sign(source, target, media_type)
        return self.credentials.name

    async def signed(self, content: bytes, output: OutputFormat) -> tuple[bytes, str]:
        """Return a file in memory as it is sent, and how it is signed."""
        if self.credentials is None:
            return content, OFF
        if not signable(output):
            return content, UNSIGNED
        target = io.BytesIO()
        how = await self.sign(io.BytesIO(content), target, output.format.media_types[0])
        return target.getvalue(), how


def signable(output: OutputFormat) -> bool:
    """Return whether files in this format can be signed."""
    return output.format.media_types[0] in MEDIA_TYPES


def add_header(files: SignedFiles) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """Return a handler of `on_response_prepare` that adds the header to audio that is not signed."""
    unsigned = OFF if files.credentials is None else UNSIGNED

    async def add(_request: web.Request, response: web.StreamResponse) -> None:
        if CONTAINER_MARK in response.headers:
            response.headers.setdefault(HEADER, unsigned)

    return add


def temporary_file() -> tempfile.SpooledTemporaryFile[bytes]:
    """Return a file that is in memory while it is small."""
    return tempfile.SpooledTemporaryFile(max_size=MEMORY_BYTES)


async def encode(
    encoder: Encoder, sample_rate_hz: int, pcm: IO[bytes], data_bytes: int, target: IO[bytes]
) -> None:
    """Write PCM to a file in a format."""

    def run() -> None:
        target.write(encoder.header(sample_rate_hz, data_bytes))
        while block := pcm.read(BLOCK_BYTES):
            target.write(encoder.encode(block))
        target.write(encoder.end())

    await on_thread(run)


async def send_file(
    request: web.Request,
    file: IO[bytes],
    headers: Mapping[str, str],
    content_type: str,
    *,
    patience_s: float,
) -> web.StreamResponse:
    """Send a file with its length. Raises ListenerStalled."""
    response = web.StreamResponse(headers=headers)
    response.content_type = content_type
    response.content_length = file.seek(0, io.SEEK_END)
    file.seek(0)
    await response.prepare(request)
    block = await on_thread(file.read, BLOCK_BYTES)
    while following := await on_thread(file.read, BLOCK_BYTES):
        await write(response, block, patience_s)
        block = following
    await write_last(request, response, block, patience_s)
    return response
