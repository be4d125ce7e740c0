"""Jobs over HTTP: long texts, synthesized in the background."""

import asyncio
from dataclasses import dataclass

import msgspec
from aiohttp import web

from services.common.bus.ports import Bus
from services.common.wire.failures import SpeechCancelled
from services.common.wire.messages import JobProgress
from services.common.wire.parts import Mark
from services.http_edge.auth.guard import expect_later
from services.http_edge.context import REQUEST_ID, tenant_of_caller
from services.http_edge.http.audio_response import requested_format, write
from services.http_edge.http.bodies import Job, JobChapter
from services.http_edge.http.jobs.job_audio import JobAudio
from services.http_edge.http.jobs.job_body import job_body
from services.http_edge.http.jobs.job_event_stream import KEEPALIVE, EventCursor, last_event_id
from services.http_edge.intake.acceptance import Acceptor
from services.http_edge.intake.idempotency import checked_id
from services.http_edge.intake.stages import StoredRequest
from services.http_edge.jobs.chapters import timed
from services.http_edge.jobs.events import JobEvents
from services.http_edge.jobs.results import JobResults
from services.http_edge.jobs.results_quota import SENTENCE_BYTES
from services.http_edge.jobs.revisions import rendition_of
from services.http_edge.jobs.runner import record_end, submit
from services.http_edge.jobs.store import ENDED, JobStore
from services.http_edge.settings import Settings
from services.http_edge.speech.commands import cancel


@dataclass(frozen=True)
class JobRoutes:
    """The handlers and their dependencies."""

    bus: Bus
    results: JobResults
    acceptor: Acceptor
    job_events: JobEvents
    job_audio: JobAudio
    settings: Settings
    draining: asyncio.Event

    @property
    def store(self) -> JobStore:
        """Return the store of all jobs."""
        return self.results.store

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
        return web.json_response(self._body(progress), status=202, headers=headers)

    async def show(self, request: web.Request) -> web.Response:
        """`GET /jobs/{id}`: state and progress."""
        tenant = tenant_of_caller(request)
        progress = await self.store.require(tenant, checked_id(request.match_info["id"]))
        body = self._body(progress)
        if progress.chapters and progress.spoken and progress.state in ("running", "done"):
            body["chapters"] = await self._chapters(tenant, progress)
        return web.json_response(body)

    async def _chapters(self, tenant: str, progress: JobProgress) -> list[JobChapter]:
        chapters = await self.store.chapters(tenant, progress.job)
        rendition = await rendition_of(self.store, tenant, progress)
        times = timed(chapters, rendition.lengths)
        found: list[JobChapter] = [
            {"title": chapter.title, "start": chapter.start} for chapter in chapters
        ]
        for chapter, (_, first, end) in zip(found, times, strict=False):
            chapter["begins"] = round(first / progress.sample_rate_hz, 3)
            chapter["seconds"] = round((end - first) / progress.sample_rate_hz, 3)
        return found

    def _body(self, progress: JobProgress) -> Job:
        return job_body(progress, self.settings.job_results_kept_s)

    async def _queue(self, stored: StoredRequest) -> None:
        """Reserve space for the results of a job, and queue it. Raises ResultsFull, and what `submit` raises."""
        tenant = stored.request.tenant
        job = stored.request.request
        size = round(2 * stored.sample_rate_hz * stored.audio_s) + SENTENCE_BYTES
        await self.results.quota.reserve(tenant, job, size, stored.request.deadline_unix_ms)

        submitted = False
        try:
            await submit(self.bus, stored.request)
            submitted = True
            stored.mark_published()
        finally:
            if not submitted:
                await asyncio.shield(self.results.quota.settle(tenant, job, 0))

    async def delete(self, request: web.Request) -> web.Response:
        """`DELETE /jobs/{id}`: cancel a queued or running job and free its audio; delete one that has ended."""
        tenant = tenant_of_caller(request)
        job = checked_id(request.match_info["id"])
        progress = await self.store.require(tenant, job)

        if progress.state in ENDED:
            await asyncio.shield(self.results.forget(tenant, progress))
            return web.json_response(self._body(progress), status=202)

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
            progress = await asyncio.shield(self.results.end(tenant, progress))
            record_end(
                self.acceptor.metrics,
                tenant,
                progress,
                http_status=SpeechCancelled.http_status,
            )

        return web.json_response(self._body(progress), status=202)

    async def events(self, request: web.Request) -> web.StreamResponse:
        """`GET /jobs/{id}/events`: server-sent events (WHATWG HTML, 9.2) for sentences, marks and the end."""
        tenant = tenant_of_caller(request)
        job = checked_id(request.match_info["id"])
        patience_s = self.settings.listener_timeout_s

        async with self.job_events.following(self.store, tenant, job) as watched:
            await watched.first()

            cursor = EventCursor(watched, last_event_id(request), self.settings.job_results_kept_s)
            marks: dict[int, list[Mark]] | None = None
            response = web.StreamResponse(
                headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
            )
            response.content_type = "text/event-stream"
            await response.prepare(request)

            async for progress in watched.changes(self.draining):
                if progress is None:
                    await write(response, KEEPALIVE, patience_s)
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

        return await self.job_audio.send(request, tenant, output, progress)
