"""Written forms are verbalized by the rules of each language."""

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.common.wire.languages import LANGUAGES
from services.splitter.normalization.normalize import normalize
from tests.support.cases import assert_each
from tests.unit.splitter.normalization.said import CLASSES, MISSES, Case, cases, sources

CASES = [case for language in LANGUAGES for case in cases(language)]
SIGNS = st.sampled_from(
    [
        *"0123456789.,:/-–%$€£¥+=<>#@&§°²½ '()",
        " km",
        "°C",
        "IV",
        "XIX",
        " Mr.",
        "usw.",
        "www.",
        "a@b.de",
        " p.m.",
        "№ ",
    ]
)
WRITTEN = st.lists(SIGNS, max_size=30).map("".join)


NUMBER_OF_CASES = 1_360  # no fewer: a table that is read wrongly would leave some out


def folded(text: str) -> str:
    """Return a text without its case, which is not audible; that of the Turkish İ has a dot of its
    own."""
    return text.casefold().replace("i\u0307", "i")


@cache
def spoken(written: str, language: str) -> str:
    return normalize(written, language)


def told(case: Case) -> bool:
    return folded(spoken(case.written, case.language)) == folded(case.said)


def test_no_case_is_missing() -> None:
    assert len(CASES) >= NUMBER_OF_CASES


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_class_of_a_language_has_twenty_cases_and_names_its_sources(language: str) -> None:
    kinds = [case.kind for case in cases(language)]
    assert min(kinds.count(kind) for kind in CLASSES) >= 20
    assert sources(language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_written_form_has_the_spoken_form_of_its_language(language: str) -> None:
    assert_each(
        [
            (case.written, folded(case.said))
            for case in cases(language)
            if (language, case.written) not in MISSES
        ],
        lambda written: folded(spoken(written, language)),
    )


def test_no_miss_is_spoken_correctly_by_now() -> None:
    assert [case for case in CASES if (case.language, case.written) in MISSES and told(case)] == []


def test_at_least_98_in_100_cases_match_exactly() -> None:
    assert sum(map(told, CASES)) >= 0.98 * len(CASES)


# unnatural runs of signs may alternate between two spoken forms
@settings(deadline=None, max_examples=400, derandomize=True)
@given(WRITTEN, st.sampled_from(list(LANGUAGES)))
def test_a_spoken_form_is_verbalized_as_itself(text: str, language: str) -> None:
    once = normalize(text, language)
    assert normalize(once, language).casefold() == once.casefold()


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_spoken_case_is_left_as_it_is(language: str) -> None:
    once = [spoken(case.written, language) for case in cases(language)]
    assert_each(
        [(words, words) for words in once],
        lambda words: normalize(words, language),
    )
