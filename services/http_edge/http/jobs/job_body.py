"""The JSON representation of a job."""

from datetime import UTC, datetime
from typing import Any, cast

from msgspec import UNSET, UnsetType

from services.common.wire.messages import JobProgress
from services.http_edge.http.bodies import Job


def job_body(progress: JobProgress, kept_s: float) -> Job:
    """Return the JSON representation of a job. `kept_s`: retention of results."""
    rate_hz = progress.sample_rate_hz

    body = {
        "id": progress.job,
        "state": progress.state,
        "title": progress.title,
        "language": progress.language,
        "voice": progress.voice,
        "characters": progress.characters,
        "sentences": progress.sentences or None,
        "spoken": progress.spoken,
        "audio_seconds": round(progress.samples / rate_hz, 3) if rate_hz else 0.0,
        "revision": progress.revision,
        "origin": progress.origin,
        "label": progress.label,
        "created": _rfc3339(progress.created_unix_ms),
        "deadline": _rfc3339(progress.deadline_unix_ms),
        "estimated_end": _rfc3339(progress.estimated_end_unix_ms),
        "finished": _rfc3339(progress.ended_unix_ms),
        "expires": _rfc3339(_expiry_unix_ms(progress, kept_s)),
        "code": progress.code or None,
        "detail": progress.detail or None,
    }

    return cast(Job, {name: value for name, value in body.items() if _applies(value)})


def _expiry_unix_ms(progress: JobProgress, kept_s: float) -> int | None:
    """Return when the first of the job's audio expires, or the job itself if it has none; None while it runs."""
    if progress.ended_unix_ms is UNSET:
        return None

    since_ms = progress.ended_unix_ms
    if progress.state == "done" and progress.begun_unix_ms is not UNSET:
        since_ms = progress.begun_unix_ms
    return since_ms + round(kept_s * 1000)


def _applies(value: Any) -> bool:
    return value is not None and value is not UNSET


def _rfc3339(unix_ms: int | UnsetType | None) -> str | None:
    if unix_ms is None or unix_ms is UNSET:
        return None

    return datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat(timespec="milliseconds")
