"""The list of jobs, and what a job was made of."""

import re
import time
from dataclasses import dataclass
from typing import Final, cast, get_args

import msgspec
from aiohttp import web
from msgspec import UNSET

from services.common.wire.fields import LABEL_PATTERN, JobOrigin, JobState
from services.common.wire.messages import SpeechRequest
from services.common.wire.options import TextOptions
from services.common.wire.parameters import given
from services.http_edge.context import tenant_of_caller
from services.http_edge.errors import BadRequest
from services.http_edge.http.bodies import JobRequest, Jobs
from services.http_edge.http.jobs.job_body import job_body
from services.http_edge.intake.forms.form_fields import Field, page_limit
from services.http_edge.intake.idempotency import checked_id
from services.http_edge.jobs.job_list import (
    CURSOR_PATTERN,
    MOST_LISTED,
    QUEUED,
    JobFilter,
    JobList,
    parse_cursor,
)
from services.http_edge.jobs.store import JobStore
from services.http_edge.settings import Settings

_STATES: Final = get_args(JobState)
_ORIGINS: Final = (QUEUED, *get_args(JobOrigin))


def _states(sent: str) -> tuple[str, ...]:
    states = tuple(sent.split(","))
    if not set(states) <= set(_STATES):
        raise BadRequest(f"state must be one or more of {', '.join(_STATES)}, with commas between")
    return states


def _origin(sent: str) -> str:
    if sent not in _ORIGINS:
        raise BadRequest(f"origin must be {' or '.join(_ORIGINS)}")
    return sent


def _label(sent: str) -> str:
    if not re.fullmatch(LABEL_PATTERN, sent):
        raise BadRequest("label must have 1 to 64 letters, digits, _ and -")
    return sent


_LIMIT: Final = page_limit("jobs per page", MOST_LISTED)
QUERY: Final = (
    _LIMIT,
    Field(
        "after",
        "`next` of the previous page",
        {"type": "string", "pattern": f"^{CURSOR_PATTERN}$"},
        parse_cursor,
    ),
    Field(
        "state",
        "only jobs in this state, or in one of several with commas between",
        {"type": "string", "examples": ["done", "queued,running"]},
        _states,
        default=(),
    ),
    Field(
        "origin",
        "only jobs that were queued as jobs, or only those stored from finished requests",
        {"type": "string", "enum": list(_ORIGINS)},
        _origin,
        default="",
    ),
    Field(
        "label",
        "only jobs with this label",
        {"type": "string", "pattern": f"^{LABEL_PATTERN}$"},
        _label,
        default="",
    ),
)


@dataclass(frozen=True)
class JobListRoutes:
    """The handlers and their dependencies."""

    jobs: JobList
    store: JobStore
    settings: Settings

    def add_to(self, app: web.Application) -> None:
        """Register every path."""
        app.router.add_get("/jobs", self.page, name="job_list")
        app.router.add_get("/jobs/{id}/request", self.request)

    async def page(self, request: web.Request) -> web.Response:
        """`GET /jobs`: the tenant's jobs, newest first."""
        query = {field.name: field.value(request.query) for field in QUERY}
        longest_s = self.settings.job_results_kept_s + self.settings.job_timeout_s
        found = await self.jobs.page(
            tenant_of_caller(request),
            limit=query["limit"],
            after=query["after"],
            wanted=JobFilter(query["state"], query["origin"], query["label"]),
            oldest_unix_ms=round((time.time() - longest_s) * 1000),
        )

        kept_s = self.settings.job_results_kept_s
        body: Jobs = {"jobs": [job_body(progress, kept_s) for progress in found.jobs]}
        if found.next is not None:
            body["next"] = found.next
        return web.json_response(body)

    async def request(self, request: web.Request) -> web.Response:
        """`GET /jobs/{id}/request`: the text of a job, and how it was to be spoken."""
        tenant = tenant_of_caller(request)
        progress = await self.store.require(tenant, checked_id(request.match_info["id"]))
        stored = await self.store.request(tenant, progress.job)
        return web.Response(
            body=msgspec.json.encode(request_body(stored)),
            content_type="application/json",
            headers={"Cache-Control": "no-store"},
        )


def request_body(stored: SpeechRequest) -> JobRequest:
    """Return the JSON representation of a job's request. Its names are those of the form."""
    options = TextOptions.of(stored).fields()
    body = {
        "text": stored.text,
        "language": stored.language,
        "seed": stored.seed,
        "enable_text_splitting": options.pop("split"),
        **options,
        "parameters": given(stored.parameters),
        "engine": stored.engine,
        "voice": stored.voice,
        "voices": {speaker.name: speaker.voice for speaker in stored.voices}
        if stored.voices
        else UNSET,
        "recordings": len(stored.clips) or UNSET,
        "title": stored.title,
        "chapters": [msgspec.structs.asdict(chapter) for chapter in stored.chapters]
        if stored.chapters
        else UNSET,
    }
    return cast(JobRequest, {name: value for name, value in body.items() if value is not UNSET})
