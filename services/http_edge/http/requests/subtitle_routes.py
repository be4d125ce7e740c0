"""Subtitles of a request or a job."""

from collections.abc import Iterable
from dataclasses import dataclass

from aiohttp import web

from services.common.bus.ports import Bus
from services.common.wire.messages import SentenceSpoken, SpeechRequest
from services.common.wire.parts import Span
from services.http_edge.context import tenant_of_caller
from services.http_edge.errors import AudioIncomplete, JobEnded, UnknownRequest
from services.http_edge.intake.idempotency import checked_id
from services.http_edge.jobs.revisions import rendition_of
from services.http_edge.jobs.store import JobStore
from services.http_edge.speech.attempt_events import stored_ends, stored_split
from services.http_edge.speech.request_store import RequestStore
from services.http_edge.subtitles.captions import Caption, caption_of
from services.http_edge.subtitles.cues import cues
from services.http_edge.subtitles.files import FORMATS


@dataclass(frozen=True)
class SubtitleRoutes:
    """The handlers and their dependencies."""

    bus: Bus
    requests: RequestStore
    jobs: JobStore

    def add_to(self, app: web.Application) -> None:
        """Register every path."""
        kinds = "|".join(FORMATS)
        app.router.add_get(f"/requests/{{id}}/subtitles.{{format:{kinds}}}", self.of_request)
        app.router.add_get(f"/jobs/{{id}}/subtitles.{{format:{kinds}}}", self.of_job)

    async def of_request(self, request: web.Request) -> web.Response:
        """`GET /requests/{id}/subtitles.vtt` or `.srt`: of a request whose audio is complete."""
        request_id = checked_id(request.match_info["id"])
        tenant = tenant_of_caller(request)
        stored = await self.requests.request(tenant, request_id)
        if stored is None:
            raise UnknownRequest(
                "the text of this request is not stored: the id does not exist, has expired, or is that of a job "
                "(GET /jobs/{id}/subtitles.vtt)"
            )
        attempts = [request_id, *await self.requests.attempts(tenant, request_id)]
        split = await stored_split(self.bus, tenant, attempts)
        if split is None:
            raise UnknownRequest(
                "no sentences are stored under this id: the text is not split yet, or they have expired"
            )
        ends = await self._ends(tenant, attempts, len(split.sentences))
        return _file(request, _captions(stored, split.sentences, ends), ends[0].sample_rate_hz)

    async def of_job(self, request: web.Request) -> web.Response:
        """`GET /jobs/{id}/subtitles.vtt` or `.srt`: of a job that is done."""
        tenant = tenant_of_caller(request)
        progress = await self.jobs.require(tenant, checked_id(request.match_info["id"]))
        if progress.state in ("failed", "cancelled"):
            raise JobEnded(f"the job was {progress.state}, so it has no subtitles; post it again")
        if progress.state != "done":
            raise AudioIncomplete("the job is not done; retry when it is")
        captions = await (await rendition_of(self.jobs, tenant, progress)).captions()
        return _file(request, captions, progress.sample_rate_hz)

    async def _ends(self, tenant: str, attempts: list[str], count: int) -> list[SentenceSpoken]:
        """Return the end markers of all sentences. Raises AudioIncomplete."""
        ends = await stored_ends(self.bus, tenant, attempts, count)
        if ends is None:
            raise AudioIncomplete(
                "the audio of this request is not complete, or its beginning has expired; retry when it "
                "is, or GET /requests/{id}/sentences for the times so far"
            )
        return ends


def _captions(
    request: SpeechRequest, spans: Iterable[Span], ends: Iterable[SentenceSpoken]
) -> list[Caption]:
    return [caption_of(request, span, end) for span, end in zip(spans, ends, strict=True)]


def _file(request: web.Request, captions: list[Caption], sample_rate_hz: int) -> web.Response:
    chosen = FORMATS[request.match_info["format"]]
    content = chosen.write(cues(captions, sample_rate_hz))
    return web.Response(text=content, content_type=chosen.media_type, charset="utf-8")
