"""The sentences of a finished job: their times, and replacing one of them."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from aiohttp import web

from services.common.wire.options import Parameters
from services.common.wire.parameters import RANGES
from services.http_edge.auth.guard import caller_of, expect_later
from services.http_edge.context import tenant_of_caller
from services.http_edge.errors import BadRequest, UnknownJob, UnknownSentence
from services.http_edge.http.bodies import JobRevision, JobSentence, JobSentences
from services.http_edge.http.jobs.job_body import job_body
from services.http_edge.http.queries import FROM_SENTENCE
from services.http_edge.intake.forms.body import FORM_BYTES, BodyReader, check_multipart
from services.http_edge.intake.forms.form_fields import FIELDS, TEXT, switch
from services.http_edge.intake.forms.uploads import Uploads
from services.http_edge.intake.idempotency import checked_id
from services.http_edge.jobs.redo import Changes, Redo, require_done
from services.http_edge.jobs.revisions import rendition_of
from services.http_edge.jobs.store import JobStore
from services.http_edge.settings import Settings
from services.http_edge.speech.speakers import speaker_at

MOST_CHARACTERS: Final = 2_000  # of a sentence
_MOST_LISTED: Final = 1_000
_DECIMALS: Final = 4  # of seconds

REDO_FORM: Final = (
    replace(
        FIELDS[TEXT],
        description="other words for the sentence; default: those that it has",
        schema={"type": "string", "minLength": 1, "maxLength": MOST_CHARACTERS},
        required=False,
        longest_bytes=4 * MOST_CHARACTERS,
    ),
    replace(FIELDS["seed"], description="default: a random one"),
    replace(FIELDS["pronunciations"], description="in addition to those of the job", default=None),
    replace(
        switch("spoken_forms", "default: as in the job"),
        schema={"type": "boolean"},
        default=None,
    ),
    *(replace(FIELDS[name], default=None) for name in RANGES),
)


@dataclass(frozen=True)
class JobSentenceRoutes:
    """The handlers and their dependencies."""

    store: JobStore
    redo: Redo
    uploads: Uploads
    upload_owner: Callable[[web.Request], str]
    settings: Settings

    def add_to(self, app: web.Application) -> None:
        """Register every path."""
        app.router.add_get("/jobs/{id}/sentences", self.sentences)
        app.router.add_post(
            "/jobs/{id}/sentences/{index}", self.replace, expect_handler=expect_later
        )

    async def sentences(self, request: web.Request) -> web.Response:
        """`GET /jobs/{id}/sentences?from=N`: the sentences of a job that is done, from index N on."""
        tenant = tenant_of_caller(request)
        job = checked_id(request.match_info["id"])
        progress = require_done(await self.store.require(tenant, job))
        split = await self.store.split(tenant, job)
        if split is None:
            raise UnknownJob("the sentences of this job have expired, or were never stored")

        rendition = await rendition_of(self.store, tenant, progress)
        captions = await rendition.captions()
        first: int = FROM_SENTENCE.value(request.query)
        rate_hz = progress.sample_rate_hz
        begin = 0
        found: list[JobSentence] = []
        for index, (span, caption) in enumerate(zip(split.sentences, captions, strict=False)):
            if first <= index < first + _MOST_LISTED:
                edit = rendition.edits.get(index)
                sentence: JobSentence = {
                    "index": index,
                    "start": span.start,
                    "end": span.end,
                    "text": caption.text,
                    "begins": round(begin / rate_hz, _DECIMALS),
                    "seconds": round(caption.samples / rate_hz, _DECIMALS),
                }
                if split.languages:
                    sentence["language"] = split.languages[index]
                if (speaker := speaker_at(split, index)) is not None:
                    sentence["voice"] = speaker.voice
                if caption.fault:
                    sentence["fault"] = caption.fault
                if edit is not None:
                    sentence |= {
                        "revision": edit.revision,
                        "seed": edit.seed,
                        "digest": edit.digest,
                    }
                found.append(sentence)
            begin += caption.samples

        body: JobSentences = {
            "count": len(captions),
            "from": first,
            "revision": rendition.revision,
            "sentences": found,
        }
        return web.json_response(body)

    async def replace(self, request: web.Request) -> web.Response:
        """`POST /jobs/{id}/sentences/{index}`: speak a sentence again; the audio gets a new revision."""
        tenant = tenant_of_caller(request)
        job = checked_id(request.match_info["id"])
        index = _index(request.match_info["index"])
        require_done(await self.store.require(tenant, job))
        changes = await self._changes(request)
        after, new = await self.redo.replace(tenant, job, index, changes, caller_of(request))
        body: JobRevision = {
            "job": job_body(after, self.settings.job_results_kept_s),
            "index": index,
            "text": new.caption.text,
            "seconds": round(new.caption.samples / after.sample_rate_hz, _DECIMALS),
            "seed": new.seed,
            "digest": new.digest,
        }
        return web.json_response(body)

    async def _changes(self, request: web.Request) -> Changes:
        """Return the changes in a form; a request without a body has none. Raises BadRequest."""
        if not request.can_read_body:
            return Changes()

        names = ", ".join(field.name for field in REDO_FORM)
        check_multipart(request, largest=2 * FORM_BYTES, wanted=f"one or more of {names}")
        limits = {field.name: field.longest_bytes for field in REDO_FORM}
        reader = BodyReader(self.uploads, self.settings.upload_idle_timeout_s)
        async with reader.parts(request, self.upload_owner(request), limits) as (sent, _):
            values = {field.name: field.value(sent) for field in REDO_FORM}

        text = values[TEXT]
        if text is not None and len(text) > MOST_CHARACTERS:
            raise BadRequest(f"text must be at most {MOST_CHARACTERS} characters of one sentence")
        return Changes(
            text=text,
            seed=values["seed"],
            pronunciations=values["pronunciations"],
            spoken_forms=values["spoken_forms"],
            parameters=Parameters(**{name: values[name] for name in RANGES}),
        )


def _index(given: str) -> int:
    if not re.fullmatch(r"[0-9]{1,7}", given):
        raise UnknownSentence(
            "the sentence must be an index from 0; GET /jobs/ID/sentences lists them"
        )
    return int(given)
