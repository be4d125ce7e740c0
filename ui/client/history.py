"""The results of one browser that the service stores."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ui.client.service import Service
from ui.errors import Refusal
from ui.text.markup import is_ssml, without_markup

MOST: Final = 20  # results that are listed


@dataclass(frozen=True)
class StoredResult:
    """A stored result, and what it was made of."""

    id: str
    created: str  # RFC 3339
    expires: str
    seconds: float
    revision: int  # how often a sentence was spoken again
    text: str
    language: str
    voice: str  # of the library or built-in, without its revision; empty: recordings
    seed: int | None
    parameters: Mapping[str, float | str] = field(default_factory=dict)
    pronunciations: Mapping[str, str] = field(default_factory=dict)
    voices: Mapping[str, str] = field(default_factory=dict)  # of a dialogue: name -> voice

    @property
    def words(self) -> str:
        """Return its text in one line, without markup."""
        text = without_markup(self.text) if is_ssml(self.text) else self.text
        return " ".join(text.split())


def result_of(job: Mapping[str, Any], request: Mapping[str, Any]) -> StoredResult:
    """Return a result, of `GET /jobs/{id}` and `GET /jobs/{id}/request`."""
    return StoredResult(
        id=str(job["id"]),
        created=str(job.get("created", "")),
        expires=str(job.get("expires", "")),
        seconds=float(job.get("audio_seconds", 0.0)),
        revision=int(job.get("revision", 0)),
        text=str(request.get("text", "")),
        language=str(request.get("language", "")),
        voice=str(request.get("voice", "")).partition("@")[0],
        seed=request.get("seed"),
        parameters=dict(request.get("parameters", {})),
        pronunciations=dict(request.get("pronunciations", {})),
        voices={
            name: str(voice).partition("@")[0] for name, voice in request.get("voices", {}).items()
        },
    )


def results(
    service: Service, label: str, requests: dict[str, Mapping[str, Any]]
) -> list[StoredResult]:
    """Return the latest results with this label, newest first. Raises Refusal.

    `requests`: those that were read before, by id, as they never change; new ones are added.
    """
    jobs = service.stored_requests(label, MOST)
    for job in jobs:
        if job["id"] not in requests:
            try:
                requests[job["id"]] = service.job_request(job["id"])
            except Refusal as refusal:
                if not refusal.gone:
                    raise
                requests[job["id"]] = {}  # deleted or expired since
    return [result_of(job, requests[job["id"]]) for job in jobs if requests[job["id"]]]
