"""`python -m benchmarks.embedded_engine`: how fast the embedded engine is on this machine, as a Markdown table.

Medians of several runs in one process, the first left out. The reference clip is 12 s of a stock voice, so that nothing
need be fetched; its content does not change the time that enrolment takes. Run it on an idle machine.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from services.common.audio.clip import Clip, Samples
from services.synth_worker.engines.embedded.engine import (
    EmbeddedEngine,
    EmbeddedSettings,
    LoadedVoice,
)
from services.synth_worker.engines.embedded.rendering import graph
from services.synth_worker.engines.embedded.rendering.audio_models import best_runtime
from services.synth_worker.engines.protocol import Utterance

RATE_HZ = 24_000
SHORT = "The garden is behind the old house."
LONG = (
    "Most of the visitors came by train, although the road to the harbour had been repaired in spring, "
    "and nobody noticed the small boat that had come in during the night."
)


@dataclass
class Timings:
    """Seconds, one entry a run."""

    first: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)
    audio: list[float] = field(default_factory=list)

    @property
    def real_time_factor(self) -> float:
        """Return the median of processing time divided by audio time."""
        return statistics.median(
            whole / audio for whole, audio in zip(self.whole, self.audio, strict=True)
        )


def speak(engine: EmbeddedEngine, voice: LoadedVoice, text: str, into: Timings) -> Samples:
    """Speak one sentence and note its times."""
    begun = time.perf_counter()
    sentence = engine.open(Utterance(text, "en", 1), voice)
    heard: list[Samples] = []
    while not (step := engine.step([sentence])[0]).done:
        heard.append(step.samples)
        if len(heard) == 1:
            into.first.append(time.perf_counter() - begun)
    into.whole.append(time.perf_counter() - begun)
    samples = np.concatenate(heard)
    into.audio.append(len(samples) / RATE_HZ)
    return samples


def repeated(runs: int, one: Callable[[Timings], object]) -> Timings:
    """Run `one` a first time for nothing, and `runs` times for the record."""
    one(Timings())
    timings = Timings()
    for _ in range(runs):
        one(timings)
    return timings


def enrolment_seconds(engine: EmbeddedEngine, clip: Clip, runs: int) -> float:
    """Median time to compute a voice from a clip."""
    spent = []
    for _ in range(runs + 1):
        begun = time.perf_counter()
        engine.condition([clip])
        spent.append(time.perf_counter() - begun)
    return statistics.median(spent[1:])


def resident_mebibytes() -> float:
    """Resident memory of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def measure(cache: Path, threads: int, runs: int) -> str:
    """Measure everything; answers the Markdown table."""
    graph.cut_graphs(cache, best_runtime())  # so that the load is an ordinary one
    engine = EmbeddedEngine(EmbeddedSettings(cache=cache, threads=threads))
    begun = time.perf_counter()
    engine.load()
    loaded = time.perf_counter() - begun
    stock = engine.restore(engine.stock_voice(120.0))
    clip = Clip(np.tile(speak(engine, stock, LONG, Timings()), 2)[: 12 * RATE_HZ], RATE_HZ)
    voice = engine.restore(engine.condition([clip]))
    short = repeated(runs, lambda timings: speak(engine, voice, SHORT, timings))
    long = repeated(runs, lambda timings: speak(engine, voice, LONG, timings))
    rows = [
        ("real-time factor, long sentence", f"{long.real_time_factor:.2f}"),
        ("real-time factor, short sentence", f"{short.real_time_factor:.2f}"),
        (
            f"first audio, short sentence ({short.audio[0]:.1f} s)",
            f"{statistics.median(short.first) * 1000:.0f} ms",
        ),
        (
            f"first audio, long sentence ({long.audio[0]:.1f} s)",
            f"{statistics.median(long.first) * 1000:.0f} ms",
        ),
        ("enrolment, 12 s reference", f"{enrolment_seconds(engine, clip, runs) * 1000:.0f} ms"),
        ("load, weights already joined", f"{loaded:.1f} s"),
        ("resident memory after that", f"{resident_mebibytes():.0f} MiB"),
    ]
    engine.close()
    return "\n".join(
        ["| figure | median |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)]
    )


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.embedded_engine", description=__doc__
    )
    parser.add_argument(
        "--cache", type=Path, default=Path.home() / ".cache" / "voice-cloning", metavar="FOLDER"
    )
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1), metavar="N")
    parser.add_argument("--runs", type=int, default=7, metavar="N")
    options = parser.parse_args()
    table = measure(options.cache, options.threads, options.runs)
    load = os.getloadavg()[0]
    print(
        f"{os.cpu_count()} cores, {options.threads} threads, {options.runs} runs, load average {load:.1f}\n\n{table}"
    )


if __name__ == "__main__":
    main()
