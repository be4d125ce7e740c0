"""Dockerfiles as data: as much of the format as the images use."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "deploy" / "images"
NAMES = sorted(path.name.removesuffix(".Dockerfile") for path in IMAGES.glob("*.Dockerfile"))


@dataclass(frozen=True)
class Step:
    """One instruction: `COPY`, and the rest of its lines, joined."""

    word: str
    rest: str


@dataclass(frozen=True)
class Dockerfile:
    """The instructions before the first FROM, then those of each stage, its FROM included."""

    head: tuple[Step, ...]
    stages: tuple[tuple[Step, ...], ...]

    @property
    def last(self) -> tuple[Step, ...]:
        """The stage that is shipped."""
        return self.stages[-1]

    def environment(self) -> dict[str, str]:
        """Return what ENV sets in the image."""
        pairs = [pair for step in self.last if step.word == "ENV" for pair in step.rest.split()]
        return dict(pair.split("=", 1) for pair in pairs)

    def one(self, word: str) -> str:
        """Return the rest of the only such instruction of the last stage."""
        (step,) = [step for step in self.last if step.word == word]
        return step.rest

    def healthcheck(self) -> tuple[str, list[str]]:
        """Return the options and the command."""
        options, command = self.one("HEALTHCHECK").split("CMD", 1)
        return options.strip(), json.loads(command)


def dockerfile(name: str) -> Dockerfile:
    """Read the Dockerfile of an image."""
    stages: list[list[Step]] = [[]]
    for step in _steps((IMAGES / f"{name}.Dockerfile").read_text()):
        if step.word == "FROM":
            stages.append([])
        stages[-1].append(step)
    return Dockerfile(tuple(stages[0]), tuple(tuple(stage) for stage in stages[1:]))


def _steps(text: str) -> Iterator[Step]:
    lines = [
        line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")
    ]
    for instruction in re.sub(r"\s*\\\n\s*", " ", "\n".join(lines)).splitlines():
        word, rest = instruction.split(maxsplit=1)
        yield Step(word, rest)
