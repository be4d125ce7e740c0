"""Positions of a request's sentences in its text and its audio: for subtitles and highlighting."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web
from msgspec import UNSET

from services.common.bus import topology
from services.common.bus.inbox import decoded
from services.common.bus.ports import Bus
from services.common.wire import subjects
from services.common.wire.messages import SentenceSpoken
from services.http_edge.auth.guard import by
from services.http_edge.errors import BadRequest, UnknownRequest
from services.http_edge.intake.idempotency import checked_id
from services.http_edge.speech.attempt_events import stored_split
from services.http_edge.speech.marks import SpokenTimeline
from services.http_edge.speech.request_store import RequestStore

_MOST_LOOKED_UP: Final = 200  # ends in one answer; a client asks for the next ones with `from`


@dataclass(frozen=True)
class SentenceRoutes:
    """The handler, and what it works with."""

    bus: Bus
    tenant: str
    shelves: tuple[
        RequestStore, ...
    ]  # of requests and of jobs: they know under which other ids one is spoken

    @classmethod
    def add_to(
        cls, app: web.Application, desk_of: Callable[[web.Request], "SentenceRoutes"]
    ) -> None:
        """Register the path."""
        at = by(desk_of)
        app.router.add_get("/requests/{id}/sentences", at(cls.sentences))

    async def sentences(self, request: web.Request) -> web.Response:
        """`GET /requests/{id}/sentences?from=N`: the sentences from place N on, with the seconds of those spoken."""
        wanted, first = checked_id(request.match_info["id"]), _first(request)
        runs = [wanted, *[run for shelf in self.shelves for run in await shelf.runs(wanted)]]
        split = await stored_split(self.bus, self.tenant, runs)
        if split is None:
            raise UnknownRequest(
                "no sentences are stored under this id: it never existed, is not split yet, or has expired"
            )
        found: list[dict[str, Any]] = [
            {"start": span.start, "end": span.end} for span in split.sentences[first:]
        ]
        for sentence, language in zip(found, split.languages[first:], strict=False):
            sentence["language"] = language
        sound = SpokenTimeline(first)
        for place, sentence in enumerate(found[:_MOST_LOOKED_UP], first):
            end = await self._end(runs, place)
            if end is None:
                break
            sentence["seconds"] = round(end.samples / end.sample_rate_hz, 4)
            sound.add(end.samples, end.sample_rate_hz)
        answer = {"count": len(split.sentences), "from": first, "sentences": found}
        if split.marks:
            answer["marks"] = [marked for mark in split.marks if (marked := sound.locate(mark))]
        if split.left_out is not UNSET:
            answer["left_out"] = [
                {"start": span.start, "end": span.end} for span in split.left_out.spans
            ]
        return web.json_response(answer)

    async def _end(self, runs: list[str], place: int) -> SentenceSpoken | None:
        """Return a sentence's end marker; None where it is not spoken."""
        for run in runs:
            subject = subjects.end(self.tenant, run, place)
            payload = await self.bus.last(topology.AUDIO, subject)
            end = None if payload is None else decoded(subject, payload)
            if isinstance(end, SentenceSpoken):
                return end
        return None


def _first(request: web.Request) -> int:
    """Return the index of the first requested sentence. Raises BadRequest."""
    given = request.query.get("from", "0")
    if not re.fullmatch(r"[0-9]{1,9}", given):
        raise BadRequest("`from` must be a zero-based sentence index")
    return int(given)
