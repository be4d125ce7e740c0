"""A job as an audio book: one file with its title and chapters."""

import asyncio
import io
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import IO, Final

from aiohttp import web

from services.common.wire.messages import JobProgress
from services.http_edge.context import tenant_of_caller
from services.http_edge.credentials.signing import HEADER
from services.http_edge.encoders.books import (
    M4B_BIT_RATE,
    Book,
    BookChapter,
    BookMp3Encoder,
    M4bEncoder,
)
from services.http_edge.encoders.ffmpeg import Mp3Encoder
from services.http_edge.encoders.registry import FORMATS, Format, OutputFormat
from services.http_edge.encoders.tags import Tags
from services.http_edge.errors import TooManyRequests
from services.http_edge.http.audio_response import (
    CONTAINER_MARK,
    AudioResponse,
    container_mark,
)
from services.http_edge.http.jobs.signed_audio import SignedAudio
from services.http_edge.http.ranges import not_modified
from services.http_edge.http.signed_files import send_file
from services.http_edge.intake.idempotency import checked_id
from services.http_edge.jobs.chapters import timed
from services.http_edge.jobs.redo import require_done
from services.http_edge.jobs.revisions import Rendition, rendition_of
from services.http_edge.jobs.store import JobStore
from services.http_edge.settings import Settings
from services.http_edge.transport.threads import on_thread

BOOK_FORMATS: Final = {"m4b": "audio/mp4", "mp3": "audio/mpeg"}
_MOST_ENCODED: Final = 2  # M4B files at once, at this edge


@dataclass(frozen=True)
class BookRoutes:
    """The handler and its dependencies."""

    store: JobStore
    settings: Settings
    signed: SignedAudio
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_MOST_ENCODED))

    def add_to(self, app: web.Application) -> None:
        """Register the path."""
        kinds = "|".join(BOOK_FORMATS)
        app.router.add_get(f"/jobs/{{id}}/book.{{format:{kinds}}}", self.book, allow_head=False)

    async def book(self, request: web.Request) -> web.StreamResponse:
        """`GET /jobs/{id}/book.m4b` or `.mp3`: of a job that is done."""
        tenant = tenant_of_caller(request)
        kind = request.match_info["format"]
        progress = require_done(
            await self.store.require(tenant, checked_id(request.match_info["id"]))
        )
        tags = Tags.of(self.settings, engine=progress.engine or "", request_id=progress.job)
        tagged = "" if tags is None else f"-{tags.digest}"
        etag = f'"{progress.job}-{progress.samples}-r{progress.revision or 0}-{kind}{tagged}"'
        if self.signed.files.credentials is not None:
            etag = f"W/{etag}"  # no two signatures are equal
        if not_modified(request.headers.get("If-None-Match"), etag):
            return web.Response(status=304, headers={"ETag": etag})

        rendition = await rendition_of(self.store, tenant, progress)
        await rendition.audio(0)  # fails early: the oldest is the first to expire
        book = await self._described(progress, rendition)
        headers = {
            "ETag": etag,
            "Accept-Ranges": "none",
            "Content-Disposition": f'attachment; filename="{progress.job}.{kind}"',
        }
        if kind == "mp3":
            return await self._send_mp3(request, rendition, book, headers, tags)
        return await self._send_m4b(request, rendition, book, headers, tags)

    async def _described(self, progress: JobProgress, rendition: Rendition) -> Book:
        chapters = (
            await self.store.chapters(rendition.tenant, rendition.job) if progress.chapters else ()
        )
        rate_hz = rendition.sample_rate_hz
        return Book(
            progress.title or None,
            [
                BookChapter(
                    chapter.title,
                    round(1000 * chapter.first_sample / rate_hz),
                    round(1000 * chapter.end_sample / rate_hz),
                )
                for chapter in timed(chapters, rendition.lengths)
            ],
        )

    async def _send_mp3(
        self,
        request: web.Request,
        rendition: Rendition,
        book: Book,
        headers: dict[str, str],
        tags: Tags | None,
    ) -> web.StreamResponse:
        """Send an MP3: signed, or if it is long while it is encoded."""
        media_type = BOOK_FORMATS["mp3"]
        size = _bytes(rendition, Mp3Encoder.bit_rate)
        if self.signed.files.accepts(size, media_type):
            made = BookMp3Encoder(book, tags)
            async with self.signed.signed(rendition, made, size) as file:
                if file is not None:
                    signed_headers = {
                        **headers,
                        "X-Sample-Rate": str(rendition.sample_rate_hz),
                        CONTAINER_MARK: container_mark(tags, made),
                        HEADER: file.how,
                    }
                    return await self._send_file(request, file.content, signed_headers, media_type)

        mp3 = FORMATS["mp3"]
        encoder = partial(BookMp3Encoder, book)
        output = OutputFormat(Format(mp3.name, encoder, mp3.media_types))
        audio = AudioResponse(
            request,
            output,
            tags=tags,
            sample_rate_hz=rendition.sample_rate_hz,
            patience_s=self.settings.listener_timeout_s,
        )
        await audio.begin(headers)
        for index in range(len(rendition.lengths)):
            await audio.write(await rendition.audio(index))
        return await audio.finish()

    async def _send_m4b(
        self,
        request: web.Request,
        rendition: Rendition,
        book: Book,
        headers: dict[str, str],
        tags: Tags | None,
    ) -> web.StreamResponse:
        """Encode an M4B to a temporary file, then send it. Raises TooManyRequests, InsufficientStorage."""
        if self._slots.locked():
            raise TooManyRequests("too many books are being encoded; retry later, or request mp3")

        files = self.signed.files
        copies = 1 if files.credentials is None else 2
        with self.signed.space.hold() as hold:
            hold.add(copies * _most_bytes(rendition))
            async with _encoded(self._slots, rendition, book, tags) as (file, mark):
                with tempfile.TemporaryFile() as signed:
                    headers = {**headers, CONTAINER_MARK: mark}
                    media_type = BOOK_FORMATS["m4b"]
                    if files.accepts(file.seek(0, io.SEEK_END), media_type):
                        headers[HEADER] = await files.sign(file, signed, media_type)
                    sent = signed if HEADER in headers else file
                    return await self._send_file(request, sent, headers, media_type)

    async def _send_file(
        self, request: web.Request, file: IO[bytes], headers: dict[str, str], media_type: str
    ) -> web.StreamResponse:
        return await send_file(
            request, file, headers, media_type, patience_s=self.settings.listener_timeout_s
        )


def _bytes(rendition: Rendition, bit_rate: int) -> int:
    return round(sum(rendition.lengths) / 2 / rendition.sample_rate_hz * bit_rate / 8)


def _most_bytes(rendition: Rendition) -> int:
    """Return about the size of an M4B, rather too large."""
    return round(_bytes(rendition, M4B_BIT_RATE) * 1.25) + 1024 * 1024


@asynccontextmanager
async def _encoded(
    slots: asyncio.Semaphore, rendition: Rendition, book: Book, tags: Tags | None
) -> AsyncIterator[tuple[IO[bytes], str]]:
    """Yield a temporary file with the M4B, and how it is marked."""
    with tempfile.TemporaryFile() as file:
        encoder = M4bEncoder(book, file, tags)
        async with slots:
            await on_thread(encoder.header, rendition.sample_rate_hz, None)
            for index in range(len(rendition.lengths)):
                await on_thread(encoder.encode, await rendition.audio(index))
            await on_thread(encoder.end)
        yield file, container_mark(tags, encoder)
