"""The server-sent events of a job (WHATWG HTML, 9.2): sentences, marks and the end."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from services.common.wire.messages import JobProgress
from services.common.wire.parts import Mark
from services.http_edge.http.jobs.job_body import job_body
from services.http_edge.jobs.events import WatchedJob
from services.http_edge.jobs.store import ENDED
from services.http_edge.speech.marks import SpokenTimeline

KEEPALIVE: Final = b": still there\n\n"  # a comment, so that proxies keep the connection open
_BYTES_PER_SAMPLE: Final = 2


@dataclass
class EventCursor:
    """The position of one client in the events of a job."""

    watched: WatchedJob
    reported: int  # sentences whose events the client has received
    kept_s: float  # retention of results
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
            events.append(_event(progress.state, job_body(progress, self.kept_s), progress.spoken))

        return events

    async def _sentences(self, progress: JobProgress, marks: dict[int, list[Mark]]) -> list[bytes]:
        events: list[bytes] = []
        lengths = await self.watched.lengths(progress.spoken)

        for index in range(self.added, progress.spoken):
            self.timeline.add(lengths[index] // _BYTES_PER_SAMPLE, progress.sample_rate_hz)
            if index < self.reported:
                continue

            body = job_body(progress, self.kept_s)
            body["state"] = "running"
            body["spoken"] = index + 1
            body["audio_seconds"] = round(self.timeline.seconds, 3)
            events += _mark_events(self.timeline, marks.get(index, []))
            events.append(_event("progress", body, index + 1))

        self.added = max(self.added, progress.spoken)
        self.reported = max(self.reported, progress.spoken)
        return events


def _mark_events(timeline: SpokenTimeline, marks: list[Mark]) -> list[bytes]:
    """Return the events of located marks. They have no id, so a client that reconnects can receive them again."""
    located = [timeline.locate(mark) for mark in marks]
    return [_event("mark", mark) for mark in located if mark is not None]


def _event(name: str, content: Mapping[str, Any], event_id: int | None = None) -> bytes:
    id_line = "" if event_id is None else f"id: {event_id}\n"
    return f"event: {name}\n{id_line}data: {json.dumps(content)}\n\n".encode()


def last_event_id(request: web.Request) -> int:
    """Return the number of sentences that the client has received, from `Last-Event-ID`; 0 if invalid."""
    given = request.headers.get("Last-Event-ID", "")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 10 else 0
