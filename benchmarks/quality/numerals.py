"""Intelligibility of figures, dates and prices: `python -m benchmarks.quality.numerals`, in `.venv-quality`.

The normalization cases of tests/unit/splitter, four to a text, are spoken by the embedded engine in one cloned voice:
as they are written, which leaves them to the engine's own reading, and as the splitter verbalizes them. whisper-base
transcribes them, figures as figures, so each transcript is verbalized by the splitter before it is compared with
the forms that the cases' sources demand. Prints the error rates before and after.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import soundfile
import soxr

from benchmarks.quality import score
from benchmarks.quality.recogniser import Recogniser
from benchmarks.quality.references import RATE_HZ
from benchmarks.quality.sources import cache_folder
from benchmarks.quality.synthesis import REPOSITORY, Job, Spoken, speak
from services.common.wire.languages import LANGUAGES
from tests.unit.splitter.normalization.said import CLASSES, cases

VOICE: Final = REPOSITORY / "examples" / "voices" / "austen.flac"
_EVERY: Final = 4  # of the twenty cases of a class


class Text(NamedTuple):
    """Four cases, one of each class."""

    language: str
    written: tuple[str, ...]
    said: str  # the expected spoken form


def texts(language: str) -> list[Text]:
    """Return the texts of a language."""
    by_class = [
        [case for case in cases(language) if case.kind == kind][::_EVERY] for kind in CLASSES
    ]
    return [
        Text(language, tuple(case.written for case in four), "; ".join(case.said for case in four))
        for four in zip(*by_class, strict=True)
    ]


def verbalised(python: Path, pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Verbalize each (language, text) by `benchmarks.quality.verbalise` under the product's interpreter."""
    command = [str(python), "-m", "benchmarks.quality.verbalise"]
    done = subprocess.run(
        command,
        cwd=REPOSITORY,
        check=True,
        input=json.dumps(list(pairs)),
        capture_output=True,
        text=True,
    )
    answer: list[str] = json.loads(done.stdout)
    return answer


def errors(text: Text, heard: str) -> float:
    """Return the error rate: of kana for ja, of syllables for zh, of characters else."""
    readings = score.reading_errors(text.said, heard, text.language)
    return score.character_errors(text.said, heard, text.language) if readings is None else readings


def measure(languages: list[str], python: Path, threads: int) -> list[str]:
    """Speak and hear all texts; return the lines of a table."""
    chosen = [text for language in languages for text in texts(language)]
    cases_said = iter(
        verbalised(
            python, [(text.language, written) for text in chosen for written in text.written]
        )
    )
    after = ["; ".join(next(cases_said) for _ in text.written) for text in chosen]
    before = ["; ".join(text.written) for text in chosen]
    jobs = [
        Job("austen", text.language, said)
        for said_texts in (before, after)
        for text, said in zip(chosen, said_texts, strict=True)
    ]
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "austen.wav"
        samples, rate_hz = soundfile.read(VOICE, dtype="float32")
        soundfile.write(clip, soxr.resample(samples, rate_hz, RATE_HZ), RATE_HZ, subtype="PCM_16")
        spoken = speak(jobs, cache_folder(), python, {"austen": clip})
    heard = _heard(jobs, spoken, Recogniser(cache_folder(), threads))
    said = verbalised(
        python, [(job.language, transcript) for job, transcript in zip(jobs, heard, strict=True)]
    )
    rates = [errors(text, transcript) for text, transcript in zip(chosen * 2, said, strict=True)]
    lines = ["| language | texts | CER as written | CER as verbalized |", "|---|---|---|---|"]
    for language in languages:
        places = [place for place, text in enumerate(chosen) if text.language == language]
        lines.append(_row(language, rates, places, len(chosen)))
    return [*lines, _row("all", rates, list(range(len(chosen))), len(chosen))]


def _heard(jobs: list[Job], spoken: dict[Job, Spoken], recogniser: Recogniser) -> list[str]:
    heard = []
    for number, job in enumerate(jobs, 1):
        heard.append(recogniser.transcribe(spoken[job].samples, job.language))
        print(f"\rheard {number}/{len(jobs)}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return heard


def _row(name: str, rates: list[float], places: list[int], texts_: int) -> str:
    before = float(np.mean([rates[place] for place in places]))
    after = float(np.mean([rates[texts_ + place] for place in places]))
    return f"| {name} | {len(places)} | {before:.3f} | {after:.3f} |"


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality.numerals", description=__doc__
    )
    parser.add_argument(
        "--languages", nargs="+", choices=list(LANGUAGES), default=list(LANGUAGES), metavar="CODE"
    )
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="for the recogniser")
    default = REPOSITORY / ".venv" / "bin" / "python"
    parser.add_argument(
        "--engine-python",
        type=Path,
        default=default,
        metavar="PATH",
        help="the product's interpreter",
    )
    options = parser.parse_args()
    print("\n".join(measure(options.languages, options.engine_python, options.threads)))


if __name__ == "__main__":
    main()
