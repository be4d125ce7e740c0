"""Service times of a worker, read from the tables that the other benchmarks made."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).parent.parent / "RESULTS.md"


@dataclass(frozen=True)
class WorkerSpeed:
    """The speed of one worker; entry n - 1 is that with n sentences at once."""

    sound_a_second: tuple[float, ...]  # made by all of them together, in seconds
    first_audio_s: tuple[float, ...]  # from the start of the last of them to its first audio

    @property
    def slots(self) -> int:
        """Sentences that it takes at once."""
        return len(self.sound_a_second)

    @property
    def capacity(self) -> float:
        """Return seconds of audio per second with every slot taken."""
        return self.sound_a_second[-1]


def xtts(precision: str, results: str) -> WorkerSpeed:
    """Return a one-thread worker of the XTTS engine, straight lines between what was measured.

    Raises ValueError where the results have no such rows.
    """
    rows = re.findall(
        rf"^\| {precision}, (\d+) at once \| ([\d.]+) \|.*\| ([\d.]+) s \|", results, re.MULTILINE
    )
    if not rows:
        raise ValueError(
            f"benchmarks/RESULTS.md has no rows of {precision}: run `task bench:xtts` and put them there"
        )
    return _filled(
        {int(count): (1 / float(factor), float(first_s)) for count, factor, first_s in rows}
    )


def embedded(results: str) -> WorkerSpeed:
    """Return a two-thread worker of the embedded engine. Raises ValueError where the results have no such rows.

    It renders one sentence a step: with two at once they share its speed, and a first step waits for the other's.
    """
    factor = re.search(r"^\| real-time factor, long sentence \| ([\d.]+) \|", results, re.MULTILINE)
    first = re.search(r"^\| first audio, long sentence .*\| (\d+) ms \|", results, re.MULTILINE)
    if factor is None or first is None:
        raise ValueError(
            "benchmarks/RESULTS.md has no rows of the embedded engine: run `task bench:engine`"
        )
    sound, first_s = 1 / float(factor[1]), int(first[1]) / 1000
    return _filled({1: (sound, first_s), 2: (sound, 2 * first_s)})


def _filled(points: Mapping[int, tuple[float, float]]) -> WorkerSpeed:
    counts = sorted(points)
    every = range(1, counts[-1] + 1)
    sound, first_s = (
        np.interp(every, counts, [points[count][value] for count in counts]) for value in (0, 1)
    )
    return WorkerSpeed(tuple(sound.tolist()), tuple(first_s.tolist()))
