"""`python -m benchmarks.guard_limits`: what the guard of the XTTS engine makes of human speech, as a Markdown table.

The recordings are those of the quality benchmark, without the quiet before and after the speech. Every fault that the
guard finds in them is one too many: a natural pause or pace that it takes for a failure. Recordings without a
transcript are watched for silence alone. A slower speech stretches its pauses, so each is judged at several speeds.

A second table has the share of defects that the guard finds, made of the same recordings (`guard_defects`), with its
limits and with those of earlier releases.
"""

import statistics
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks import guard_defects
from benchmarks.guard_recordings import QUIET, Recording, collections
from benchmarks.guard_watch import expected_s, watched
from benchmarks.quality.references import RATE_HZ, Samples
from benchmarks.quality.sources import cache_folder

SPEEDS: Final = (1.0, 0.5, 0.25)


@dataclass(frozen=True)
class Verdicts:
    """The findings of the guard in the recordings of one source."""

    recordings: int
    longest_pause_s: float
    paces: tuple[float, ...]  # seconds over those expected, of recordings with a text
    faults: dict[float, Counter[str]]  # by speed

    def row(self, name: str) -> str:
        """Return a line of the table."""
        paces = sorted(self.paces)
        pace = f"{paces[0]:.2f}, {statistics.median(paces):.2f}, {paces[-1]:.2f}" if paces else "-"
        found = " | ".join(_shown(self.faults[speed]) for speed in SPEEDS)
        return f"| {name} | {self.recordings} | {self.longest_pause_s:.2f} s | {pace} | {found} |"


def judged(recordings: Iterator[Recording]) -> Verdicts:
    """Let the guard watch all recordings at all speeds."""
    count, longest_s, paces = 0, 0.0, list[float]()
    faults: dict[float, Counter[str]] = {speed: Counter() for speed in SPEEDS}
    for recording in recordings:
        count += 1
        longest_s = max(longest_s, longest_pause_s(recording.samples))
        if recording.text:
            paces.append(len(recording.samples) / RATE_HZ / expected_s(recording))
        for speed in SPEEDS:
            fault = watched(recording, speed)
            if fault:
                faults[speed][fault] += 1
    return Verdicts(count, longest_s, tuple(paces), faults)


def longest_pause_s(samples: Samples) -> float:
    """Return the longest run of samples that the guard takes for quiet."""
    loud = np.flatnonzero(np.abs(samples) > QUIET)
    return float(np.diff(loud).max(initial=0)) / RATE_HZ


def _shown(faults: Counter[str]) -> str:
    return ", ".join(f"{kind} {count}" for kind, count in sorted(faults.items())) or "none"


def main() -> None:
    """Fetch the recordings that are missing, judge them, print the tables."""
    cache = cache_folder()
    print(
        "| recordings | number | longest pause | pace: least, median, most | "
        + " | ".join(f"faults at speed {speed:g}" for speed in SPEEDS)
        + " |"
    )
    print("|---" * (4 + len(SPEEDS)) + "|", flush=True)
    for collection in collections(cache):
        print(judged(collection.recordings()).row(collection.name), flush=True)

    print("\n" + guard_defects.table(list(collections(cache))))


if __name__ == "__main__":
    main()
