"""`python -m benchmarks.watermark`: how often the watermark is found after what happens to recordings.

Synthesizes the sentences of benchmarks/quality in all languages with the embedded engine, marks them, joins them as a
stream does, and cuts fragments of 3 to 20 s out at random. Each fragment goes through every condition. Fragments of
human recordings count false alarms. Results are stored as they come: a run that was stopped continues.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final
from zlib import crc32

import numpy as np

from benchmarks.watermark import people
from benchmarks.watermark.conditions import CONDITIONS, OTHERS, REQUIRED
from benchmarks.watermark.results import Result, Results, result_of
from benchmarks.watermark.speech import RATE_HZ, language_of, spoken, streams
from services.common.audio.clip import Clip, Samples
from services.common.audio.watermark.detection import FALSE_ALARM, detect
from services.common.audio.watermark.marking import mark

_SEED: Final = 20_240_601
_HEAD: Final = (
    "| condition | fragments | found | median log10 of the bound | worst |\n|---|---|---|---|---|"
)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fragments", type=int, default=1000, help="for each required condition")
    parser.add_argument("--others", type=int, default=300, help="for each other condition")
    parser.add_argument("--human", type=int, default=1000)
    parser.add_argument("--sentences", type=int, default=20, help="of each language")
    cache = Path.home() / ".cache" / "voice-cloning-pipeline"
    parser.add_argument("--cache", type=Path, default=cache)
    arguments = parser.parse_args()

    results = Results(arguments.cache)
    speech = spoken(arguments.cache, arguments.sentences)
    print(f"{len(speech)} sentences in {len({language_of(name) for name in speech})} languages")
    _report_cost(list(speech.values())[:20])
    fragments = Fragments(streams(speech), results)
    print(_HEAD)
    missed: list[tuple[str, Result]] = []
    counts = dict.fromkeys(REQUIRED, arguments.fragments) | {
        name: arguments.others for name in OTHERS if arguments.others
    }
    for name, count in counts.items():
        rows = [fragments.result(name, number) for number in range(count)]
        missed += [(name, row) for row in rows if not row.marked and name not in OTHERS]
        print(_row(name, rows), flush=True)
    for name, row in missed:
        print(
            f"missed: {name}, {row.source}, {row.seconds:.1f} s, bound {row.log10_false_alarm:.1f}"
        )
    if arguments.human:
        rows = list(_accused(results, arguments.cache, arguments.human))
        print(f"\n{len(rows)} fragments of human speech, limit {FALSE_ALARM:g}\n{_HEAD}")
        print(_row("human", rows))


@dataclass(frozen=True)
class Fragments:
    """Fragments of marked speech, by number: fragment n is the same in every condition but for the change."""

    joined: Sequence[Samples]  # marked recordings
    results: Results
    changed: dict[tuple[str, int], Samples] = field(default_factory=dict)  # whole recordings

    def result(self, name: str, number: int) -> Result:
        """Return the detector's answer for one fragment after a condition."""
        source = number % len(self.joined)

        def compute() -> Result:
            random = np.random.default_rng([_SEED, number, crc32(name.encode())])
            samples = self._fragment(name, source, number, random)
            return result_of(f"recording {source}", detect(Clip(samples, RATE_HZ)))

        return self.results.get(name, number, compute)

    def _fragment(
        self, name: str, source: int, number: int, random: np.random.Generator
    ) -> Samples:
        condition = CONDITIONS[name]
        where = np.random.default_rng([_SEED, number])
        if not condition.of_whole:
            return condition.change(_cut(self.joined[source], where), random)
        if (name, source) not in self.changed:
            self.changed[name, source] = condition.change(self.joined[source], random)
        return _cut(self.changed[name, source], where)


def _cut(stream: Samples, random: np.random.Generator) -> Samples:
    length = min(int(random.uniform(3, 20) * RATE_HZ), len(stream))
    start = int(random.integers(0, len(stream) - length + 1))
    return stream[start : start + length]


def _accused(results: Results, cache: Path, count: int) -> Iterator[Result]:
    for number, (package, samples) in enumerate(islice(people.fragments(cache), count)):
        yield results.get(
            "human",
            number,
            lambda package=package, samples=samples: result_of(
                package, detect(Clip(samples, RATE_HZ))
            ),
        )


def _report_cost(sentences: list[Samples]) -> None:
    started = time.process_time()
    for samples in sentences:
        mark(samples, RATE_HZ)
    seconds = sum(map(len, sentences)) / RATE_HZ
    cost_ms = (time.process_time() - started) / seconds * 1000
    print(f"marking takes {cost_ms:.1f} ms of one core for a second of audio")


def _row(name: str, rows: Sequence[Result]) -> str:
    bounds = np.array([row.log10_false_alarm for row in rows])
    share = np.mean([row.marked for row in rows])
    return f"| {name} | {len(rows)} | {share:.1%} | {np.median(bounds):.1f} | {bounds.max():.1f} |"


if __name__ == "__main__":
    main()
