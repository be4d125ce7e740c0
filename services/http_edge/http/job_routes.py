"""Jobs over HTTP: long texts, synthesized in the background."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, cast

import msgspec
from aiohttp import web
from msgspec import UNSET

from services.common.bus.ports import Bus
from services.common.wire.failures import SpeechCancelled
from services.common.wire.messages import JobProgress
from services.common.wire.parts import Mark
from services.http_edge.auth.guard import expect_later
from services.http_edge.context import REQUEST_ID, tenant_of_caller
from services.http_edge.encoders.registry import WAV, OutputFormat
from services.http_edge.errors import EdgeStops, JobEnded
from services.http_edge.http.audio_response import AudioResponse, requested_format, write
from services.http_edge.http.bodies import Job
from services.http_edge.http.ranges import ByteRange, not_modified, range_applies, requested_range
from services.http_edge.intake.acceptance import Acceptor
from services.http_edge.intake.idempotency import checked_id
from services.http_edge.intake.stages import StoredRequest
from services.http_edge.jobs.events import JobEvents, WatchedJob
from services.http_edge.jobs.results_quota import SENTENCE_BYTES, ResultsQuota
from services.http_edge.jobs.runner import JobWork, record_end, submit
from services.http_edge.jobs.store import ENDED, JobStore
from services.http_edge.settings import Settings
from services.http_edge.speech.commands import cancel
from services.http_edge.speech.marks import SpokenTimeline

_KEEPALIVE: Final = b": still there\n\n"  # a comment, so that proxies keep the connection open
_BYTES_PER_SAMPLE: Final = 2


@dataclass(frozen=True)
class JobRoutes:
    """The handlers and their dependencies."""

    bus: Bus
    store: JobStore
    results_quota: ResultsQuota
    work: JobWork
    acceptor: Acceptor
    job_events: JobEvents
    settings: Settings
    draining: asyncio.Event

    def add_to(self, app: web.Application) -> None:
        """Register every path."""
        app.router.add_post("/jobs", self.submit, name="jobs", expect_handler=expect_later)
        app.router.add_get("/jobs/{id}", self.show)
        app.router.add_delete("/jobs/{id}", self.delete)
        app.router.add_get("/jobs/{id}/events", self.events, allow_head=False)
        app.router.add_get("/jobs/{id}/audio", self.audio, name="job_audio")

    async def submit(self, request: web.Request) -> web.Response:
        """`POST /jobs`: queue a text of any length."""
        headers: dict[str, str] = {}

        async with self.acceptor.accepted(request) as accepted:
            if isinstance(accepted, StoredRequest):
                await self._queue(accepted)
                headers["X-Seed"] = str(accepted.request.seed)

            if accepted.warnings:
                headers["X-Reference-Warning"] = "; ".join(accepted.warnings)

        progress = await self.store.require(tenant_of_caller(request), request[REQUEST_ID])
        headers["Location"] = f"/jobs/{progress.job}"
        return web.json_response(_job_body(progress), status=202, headers=headers)

    async def show(self, request: web.Request) -> web.Response:
        """`GET /jobs/{id}`: state and progress."""
        tenant = tenant_of_caller(request)
        progress = await self.store.require(tenant, checked_id(request.match_info["id"]))
        return web.json_response(_job_body(progress))

    async def _queue(self, stored: StoredRequest) -> None:
        """Reserve space for the results of a job, and queue it. Raises ResultsFull, and what `submit` raises."""
        tenant = stored.request.tenant
        job = stored.request.request
        size = round(2 * stored.sample_rate_hz * stored.audio_s) + SENTENCE_BYTES
        await self.results_quota.reserve(tenant, job, size, stored.request.deadline_unix_ms)

        submitted = False
        try:
            await submit(self.bus, stored.request)
            submitted = True
            stored.mark_published()
        finally:
            if not submitted:
                await asyncio.shield(self.results_quota.settle(tenant, job, 0))

    async def delete(self, request: web.Request) -> web.Response:
        """`DELETE /jobs/{id}`: cancel a queued or running job and free its audio; delete one that has ended."""
        tenant = tenant_of_caller(request)
        job = checked_id(request.match_info["id"])
        progress = await self.store.require(tenant, job)

        if progress.state in ENDED:
            await asyncio.shield(self.work.forget(tenant, progress))
            return web.json_response(_job_body(progress), status=202)

        requests = self.store.records
        await requests.cancel(tenant, job)
        await cancel(
            self.bus,
            tenant,
            job,
            *await requests.attempts(tenant, job),
            reason="the client cancelled it",
        )

        progress = await self.store.require(tenant, job)

        if progress.state == "queued":
            progress = msgspec.structs.replace(progress, state="cancelled")
            await asyncio.shield(self.work.end(tenant, progress))
            record_end(
                self.acceptor.metrics,
                tenant,
                progress,
                http_status=SpeechCancelled.http_status,
            )

        return web.json_response(_job_body(progress), status=202)

    async def events(self, request: web.Request) -> web.StreamResponse:
        """`GET /jobs/{id}/events`: server-sent events (WHATWG HTML, 9.2) for sentences, marks and the end."""
        tenant = tenant_of_caller(request)
        job = checked_id(request.match_info["id"])
        patience_s = self.settings.listener_timeout_s

        async with self.job_events.following(self.store, tenant, job) as watched:
            await watched.first()

            cursor = _EventCursor(watched, _last_event_id(request))
            marks: dict[int, list[Mark]] | None = None
            response = web.StreamResponse(
                headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
            )
            response.content_type = "text/event-stream"
            await response.prepare(request)

            async for progress in watched.changes(self.draining):
                if progress is None:
                    await write(response, _KEEPALIVE, patience_s)
                    continue

                if marks is None and progress.spoken:
                    marks = await self.store.marks(tenant, job)

                for event in await cursor.events(progress, marks or {}):
                    await write(response, event, patience_s)

            await response.write_eof()
            return response

    async def audio(self, request: web.Request) -> web.StreamResponse:
        """`GET /jobs/{id}/audio`: the audio of a job, as WAV or in the format of `response_format`.

        If it is done, with a length and ranges; while it runs, as it is produced.
        """
        tenant = tenant_of_caller(request)
        output = requested_format(request)
        progress = await self.store.require(tenant, checked_id(request.match_info["id"]))

        if progress.state in ("failed", "cancelled"):
            raise _ended(progress)

        if progress.state == "done":
            return await self._send_complete(request, tenant, output, progress)

        async with self.job_events.following(self.store, tenant, progress.job) as watched:
            return await self._send_live(request, tenant, output, watched)

    async def _send_complete(
        self, request: web.Request, tenant: str, output: OutputFormat, progress: JobProgress
    ) -> web.StreamResponse:
        lengths = await self.store.lengths(tenant, progress.job, progress.spoken)
        await self.store.audio(
            tenant, progress.job, 0
        )  # fails early: the oldest is the first to expire

        header_bytes = output.format.header_bytes or 0
        size = header_bytes + sum(lengths)
        etag = _etag(progress, output)
        if not_modified(request.headers.get("If-None-Match"), etag):
            return web.Response(status=304, headers={"ETag": etag})

        applies = output.has_offsets and range_applies(request.headers.get("If-Range"), etag)
        requested = requested_range(request.headers.get("Range"), size) if applies else None

        audio = self._audio(request, output, progress)
        headers = {"ETag": etag, "Accept-Ranges": "bytes" if output.has_offsets else "none"}
        await audio.begin(headers, data_bytes=sum(lengths), byte_range=requested)

        if request.method != "HEAD":
            wanted = requested or ByteRange(0, size)
            pcm_range = ByteRange(
                max(0, wanted.start - header_bytes), max(0, wanted.end - header_bytes)
            )

            async for pcm in self._stored(tenant, progress.job, lengths, pcm_range):
                await audio.write(pcm)

        return await audio.finish()

    def _audio(
        self, request: web.Request, output: OutputFormat, progress: JobProgress
    ) -> AudioResponse:
        return AudioResponse(
            request,
            output,
            sample_rate_hz=progress.sample_rate_hz,
            patience_s=self.settings.listener_timeout_s,
        )

    async def _stored(
        self, tenant: str, job: str, lengths: list[int], wanted: ByteRange
    ) -> AsyncIterator[bytes]:
        """Yield a range of a job's PCM. `lengths`: bytes of each sentence."""
        begin = 0  # of the sentence in the PCM

        for sentence, length in enumerate(lengths):
            start = max(wanted.start, begin)
            end = min(wanted.end, begin + length)

            if start < end:
                yield (await self.store.audio(tenant, job, sentence))[start - begin : end - begin]

            begin += length

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

            sent = progress.spoken

        if progress.state in ("failed", "cancelled"):
            raise _ended(progress)

        if progress.state != "done" or audio is None:
            raise EdgeStops("this server is shutting down; request the audio again")

        return await audio.finish()


def _etag(progress: JobProgress, output: OutputFormat) -> str:
    """Return the validator of a job's audio; each format has its own."""
    rate = output.rate(progress.sample_rate_hz)
    variant = "" if output == WAV else f"-{output.format.name}-{rate}"
    return f'"{progress.job}-{progress.samples}{variant}"'


@dataclass
class _EventCursor:
    """The position of one client in the events of a job."""

    watched: WatchedJob
    reported: int  # sentences whose events the client has received
    timeline: SpokenTimeline = field(default_factory=lambda: SpokenTimeline(0))
    added: int = 0  # sentences in the timeline

    async def events(self, progress: JobProgress, marks: dict[int, list[Mark]]) -> list[bytes]:
        """Return the events since the last call: each new sentence after its marks, and the end of the job.

        `marks`: by the index of their sentence.
        """
        events: list[bytes] = []
        done = progress.state == "done"

        if progress.spoken > self.reported or (done and marks):
            events += await self._sentences(progress, marks)

        if done:
            events += _mark_events(self.timeline, marks.get(progress.spoken, []))

        if progress.state in ENDED:
            events.append(_event(progress.state, _job_body(progress), progress.spoken))

        return events

    async def _sentences(self, progress: JobProgress, marks: dict[int, list[Mark]]) -> list[bytes]:
        events: list[bytes] = []
        lengths = await self.watched.lengths(progress.spoken)

        for index in range(self.added, progress.spoken):
            self.timeline.add(lengths[index] // _BYTES_PER_SAMPLE, progress.sample_rate_hz)
            if index < self.reported:
                continue

            body = _job_body(progress)
            body["state"] = "running"
            body["spoken"] = index + 1
            body["audio_seconds"] = round(self.timeline.seconds, 3)
            events += _mark_events(self.timeline, marks.get(index, []))
            events.append(_event("progress", body, index + 1))

        self.added = progress.spoken
        self.reported = max(self.reported, progress.spoken)
        return events


def _mark_events(timeline: SpokenTimeline, marks: list[Mark]) -> list[bytes]:
    """Return the events of located marks. They have no id, so a client that reconnects can receive them again."""
    located = [timeline.locate(mark) for mark in marks]
    return [_event("mark", mark) for mark in located if mark is not None]


def _job_body(progress: JobProgress) -> Job:
    """Return the JSON representation of a job."""
    rate_hz = progress.sample_rate_hz

    body = {
        "id": progress.job,
        "state": progress.state,
        "voice": None if progress.voice is UNSET else progress.voice,
        "sentences": progress.sentences or None,
        "spoken": progress.spoken,
        "audio_seconds": round(progress.samples / rate_hz, 3) if rate_hz else 0.0,
        "created": _rfc3339(progress.created_unix_ms),
        "deadline": _rfc3339(progress.deadline_unix_ms),
        "estimated_end": _rfc3339(progress.estimated_end_unix_ms),
        "code": progress.code or None,
        "detail": progress.detail or None,
    }

    return cast(Job, {name: value for name, value in body.items() if value is not None})


def _rfc3339(unix_ms: int | None) -> str | None:
    if unix_ms is None:
        return None

    return datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat(timespec="milliseconds")


def _event(name: str, content: Mapping[str, Any], event_id: int | None = None) -> bytes:
    id_line = "" if event_id is None else f"id: {event_id}\n"
    return f"event: {name}\n{id_line}data: {json.dumps(content)}\n\n".encode()


def _last_event_id(request: web.Request) -> int:
    """Return the number of sentences that the client has received, from `Last-Event-ID`; 0 if invalid."""
    given = request.headers.get("Last-Event-ID", "")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 10 else 0


def _ended(progress: JobProgress) -> JobEnded:
    why = f" ({progress.code}: {progress.detail})" if progress.code else ""
    return JobEnded(
        f"the job was {progress.state} after {progress.spoken} sentences{why}; post it again"
    )
