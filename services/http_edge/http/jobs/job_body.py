"""The JSON representation of a job."""

from datetime import UTC, datetime
from typing import cast

from msgspec import UNSET

from services.common.wire.messages import JobProgress
from services.http_edge.http.bodies import Job


def job_body(progress: JobProgress) -> Job:
    """Return the JSON representation of a job."""
    rate_hz = progress.sample_rate_hz

    body = {
        "id": progress.job,
        "state": progress.state,
        "voice": None if progress.voice is UNSET else progress.voice,
        "sentences": progress.sentences or None,
        "spoken": progress.spoken,
        "audio_seconds": round(progress.samples / rate_hz, 3) if rate_hz else 0.0,
        "created": _rfc3339(progress.created_unix_ms),
        "deadline": _rfc3339(progress.deadline_unix_ms),
        "estimated_end": _rfc3339(progress.estimated_end_unix_ms),
        "code": progress.code or None,
        "detail": progress.detail or None,
    }

    return cast(Job, {name: value for name, value in body.items() if value is not None})


def _rfc3339(unix_ms: int | None) -> str | None:
    if unix_ms is None:
        return None

    return datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat(timespec="milliseconds")
