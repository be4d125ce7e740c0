"""`python -m benchmarks.guard_limits`: what the guard of the XTTS engine makes of human speech, as a Markdown table.

The recordings are those of the quality benchmark, without the quiet before and after the speech. Every fault that the
guard finds in them is one too many: a natural pause or pace that it takes for a failure. Recordings without a
transcript are watched for silence alone. A slower speech stretches its pauses, so each is judged at several speeds.
"""

import re
import statistics
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.quality.references import RATE_HZ, Samples, load
from benchmarks.quality.sources import cache_folder, packages, unpacked
from services.synth_worker.engines.xtts.decoder.guard import CODES_PER_SECOND, RunawayGuard

SPEEDS: Final = (1.0, 0.5, 0.25)
_STEP_S: Final = 0.1  # between two looks of the guard; the engine's are longer
_MOST_CODES: Final = 602
_QUIET: Final = 10 ** (-50 / 20)  # as the guard's
_VARIED: Final = [
    (7 * index * index + index) % 1000 for index in range(10 * _MOST_CODES)
]  # no loop
_SHORTEST_S: Final = 1.0
_LONGEST_S: Final = 25.0  # more is no sentence
_PROMPTS: Final = (
    ("en", "asterisk-core-sounds-en-g722"),
    ("es", "asterisk-core-sounds-es-g722"),
    ("fr", "asterisk-core-sounds-fr-g722"),
    ("it", "asterisk-core-sounds-it-g722"),
    ("ru", "asterisk-core-sounds-ru-g722"),
)


@dataclass(frozen=True)
class Recording:
    """One sentence of a person."""

    language: str
    samples: Samples
    text: str = ""  # empty: unknown


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


def watched(recording: Recording, speed: float) -> str | None:
    """Return the fault that the guard finds in a recording that is played at this speed; None if it finds none."""
    characters = len(recording.text) or 10 * _MOST_CODES  # without a text no length is judged
    guard = RunawayGuard(characters, recording.language, RATE_HZ, 10 * _MOST_CODES, speed=speed)
    slow = np.repeat(recording.samples, round(1 / speed))
    step = round(_STEP_S * RATE_HZ)
    codes: list[int] = []
    for begin in range(0, len(slow), step):
        guard.add_audio(slow[begin : begin + step])
        # the codes are those of the speech before it is slowed down
        codes = _VARIED[: round((begin + step) / RATE_HZ * speed * CODES_PER_SECOND)]
        fault = guard.fault(codes, stopped=False)
        if fault:
            return fault
    return guard.fault(codes, stopped=True) if recording.text else None


def expected_s(recording: Recording) -> float:
    """Return how long the guard expects the text to be."""
    one = RunawayGuard(1_000, recording.language, RATE_HZ, 10**9)
    return len(recording.text) / 1_000 * one.expected_s


def longest_pause_s(samples: Samples) -> float:
    """Return the longest run of samples that the guard takes for quiet."""
    loud = np.flatnonzero(np.abs(samples) > _QUIET)
    return float(np.diff(loud).max(initial=0)) / RATE_HZ


def trimmed(samples: Samples) -> Samples:
    """Return the recording from its first to its last sample that is not quiet."""
    loud = np.flatnonzero(np.abs(samples) > _QUIET)
    return samples[loud[0] : loud[-1] + 1] if len(loud) else samples[:0]


def _shown(faults: Counter[str]) -> str:
    return ", ".join(f"{kind} {count}" for kind, count in sorted(faults.items())) or "none"


def _recordings(language: str, paths: dict[Path, str]) -> Iterator[Recording]:
    for path, text in paths.items():
        if not path.stat().st_size:
            continue
        samples = trimmed(load(path))
        if _SHORTEST_S <= len(samples) / RATE_HZ <= _LONGEST_S:
            yield Recording(language, samples, text)


def _read_sentences(root: Path) -> dict[Path, str]:
    """Return the 620 Russian sentences of festvox-ru with their texts; "+" marks a stress."""
    folder = root / "usr/share/festival/voices/russian/msu_ru_nsh_clunits"
    lines = (folder / "etc/txt.done.data").read_text(encoding="utf-8").splitlines()
    found = [re.fullmatch(r'\( (\S+) "(.*)" \)', line.strip()) for line in lines]
    return {
        folder / "wav" / f"{match[1]}.wav": match[2].replace("+", "") for match in found if match
    }


def _novel(root: Path) -> dict[Path, str]:
    """Return the five sentences of a LibriVox reading with their texts."""
    folder = root / "usr/share/pocketsphinx/test/data/librivox"
    lines = (folder / "transcription").read_text(encoding="utf-8").splitlines()
    found = [re.fullmatch(r"<s> (.*) </s> \((.*)\)", line.strip()) for line in lines]
    return {folder / f"{match[2]}.wav": match[1] for match in found if match}


def main() -> None:
    """Fetch the recordings that are missing, judge them, print a table."""
    table, cache = packages(), cache_folder()
    roots = {name: unpacked(table[name], cache) for name in table}
    print(
        "| recordings | number | longest pause | pace: least, median, most | "
        + " | ".join(f"faults at speed {speed:g}" for speed in SPEEDS)
        + " |"
    )
    print("|---" * (4 + len(SPEEDS)) + "|", flush=True)
    russian, novel = _read_sentences(roots["festvox-ru"]), _novel(roots["pocketsphinx-testdata"])
    print(judged(_recordings("ru", russian)).row("ru, read sentences"), flush=True)
    print(judged(_recordings("en", novel)).row("en, a novel"), flush=True)
    for language, package in _PROMPTS:
        paths = dict.fromkeys(sorted(roots[package].glob("usr/share/asterisk/sounds/*/*.g722")), "")
        print(judged(_recordings(language, paths)).row(f"{language}, prompts"), flush=True)


if __name__ == "__main__":
    main()
