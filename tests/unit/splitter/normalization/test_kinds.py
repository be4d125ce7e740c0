"""Ordinary text of the kinds that users reported, in every language: abbreviations, dashes, prices, times, notes."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from services.splitter.segmentation.sentences import split

FOLDER = Path(__file__).with_name("kinds")


class Case(NamedTuple):
    language: str
    kind: str
    written: str
    spoken: str  # the sentences, with " | " between them


def cases() -> Iterator[Case]:
    for path in sorted(FOLDER.glob("*.toml")):
        for kind, lines in tomllib.loads(path.read_text(encoding="utf-8")).items():
            for line in lines.strip().splitlines():
                written, spoken = line.split(" → ")
                yield Case(path.stem, kind, written.replace("⏎", "\n"), spoken)


def spoken(text: str, language: str) -> str:
    return " | ".join(
        sentence.spoken for sentence in split(text, language, max_characters=400).sentences
    )


@pytest.mark.parametrize(
    "case", list(cases()), ids=lambda case: f"{case.language}-{case.kind}-{case.written}"
)
def test_ordinary_text_is_spoken_as_a_reader_would_read_it(case: Case) -> None:
    said = spoken(case.written, case.language)
    assert said[:1].casefold() + said[1:] == case.spoken[:1].casefold() + case.spoken[1:]
