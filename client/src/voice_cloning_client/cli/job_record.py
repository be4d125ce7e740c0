"""The ids of submitted jobs, in a file of this account: services of earlier releases have no list of jobs.

It holds addresses and ids, no texts. A file that cannot be read or written is ignored.
"""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

_MOST: Final = 200  # ids per service


def ids(url: str) -> list[str]:
    """Return the ids of jobs that were submitted to this service, oldest first."""
    return _read().get(url, [])


def add(url: str, job: str) -> None:
    """Remember a job."""
    record = _read()
    record[url] = [*(known for known in record.get(url, []) if known != job), job][-_MOST:]
    _write(record)


def remove(url: str, job: str) -> None:
    """Forget a job."""
    record = _read()
    if job in record.get(url, []):
        record[url].remove(job)
        _write(record)


def _path() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "voice-cloning" / "jobs.json"


def _read() -> dict[str, list[str]]:
    try:
        record = json.loads(_path().read_text("utf-8"))
        return {str(url): [str(job) for job in jobs] for url, jobs in record.items()}
    except (OSError, ValueError, AttributeError, TypeError, RuntimeError):
        return {}


def _write(record: dict[str, list[str]]) -> None:
    with suppress(OSError, RuntimeError):
        path = _path()
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(record), "utf-8")
        temporary.replace(path)
