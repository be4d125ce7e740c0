"""Jobs over HTTP: long texts, synthesized in the background."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec
from aiohttp import web

from services.common.audio.wav import HEADER_BYTES
from services.common.bus.ports import Bus
from services.common.wire.failures import SpeechCancelled
from services.common.wire.messages import JobProgress, Mark
from services.http_edge.auth.guard import by, expect_later
from services.http_edge.context import REQUEST_ID
from services.http_edge.errors import EdgeStops, JobEnded
from services.http_edge.http.audio_response import AudioResponse, write
from services.http_edge.http.encoders import WavEncoder
from services.http_edge.http.ranges import ByteRange, range_applies, requested_range
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


@dataclass(frozen=True)
class JobRoutes:
    """The handlers, and what they work with."""

    bus: Bus
    store: JobStore
    room: ResultsQuota
    work: JobWork
    acceptor: Acceptor
    news: JobEvents
    settings: Settings
    draining: asyncio.Event

    @classmethod
    def add_to(cls, app: web.Application, desk_of: Callable[[web.Request], "JobRoutes"]) -> None:
        """Register every path."""
        at = by(desk_of)
        app.router.add_post("/jobs", at(cls.submit), name="jobs", expect_handler=expect_later)
        app.router.add_get("/jobs/{id}", at(cls.show))
        app.router.add_delete("/jobs/{id}", at(cls.delete))
        app.router.add_get("/jobs/{id}/events", at(cls.events), allow_head=False)
        app.router.add_get("/jobs/{id}/audio", at(cls.audio), name="job_audio")

    async def submit(self, request: web.Request) -> web.Response:
        """`POST /jobs`: queue a text of any length."""
        async with self.acceptor.accepted(request) as accepted:
            told: dict[str, str] = {}
            if isinstance(accepted, StoredRequest):
                await self._queue(accepted)
                told = {"X-Seed": str(accepted.request.seed)}
            if accepted.warnings:
                told["X-Reference-Warning"] = "; ".join(accepted.warnings)
        progress = await self.store.require(request[REQUEST_ID])
        told["Location"] = f"/jobs/{progress.job}"
        return web.json_response(_shown(progress), status=202, headers=told)

    async def show(self, request: web.Request) -> web.Response:
        """`GET /jobs/{id}`: how far it is."""
        return web.json_response(
            _shown(await self.store.require(checked_id(request.match_info["id"])))
        )

    async def _queue(self, stored: StoredRequest) -> None:
        """Queue a job within the results quota. Raises ResultsFull, and what `submit` raises."""
        job = stored.request.request
        size = round(2 * stored.sample_rate_hz * stored.audio_s) + SENTENCE_BYTES
        await self.room.reserve(job, size, stored.request.deadline_unix_ms)

        submitted = False
        try:
            await submit(self.bus, stored.request)
            submitted = True
            stored.mark_published()
        finally:
            if not submitted:
                await asyncio.shield(self.room.settle(job, 0))

    async def delete(self, request: web.Request) -> web.Response:
        """`DELETE /jobs/{id}`: stop one that waits or runs, and free its audio; forget one that has ended."""
        job = checked_id(request.match_info["id"])
        progress = await self.store.require(job)
        if progress.state in ENDED:
            await asyncio.shield(self.work.forget(progress))
            return web.json_response(_shown(progress), status=202)
        records = self.store.records
        await records.cancel(job)
        await cancel(
            self.bus,
            records.tenant,
            job,
            *await records.runs(job),
            reason="the client cancelled it",
        )
        progress = await self.store.require(job)
        if progress.state == "queued":
            progress = msgspec.structs.replace(progress, state="cancelled")
            await asyncio.shield(self.work.end(progress))
            record_end(
                self.acceptor.metrics,
                records.tenant,
                progress,
                http_status=SpeechCancelled.http_status,
            )
        return web.json_response(_shown(progress), status=202)

    async def events(self, request: web.Request) -> web.StreamResponse:
        """`GET /jobs/{id}/events`: server-sent events (WHATWG HTML, 9.2): sentences, marks, and the end."""
        job = checked_id(request.match_info["id"])
        patience_s = self.settings.listener_timeout_s
        async with self.news.following(self.store, job) as watched:
            await watched.first()
            telling, marks = _Telling(watched, _last_told(request)), None
            response = web.StreamResponse(
                headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
            )
            response.content_type = "text/event-stream"
            await response.prepare(request)
            async for progress in watched.changes(self.draining):
                if progress is None:
                    await write(response, b": still there\n\n", patience_s)
                    continue
                if marks is None and progress.spoken:
                    marks = await self.store.marks(job)
                for event in await telling.news(progress, marks or {}):
                    await write(response, event, patience_s)
            await response.write_eof()
            return response

    async def audio(self, request: web.Request) -> web.StreamResponse:
        """`GET /jobs/{id}/audio`: the WAV of a job that is done, in ranges; of one that runs, what comes."""
        progress = await self.store.require(checked_id(request.match_info["id"]))
        if progress.state in ("failed", "cancelled"):
            raise _ended(progress)
        if progress.state == "done":
            return await self._whole(request, progress)
        async with self.news.following(self.store, progress.job) as watched:
            return await self._so_far(request, watched)

    async def _whole(self, request: web.Request, progress: JobProgress) -> web.StreamResponse:
        lengths = await self.store.lengths(progress.job, progress.spoken)
        await self.store.audio(progress.job, 0)  # the oldest, so the first to expire
        size = HEADER_BYTES + sum(lengths)
        etag = f'"{progress.job}-{progress.samples}"'
        applies = range_applies(request.headers.get("If-Range"), etag)
        requested = requested_range(request.headers.get("Range"), size) if applies else None

        audio = self._audio(request, progress)
        headers = {"ETag": etag, "Accept-Ranges": "bytes"}
        await audio.begin(headers, data_bytes=sum(lengths), byte_range=requested)

        if request.method != "HEAD":
            wanted = requested or ByteRange(0, size)
            pcm_range = ByteRange(
                max(0, wanted.start - HEADER_BYTES), max(0, wanted.end - HEADER_BYTES)
            )

            async for pcm in self._stored(progress.job, lengths, pcm_range):
                await audio.write(pcm)

        return await audio.finish()

    def _audio(self, request: web.Request, progress: JobProgress) -> AudioResponse:
        return AudioResponse(
            request,
            WavEncoder(),
            sample_rate_hz=progress.sample_rate_hz,
            patience_s=self.settings.listener_timeout_s,
        )

    async def _stored(
        self, job: str, lengths: list[int], wanted: ByteRange
    ) -> AsyncIterator[bytes]:
        """Yield these bytes of a job's PCM."""
        begin = 0

        for sentence, length in enumerate(lengths):
            start = max(wanted.start, begin)
            end = min(wanted.end, begin + length)

            if start < end:
                yield (await self.store.audio(job, sentence))[start - begin : end - begin]

            begin += length

    async def _so_far(self, request: web.Request, watched: WatchedJob) -> web.StreamResponse:
        """Send the stored sentences, and the others as they arrive; a job that fails cuts the body."""
        audio: AudioResponse | None = None
        sent = 0
        progress = await watched.first()

        async for change in watched.changes(self.draining):
            progress = progress if change is None else change

            if audio is None and progress.spoken:
                audio = self._audio(request, progress)
                await audio.begin({})

            for sentence in range(sent, progress.spoken):
                assert audio is not None  # noqa: S101  # for the type checker
                await audio.write(await self.store.audio(progress.job, sentence))

            sent = progress.spoken

        if progress.state in ("failed", "cancelled"):
            raise _ended(progress)

        if progress.state != "done" or audio is None:
            raise EdgeStops("this server is shutting down; request the audio again")

        return await audio.finish()


@dataclass
class _Telling:
    """The position of a client in a job's events."""

    watched: WatchedJob
    reported: int  # sentences that the client has received
    sound: SpokenTimeline = field(default_factory=lambda: SpokenTimeline(0))
    added: int = 0  # sentences to the timeline

    async def news(self, progress: JobProgress, marks: dict[int, list[Mark]]) -> list[bytes]:
        """Return an event for every sentence since the last reported one, its marks before it, and for the end."""
        events: list[bytes] = []
        sound, count, done = self.sound, progress.spoken, progress.state == "done"
        if count > self.reported or (done and marks):
            lengths = await self.watched.lengths(count)
            for place in range(self.added, count):
                sound.add(lengths[place] // 2, progress.sample_rate_hz)
                if place >= self.reported:
                    shown = {
                        "state": "running",
                        "spoken": place + 1,
                        "audio_seconds": round(sound.seconds, 3),
                    }
                    events += _marked(sound, marks.get(place, []))
                    events.append(_event("progress", _shown(progress) | shown, place + 1))
            self.added, self.reported = count, max(self.reported, count)
        if done:
            events += _marked(sound, marks.get(count, []))
        if progress.state in ENDED:
            events.append(_event(progress.state, _shown(progress), count))
        return events


def _marked(sound: SpokenTimeline, marks: list[Mark]) -> list[bytes]:
    """Return the events of marks in the stored audio. They have no id: a client that reconnects gets them again."""
    return [_event("mark", placed) for mark in marks if (placed := sound.locate(mark)) is not None]


def _shown(progress: JobProgress) -> dict[str, Any]:
    """Return a job as clients see it."""
    shown = {
        "id": progress.job,
        "state": progress.state,
        "sentences": progress.sentences or None,
        "spoken": progress.spoken,
        "audio_seconds": round(progress.samples / progress.sample_rate_hz, 3)
        if progress.sample_rate_hz
        else 0.0,
        "created": _moment(progress.created_unix_ms),
        "deadline": _moment(progress.deadline_unix_ms),
        "estimated_end": _moment(progress.estimated_end_unix_ms),
        "code": progress.code or None,
        "detail": progress.detail or None,
    }
    return {name: value for name, value in shown.items() if value is not None}


def _moment(unix_ms: int | None) -> str | None:
    """Return a moment as RFC 3339 writes it."""
    return (
        None
        if unix_ms is None
        else datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat(timespec="milliseconds")
    )


def _event(name: str, content: dict[str, Any], number: int | None = None) -> bytes:
    own = "" if number is None else f"id: {number}\n"
    return f"event: {name}\n{own}data: {json.dumps(content)}\n\n".encode()


def _last_told(request: web.Request) -> int:
    """Return how many sentences the client has received, from the id of the last event that it received."""
    given = request.headers.get("Last-Event-ID", "")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 10 else 0


def _ended(progress: JobProgress) -> JobEnded:
    why = f" ({progress.code}: {progress.detail})" if progress.code else ""
    return JobEnded(
        f"the job was {progress.state} after {progress.spoken} sentences{why}; post it again"
    )
