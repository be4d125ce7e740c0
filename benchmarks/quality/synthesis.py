"""Has the engine speak everything, in its own virtualenv, and only what has changed since the last run."""

import json
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
import soundfile

from benchmarks.quality.references import Samples

REPOSITORY: Final = Path(__file__).parents[2]


@dataclass(frozen=True)
class Job:
    """One sentence in one voice: a speaker's id, or "high" or "low" for the language's stock voice."""

    voice: str
    language: str
    text: str


@dataclass(frozen=True)
class Spoken:
    """A sentence that has been spoken, and what that cost."""

    samples: Samples  # float32 [n], mono, 24 kHz
    enrolment_s: float
    first_audio_s: float
    total_s: float
    rss_mb: float


NO_CHANGES: Final[Mapping[str, float]] = MappingProxyType({})


def speak(
    jobs: Iterable[Job],
    cache: Path,
    python: Path,
    clips: dict[str, Path],
    strength: Mapping[str, float] = NO_CHANGES,
) -> dict[Job, Spoken]:
    """Speak every job by `benchmarks.quality.speak` under another interpreter. Raises where the engine fails.

    `strength`: what strength.py changes in the engine.
    """
    wanted = list(dict.fromkeys(jobs))
    with tempfile.TemporaryDirectory() as folder:
        plan_file, answer = Path(folder) / "plan.json", Path(folder) / "answer.json"
        plan = {
            "cache": str(cache),
            "clips": {voice: str(path) for voice, path in clips.items()},
            "jobs": [asdict(job) for job in wanted],
            "strength": dict(strength),
            "answer": str(answer),
        }
        plan_file.write_text(json.dumps(plan), encoding="utf-8")
        command = [str(python), "-m", "benchmarks.quality.speak", str(plan_file)]
        subprocess.run(command, cwd=REPOSITORY, check=True)
        paths = json.loads(answer.read_text(encoding="utf-8"))
    return {job: _kept(Path(path)) for job, path in zip(wanted, paths, strict=True)}


def _kept(path: Path) -> Spoken:
    samples, _ = soundfile.read(path, dtype="float32")
    facts = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    return Spoken(samples=np.asarray(samples, np.float32), **facts)
