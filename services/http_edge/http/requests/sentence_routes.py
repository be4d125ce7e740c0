"""Positions of a request's sentences in its text and its audio: for subtitles and highlighting."""

from dataclasses import dataclass
from typing import Final

from aiohttp import web
from msgspec import UNSET

from services.common.bus.ports import Bus
from services.common.wire.messages import TextSplit
from services.http_edge.context import tenant_of_caller
from services.http_edge.errors import UnknownRequest
from services.http_edge.http.bodies import Sentences, SentenceTimes
from services.http_edge.http.queries import FROM_SENTENCE
from services.http_edge.intake.idempotency import checked_id
from services.http_edge.jobs.revisions import Rendition, rendition_of
from services.http_edge.jobs.store import JobStore
from services.http_edge.speech.attempt_events import stored_end, stored_split
from services.http_edge.speech.marks import SpokenTimeline
from services.http_edge.speech.request_store import RequestStore
from services.http_edge.speech.speakers import speaker_at

_BYTES_PER_SAMPLE: Final = 2
_MAX_END_MARKERS: Final = 200  # looked up per response; a client requests the next ones with `from`


@dataclass(frozen=True)
class SentenceRoutes:
    """The handler and its dependencies."""

    bus: Bus
    jobs: JobStore
    stores: tuple[RequestStore, ...]  # of requests and of jobs: they list the attempts of each

    def add_to(self, app: web.Application) -> None:
        """Register the path."""
        app.router.add_get("/requests/{id}/sentences", self.sentences)

    async def sentences(self, request: web.Request) -> web.Response:
        """`GET /requests/{id}/sentences?from=N`: the sentences from index N, and the duration of synthesized ones."""
        request_id = checked_id(request.match_info["id"])
        first = _first(request)
        tenant = tenant_of_caller(request)
        attempts = await self._attempts(tenant, request_id)

        revised = await self._revised(tenant, request_id)
        split = await (
            self.jobs.split(tenant, request_id)
            if revised
            else stored_split(self.bus, tenant, attempts)
        )
        if split is None:
            raise UnknownRequest(
                "no sentences are stored under this id: it does not exist, is not split yet, or has expired"
            )

        found = _listed(split, first)
        timeline = SpokenTimeline(first)
        for index, sentence in enumerate(found[:_MAX_END_MARKERS], first):
            if revised:
                samples = revised.lengths[index] // _BYTES_PER_SAMPLE
                rate_hz = revised.sample_rate_hz
            else:
                end = await stored_end(self.bus, tenant, attempts, index)
                if end is None:
                    break  # not synthesized, or expired
                samples = end.samples
                rate_hz = end.sample_rate_hz
                if end.fault is not UNSET:
                    sentence["fault"] = end.fault

            sentence["seconds"] = round(samples / rate_hz, 4)
            timeline.add(samples, rate_hz)

        body: Sentences = {"count": len(split.sentences), "from": first, "sentences": found}

        if split.marks:
            body["marks"] = [marked for mark in split.marks if (marked := timeline.locate(mark))]

        if split.left_out is not UNSET:
            body["left_out"] = [
                {"start": span.start, "end": span.end} for span in split.left_out.spans
            ]

        return web.json_response(body)

    async def _revised(self, tenant: str, job: str) -> Rendition | None:
        """Return the audio of a job of which sentences were replaced; None of any other."""
        progress = await self.jobs.progress(tenant, job)
        if progress is None or not progress.revision:
            return None
        return await rendition_of(self.jobs, tenant, progress)

    async def _attempts(self, tenant: str, request_id: str) -> list[str]:
        """Return the ids under which a request was published, its own id first."""
        attempts = [request_id]

        for store in self.stores:
            attempts += await store.attempts(tenant, request_id)

        return attempts


def _listed(split: TextSplit, first: int) -> list[SentenceTimes]:
    """Return the sentences from this index on, without times."""
    found: list[SentenceTimes] = [
        {"start": span.start, "end": span.end} for span in split.sentences[first:]
    ]
    for sentence, language in zip(found, split.languages[first:], strict=False):
        sentence["language"] = language
    for index, sentence in enumerate(found, first):
        if (speaker := speaker_at(split, index)) is not None:
            sentence["voice"] = speaker.voice
    return found


def _first(request: web.Request) -> int:
    """Return the index of the first requested sentence. Raises BadRequest."""
    first: int = FROM_SENTENCE.checked(request.query.get("from", "0"))
    return first
