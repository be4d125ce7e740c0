"""Ordinary text of the kinds that users reported, in every language: abbreviations, dashes, prices, times, notes."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from services.common.wire.languages import LANGUAGES
from services.splitter.segmentation.sentences import split
from tests.support.cases import assert_each

FOLDER = Path(__file__).with_name("kinds")


class Case(NamedTuple):
    language: str
    kind: str
    written: str
    spoken: str  # the sentences, with " | " between them


def cases(language: str) -> Iterator[Case]:
    table = tomllib.loads((FOLDER / f"{language}.toml").read_text(encoding="utf-8"))

    for kind, lines in table.items():
        for line in lines.strip().splitlines():
            written, spoken = line.split(" → ")
            yield Case(language, kind, written.replace("⏎", "\n"), spoken)


CASES = {language: list(cases(language)) for language in LANGUAGES}
NUMBER_OF_CASES = 1_285  # no fewer: a table that is read wrongly would leave some out


def spoken(text: str, language: str) -> str:
    """Return the sentences of a text as they are spoken, without the case of their first letter."""
    said = " | ".join(
        sentence.spoken for sentence in split(text, language, max_characters=400).sentences
    )
    return said[:1].casefold() + said[1:]


def test_every_table_is_of_a_language_and_no_case_is_missing() -> None:
    assert {path.stem for path in FOLDER.glob("*.toml")} == set(LANGUAGES)
    assert sum(map(len, CASES.values())) >= NUMBER_OF_CASES


@pytest.mark.parametrize("language", LANGUAGES)
def test_ordinary_text_is_spoken_as_a_reader_would_read_it(language: str) -> None:
    assert_each(
        [
            ((case.kind, case.written), case.spoken[:1].casefold() + case.spoken[1:])
            for case in CASES[language]
        ],
        lambda given: spoken(given[1], language),
    )
