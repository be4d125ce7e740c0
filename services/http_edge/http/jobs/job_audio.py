"""The audio of a job: complete with a length and ranges, or as it is produced."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

from aiohttp import web

from services.common.wire.messages import JobProgress
from services.http_edge.context import outcome_of
from services.http_edge.credentials.signing import HEADER
from services.http_edge.encoders.registry import FORMATS, WAV, OutputFormat
from services.http_edge.encoders.tags import Tags
from services.http_edge.encoders.uncompressed import WavEncoder
from services.http_edge.errors import EdgeStops, JobEnded, JobNotDone, UnknownChapter
from services.http_edge.http.audio_response import (
    CONTAINER_MARK,
    AudioResponse,
    container_mark,
)
from services.http_edge.http.jobs.signed_audio import SignedAudio
from services.http_edge.http.queries import CHAPTER
from services.http_edge.http.ranges import ByteRange, not_modified, range_applies, requested_range
from services.http_edge.http.signed_files import send_file
from services.http_edge.jobs.events import JobEvents, WatchedJob
from services.http_edge.jobs.manifests import Manifest
from services.http_edge.jobs.revisions import Rendition, rendition_of
from services.http_edge.jobs.store import JobStore
from services.http_edge.settings import Settings


@dataclass(frozen=True)
class JobAudio:
    """Sends the audio of jobs."""

    store: JobStore
    job_events: JobEvents
    settings: Settings
    draining: asyncio.Event
    signed: SignedAudio

    async def send(
        self, request: web.Request, tenant: str, output: OutputFormat, progress: JobProgress
    ) -> web.StreamResponse:
        """Send the audio of a job. Raises JobEnded if it has none, EdgeStops."""
        if progress.state in ("failed", "cancelled"):
            raise _ended(progress)

        if progress.state == "done":
            return await self._send_complete(request, tenant, output, progress)

        if requested_chapter(request) is not None:
            raise JobNotDone("the job is not done; request its chapters when it is")

        async with self.job_events.following(self.store, tenant, progress.job) as watched:
            return await self._send_live(request, tenant, output, watched)

    async def _send_complete(
        self, request: web.Request, tenant: str, output: OutputFormat, progress: JobProgress
    ) -> web.StreamResponse:
        rendition = await rendition_of(self.store, tenant, progress)
        chapter = requested_chapter(request)
        if chapter is not None:
            rendition = await self._chapter(rendition, chapter)
        await rendition.audio(0)  # fails early: the oldest is the first to expire

        version = _version(progress, output, chapter, self._tags(progress))
        whole = _Whole(request, output, progress, rendition)
        if self.signed.signs(rendition, output):
            # weak: no two signatures are equal
            return await self._send_file(whole, f'W/"{version}-{self.signed.files.certificate}"')
        if chapter is None:
            tags = self._tags(progress)
            manifest = await self.signed.manifest(rendition, output, tags, version)
            if manifest is not None:
                return await self._send_with(manifest, whole, version)
        return await self._send_plain(whole, f'"{version}"')

    async def _send_with(
        self, manifest: Manifest, whole: "_Whole", version: str
    ) -> web.StreamResponse:
        """Send a WAV with its manifest."""
        encoder = partial(WavEncoder, after=manifest.chunk)
        output = OutputFormat(replace(FORMATS["wav"], encoder=encoder))
        etag = f'"{version}-{manifest.digest}"'
        return await self._send_plain(whole._replace(output=output), etag, manifest.how)

    async def _send_file(self, whole: "_Whole", etag: str) -> web.StreamResponse:
        """Encode and sign the audio, then send it; without a manifest if that is not possible."""
        request, output, progress, rendition = whole
        if request.method == "HEAD" or not_modified(request.headers.get("If-None-Match"), etag):
            return await self._send_plain(whole, etag, self.signed.files.name)

        rate_hz = progress.sample_rate_hz
        tags = self._tags(progress)
        encoder = output.encoder(rate_hz, tags)
        size = sum(rendition.lengths)
        async with self.signed.signed(rendition, encoder, size) as file:
            if file is None:
                return await self._send_plain(whole, etag)
            outcome = outcome_of(request)
            outcome.sample_rate_hz = rate_hz
            outcome.audio_bytes = size
            headers = {
                "ETag": etag,
                "Accept-Ranges": "none",
                "X-Sample-Rate": str(output.rate(rate_hz)),
                CONTAINER_MARK: container_mark(tags, encoder),
                HEADER: file.how,
            }
            return await send_file(
                request,
                file.content,
                headers,
                encoder.content_type,
                patience_s=self.settings.listener_timeout_s,
            )

    async def _send_plain(
        self, whole: "_Whole", etag: str, signed: str | None = None
    ) -> web.StreamResponse:
        """Send the audio while it is read; with ranges, if the format has them.

        `signed`: how the file is signed.
        """
        request, output, progress, rendition = whole
        if not_modified(request.headers.get("If-None-Match"), etag):
            return web.Response(status=304, headers={"ETag": etag})

        lengths = rendition.lengths
        audio = self._audio(request, output, progress)
        applies = output.has_offsets and range_applies(request.headers.get("If-Range"), etag)
        header_bytes = output.format.header_bytes or 0
        size = audio.size(sum(lengths))
        requested = requested_range(request.headers.get("Range"), size) if applies else None

        headers = {"ETag": etag, "Accept-Ranges": "bytes" if output.has_offsets else "none"}
        if signed is not None:
            headers[HEADER] = signed
        await audio.begin(headers, data_bytes=sum(lengths), byte_range=requested)

        if request.method != "HEAD":
            wanted = requested or ByteRange(0, size)
            pcm_range = ByteRange(
                max(0, wanted.start - header_bytes), max(0, wanted.end - header_bytes)
            )

            async for pcm in _stored(rendition, pcm_range):
                await audio.write(pcm)

        return await audio.finish()

    async def _chapter(self, rendition: Rendition, index: int) -> Rendition:
        """Return the part of the audio that is a chapter. Raises UnknownChapter."""
        chapters = await self.store.chapters(rendition.tenant, rendition.job)
        if index >= len(chapters):
            raise UnknownChapter(
                f"the job has {len(chapters)} chapters; send an index of `chapters` in GET /jobs/ID, from 0"
            )
        return rendition.part(chapters[index].first, chapters[index].until)

    def _audio(
        self, request: web.Request, output: OutputFormat, progress: JobProgress
    ) -> AudioResponse:
        return AudioResponse(
            request,
            output,
            tags=self._tags(progress),
            sample_rate_hz=progress.sample_rate_hz,
            patience_s=self.settings.listener_timeout_s,
        )

    def _tags(self, progress: JobProgress) -> Tags | None:
        return Tags.of(self.settings, engine=progress.engine or "", request_id=progress.job)

    async def _send_live(
        self, request: web.Request, tenant: str, output: OutputFormat, watched: WatchedJob
    ) -> web.StreamResponse:
        """Send the stored sentences, and the others as they are produced; a failure of the job cuts the body."""
        audio: AudioResponse | None = None
        sent = 0
        progress = await watched.first()

        async for change in watched.changes(self.draining):
            progress = progress if change is None else change

            if audio is None and progress.spoken:
                audio = self._audio(request, output, progress)
                await audio.begin({})
                if request.method == "HEAD":
                    return await audio.finish()

            for sentence in range(sent, progress.spoken):
                assert audio is not None  # noqa: S101  # for the type checker
                await audio.write(await self.store.audio(tenant, progress.job, sentence))

            sent = max(sent, progress.spoken)

        if progress.state in ("failed", "cancelled"):
            raise _ended(progress)

        if progress.state != "done" or audio is None:
            raise EdgeStops("this server is shutting down; request the audio again")

        return await audio.finish()


class _Whole(NamedTuple):
    """The request of all audio of a job that is done, or of a chapter."""

    request: web.Request
    output: OutputFormat
    progress: JobProgress
    rendition: Rendition


async def _stored(rendition: Rendition, wanted: ByteRange) -> AsyncIterator[bytes]:
    """Yield a range of a job's PCM."""
    begin = 0  # of the sentence in the PCM

    for sentence, length in enumerate(rendition.lengths):
        start = max(wanted.start, begin)
        end = min(wanted.end, begin + length)

        if start < end:
            yield (await rendition.audio(sentence))[start - begin : end - begin]

        begin += length


def requested_chapter(request: web.Request) -> int | None:
    """Return the index of the chapter in the query; None: the whole audio. Raises BadRequest."""
    chapter: int | None = CHAPTER.value(request.query)
    return chapter


def _version(
    progress: JobProgress, output: OutputFormat, chapter: int | None, tags: Tags | None
) -> str:
    """Return the name of a file; each format, revision and chapter has its own, and other tags."""
    rate = output.rate(progress.sample_rate_hz)
    variant = "" if output == WAV else f"-{output.format.name}-{rate}"
    part = "" if chapter is None else f"-c{chapter}"
    revision = f"-r{progress.revision}" if progress.revision else ""
    tagged = "" if tags is None else f"-{tags.digest}"
    return f"{progress.job}-{progress.samples}{revision}{part}{variant}{tagged}"


def _ended(progress: JobProgress) -> JobEnded:
    why = f" ({progress.code}: {progress.detail})" if progress.code else ""
    return JobEnded(
        f"the job was {progress.state} after {progress.spoken} sentences{why}; post it again"
    )
