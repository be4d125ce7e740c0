"""Shared by the search and its judge: reading sentences aloud in the product's virtualenv, and the options."""

import argparse
import json
import subprocess
import tempfile
import tomllib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile

from benchmarks.quality.plan import sentences
from benchmarks.quality.references import Samples
from benchmarks.quality.search.design import Choice
from benchmarks.quality.sources import cache_folder
from benchmarks.quality.synthesis import REPOSITORY

CANDIDATES: Final = Path(__file__).with_name("candidates.toml")
STOCK: Final = ("high", "low")  # the stock voices, which read the sentences in turn
_MORE: Final = Path(__file__).with_name("sentences.toml")  # for the searches alone


@dataclass(frozen=True)
class Line:
    """A text to read aloud."""

    text: str
    voice: str  # as stock.py names them
    choice: Choice = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Read:
    """A sentence that has been read aloud."""

    samples: Samples  # 24 kHz
    words: list[tuple[str, str]]  # each with its IPA
    voice: str  # the name of a stock voice


def training_sentences(language: str) -> list[str]:
    """Return the sentences that a search is trained on."""
    more = tomllib.loads(_MORE.read_text(encoding="utf-8"))
    return [*sentences()[language], *more.get(language, ())]


def read_aloud(language: str, told: Sequence[Line], python: Path, speed: float = 1.0) -> list[Read]:
    """Read texts aloud with symbols of choice."""
    lines = [
        {
            "language": language,
            "text": line.text,
            "voice": line.voice,
            "choice": dict(line.choice),
        }
        for line in told
    ]
    with tempfile.TemporaryDirectory() as folder:
        plan_file, answer = Path(folder) / "plan.json", Path(folder) / "answer.json"
        plan = {
            "cache": str(cache_folder()),
            "lines": lines,
            "speed": speed,
            "answer": str(answer),
        }
        plan_file.write_text(json.dumps(plan), encoding="utf-8")
        command = [str(python), "-m", "benchmarks.quality.search.read", str(plan_file)]
        subprocess.run(command, cwd=REPOSITORY, check=True)
        answers: list[Any] = json.loads(answer.read_text(encoding="utf-8"))
    return [
        Read(_samples(one["path"]), [tuple(word) for word in one["words"]], one["voice"])
        for one in answers
    ]


def parser_of(
    name: str, description: str | None, languages: Collection[str]
) -> argparse.ArgumentParser:
    """Return a parser of the options that the search and its judge share."""
    parser = argparse.ArgumentParser(prog=name, description=description)
    parser.add_argument("languages", nargs="+", choices=list(languages), metavar="CODE")
    parser.add_argument(
        "--engine-python",
        type=Path,
        default=REPOSITORY / ".venv" / "bin" / "python",
        metavar="PATH",
        help="the product's interpreter",
    )
    return parser


def _samples(path: str) -> Samples:
    samples, _ = soundfile.read(path, dtype="float32")
    return np.asarray(samples, np.float32)
