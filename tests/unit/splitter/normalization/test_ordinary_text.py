"""Properties of ordinary sentences: figures are spoken once each, words and sentence ends stay,
idempotence."""

import tomllib
from pathlib import Path
from typing import Final

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from services.common.wire.languages import LANGUAGES
from services.splitter.normalization.grammar.grammar import Number, grammar
from services.splitter.normalization.reader import read
from services.splitter.segmentation.sentences import split

ORDINARY: Final[dict[str, dict[str, list[str]]]] = tomllib.loads(
    Path(__file__).with_name("ordinary.toml").read_text(encoding="utf-8")
)
UNSPACED: Final = ("zh", "ja")
STOPS: Final = {"zh": "。", "ja": "。", "hi": "।"}
SEPARATORS: Final = {"zh": ["，", "与"], "ja": ["、", "と"], "ar": ["، "], "ko": [", ", " / "]}
languages = st.sampled_from(list(LANGUAGES))


def sentence(words: list[str], language: str) -> str:
    return ("" if language in UNSPACED else " ").join(words) + STOPS.get(language, ".")


@st.composite
def prose(draw: st.DrawFn) -> tuple[str, str]:
    """Return a language and two to five sentences, each ending in a word of the traps or in a plain
    one."""
    language = draw(languages)
    table = ORDINARY[language]
    sentences = [
        sentence(
            [
                draw(st.sampled_from(table["begins"])),
                *draw(st.lists(st.sampled_from(table["words"]), min_size=2, max_size=5)),
                draw(st.sampled_from(table["traps"] + table["words"])),
            ],
            language,
        )
        for _ in range(draw(st.integers(2, 5)))
    ]
    return language, ("" if language in UNSPACED else " ").join(sentences)


@st.composite
def counted(draw: st.DrawFn) -> tuple[str, str, list[int]]:
    """Return a language, a sentence with whole numbers among its words, and the numbers."""
    language = draw(languages)
    words = st.sampled_from(ORDINARY[language]["words"])
    numbers = draw(st.lists(st.integers(32, 999), min_size=1, max_size=5))
    separators = SEPARATORS.get(language, [", ", " - ", " / ", "; "])
    gap = "" if language in UNSPACED else " "
    parts = [draw(words), gap, draw(words)]
    for number in numbers:
        before = draw(st.sampled_from([*separators, f"{gap}{draw(words)}{gap}"]))
        parts += [before if len(parts) > 3 else gap, str(number)]
    return language, "".join(parts) + gap + draw(words) + STOPS.get(language, "."), numbers


@settings(deadline=None, max_examples=400)
@given(prose())
def test_words_without_figures_or_signs_come_out_as_they_are_written(case: tuple[str, str]) -> None:
    language, text = case
    assert read(text, language).text == text


@settings(deadline=None, max_examples=300)
@given(prose())
def test_no_sentence_end_is_lost_or_added(case: tuple[str, str]) -> None:
    language, text = case
    ends = regex.compile(r"[.。।]")
    spoken = " ".join(
        sentence.spoken for sentence in split(text, language, max_characters=400).sentences
    )
    assert len(ends.findall(spoken)) == len(ends.findall(text))


@settings(deadline=None, max_examples=600)
@given(counted())
def test_every_number_of_a_text_is_spoken_once_and_in_order(
    case: tuple[str, str, list[int]],
) -> None:
    language, text, numbers = case
    spoken, known = read(text, language).text, grammar(language)
    place = 0
    for number in numbers:
        words = known.number(Number(str(number)))
        found = spoken.find(words, place)
        assert found >= 0, (spoken, words)
        place = found + len(words)
    assert not any(character.isdecimal() for character in spoken)


@settings(deadline=None, max_examples=400)
@given(counted().map(lambda case: case[:2]) | prose())
def test_reading_what_is_spoken_changes_nothing(case: tuple[str, str]) -> None:
    language, text = case
    once = read(text, language).text
    assert read(once, language).text == once


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_number_up_to_999_keeps_the_full_stop_of_its_sentence(language: str) -> None:
    table, known = ORDINARY[language], grammar(language)
    gap, stop = "" if language in UNSPACED else " ", STOPS.get(language, ".")
    for number in range(1, 1000):
        before, after = (
            table["begins"][0] + gap + table["words"][0],
            table["begins"][1] + gap + table["words"][1],
        )
        spoken = read(f"{before}{gap}{number}{stop}{gap}{after}{stop}", language).text
        assert spoken == f"{before}{gap}{known.number(Number(str(number)))}{stop}{gap}{after}{stop}"
