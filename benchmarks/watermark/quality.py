"""`python -m benchmarks.watermark.quality`: what the watermark changes, by the instruments of benchmarks/quality.

Runs in the environment of the quality benchmark, on the sentences that `python -m benchmarks.watermark` has
synthesized: each with and without the mark. Differences are given with the 95 % interval of their mean.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.quality import score
from benchmarks.quality.instruments import ENCODERS, Instruments
from benchmarks.quality.sources import cache_folder
from benchmarks.watermark.speech import RATE_HZ, language_of, stored, texts
from services.common.audio.clip import Samples
from services.common.audio.watermark.marking import mark

_OPINIONS: Final = ("sig", "bak", "ovrl", "p808")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=5, help="sentences of a language")
    parser.add_argument("--without-words", action="store_true", help="no speech recognition")
    cache = Path.home() / ".cache" / "voice-cloning-pipeline"
    parser.add_argument("--cache", type=Path, default=cache)
    arguments = parser.parse_args()
    instruments = Instruments(cache_folder(), threads=1)

    names = _chosen(stored(arguments.cache), arguments.each)
    rows: dict[str, list[float]] = {}
    for count, (name, samples) in enumerate(names.items(), 1):
        for figure, change in _changes(instruments, samples).items():
            rows.setdefault(figure, []).append(change)
        if not arguments.without_words:
            rows.setdefault("CER", []).append(_errors_added(instruments, name, samples))
        if count % 10 == 0 or count == len(names):
            print(
                f"{count} sentences\n| figure | mean change | 95 % | deviation |\n|---|---|---|---|"
            )
            print("\n".join(_row(figure, changes) for figure, changes in rows.items()), flush=True)


def _chosen(speech: Mapping[str, Samples], each: int) -> dict[str, Samples]:
    """Return the first sentences of each language, the languages in turn."""
    by_language: dict[str, list[str]] = {}
    for name in speech:
        by_language.setdefault(language_of(name), []).append(name)
    turns = [
        names[turn] for turn in range(each) for names in by_language.values() if turn < len(names)
    ]
    return {name: speech[name] for name in turns}


def _changes(instruments: Instruments, samples: Samples) -> dict[str, float]:
    marked = mark(samples, RATE_HZ)
    before, after = instruments.opinion(samples), instruments.opinion(marked)
    changes = {f"DNSMOS {name}": after[name] - before[name] for name in _OPINIONS}
    voices, marked_voices = instruments.voice(samples), instruments.voice(marked)
    for name in ENCODERS:
        changes[f"1 - cosine, {name}"] = 1 - float(np.dot(voices[name], marked_voices[name]))
    return changes


def _errors_added(instruments: Instruments, name: str, samples: Samples) -> float:
    language = language_of(name)
    text = texts()[language][int(name.split("-")[1])]
    before, after = (
        score.character_errors(text, instruments.transcript(one, language), language)
        for one in (samples, mark(samples, RATE_HZ))
    )
    return after - before


def _row(figure: str, changes: list[float]) -> str:
    mean = np.mean(changes)
    deviation = np.std(changes)
    half = 1.96 * deviation / np.sqrt(len(changes))
    return (
        f"| {figure} | {mean:+.4f} | {mean - half:+.4f} to {mean + half:+.4f} | {deviation:.4f} |"
    )


if __name__ == "__main__":
    main()
