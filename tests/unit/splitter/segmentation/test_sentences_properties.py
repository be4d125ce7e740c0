"""Properties of every text in every language."""

import itertools
import sys
import time
from dataclasses import dataclass

import pytest
import regex
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.common.wire.failures import EmptyText, UnspeakableText
from services.common.wire.languages import LANGUAGES
from services.common.wire.options import TextOptions
from services.splitter.normalization.normalize import normalize
from services.splitter.normalization.reader import read
from services.splitter.normalization.text.alphabets import speakable
from services.splitter.segmentation.sentences import SplitText, split
from tests.support.cases import assert_each

FRAGMENTS = (
    *(
        "Hello",
        "M. Dupont",
        "3.14",
        "e.g.",
        "…",
        "!",
        '?"',
        "\n\n",
        "\n",
        " ",
        ", ",
        "—",
        "A.",
        "B.",
        "1.",
        "- ",
    ),
    *(
        "他来了。",
        "「本当？」",
        "यह है।",
        "؟",
        "क्षि",
        "한국어",
        "。",
        "０１",
        "а",
        "ß",
        "g\u0308",
        "\u200b",
        "\u00ad",
    ),
    *(
        "👩\u200d👩\u200d👧",
        "x" * 90,
        "\u0301",
        "क्\u200d",
        "ﷺ",
        "\ud800",
        "т. д.",
        "usw. ",
        "(Aside.) ",
        "一二三四五",
    ),
    *("สวัสดี", "שלום, ", "Nguyễn", "①", "㈱", "ƙ", "x\u030c", "ѣ"),
)
PROSE = st.lists(st.sampled_from(FRAGMENTS), max_size=60).map("".join)
TEXTS = PROSE | st.text(max_size=300) | st.text(st.characters(), max_size=60)


def divided(
    text: str, language: str, limit: int, *, splitting: bool = True, spoken_forms: bool = True
) -> SplitText | None:
    try:
        return split(
            text,
            language,
            max_characters=limit,
            options=TextOptions(split=splitting, spoken_forms=spoken_forms),
        )
    except (EmptyText, UnspeakableText):
        return None


@settings(max_examples=400, deadline=None)
@given(TEXTS, st.sampled_from(list(LANGUAGES)), st.integers(20, 120), st.booleans(), st.booleans())
def test_every_character_is_in_one_sentence_or_dropped_and_none_is_over_the_limit(
    text: str, language: str, limit: int, splitting: bool, spoken_forms: bool
) -> None:
    division = divided(text, language, limit, splitting=splitting, spoken_forms=spoken_forms)
    said = speakable(
        read(text, language, TextOptions(spoken_forms=spoken_forms)), language
    ).aligned.text
    if division is None:
        assert not any(character.isalnum() for character in said)
        return
    spans = sorted([(s.start, s.end) for s in division.sentences] + list(division.dropped))
    assert spans[0][0] == 0
    assert spans[-1][1] == len(text)
    assert all(first[1] == second[0] for first, second in itertools.pairwise(spans))
    assert [s.start for s in division.sentences] == sorted(s.start for s in division.sentences)
    for sentence in division.sentences:
        assert len(sentence.spoken) <= limit
        assert any(character.isalnum() for character in sentence.spoken)
        assert sentence.pause_after_ms >= 0
    assert division.sentences[-1].pause_after_ms == 0
    assert letters("".join(sentence.spoken for sentence in division.sentences)) == letters(said)


def letters(text: str) -> str:
    return "".join(filter(str.isalnum, text))


@settings(deadline=None)
@given(TEXTS, st.sampled_from(list(LANGUAGES)), st.integers(1, 19))
def test_a_limit_that_no_engine_has_is_held_too(text: str, language: str, limit: int) -> None:
    division = divided(text, language, limit)
    for sentence in () if division is None else division.sentences:
        assert len(sentence.spoken) <= limit


@settings(deadline=None)
@given(TEXTS, st.sampled_from(list(LANGUAGES)), st.integers(20, 120))
def test_no_letter_and_no_digit_is_dropped_without_a_word(
    text: str, language: str, limit: int
) -> None:
    division = divided(text, language, limit)
    for start, end in () if division is None else division.dropped:
        told = (
            {place for span in division.left_out for place in range(*span)} if division else set()
        )
        rest = "".join(" " if place in told else text[place] for place in range(start, end))
        assert not any(character.isalnum() for character in normalize(rest, language))


@settings(deadline=None)
@given(TEXTS, st.sampled_from(list(LANGUAGES)), st.integers(4, 60))
@example("👩\u200d👧\u0301Hello", "fr", 6)
@example("👧\u200d\u0301Hello", "fr", 6)
@example("\ue000\u0301Hello", "fr", 6)
@example("*\u0301Hello*", "fr", 6)
@example("\ue000\uff9eHello", "fr", 6)
def test_no_character_that_a_reader_sees_is_cut_in_two(
    text: str, language: str, limit: int
) -> None:
    division = divided(text, language, limit)
    clusters = [match.span() for match in regex.finditer(r"\X", text)]
    longer = [
        span
        for span in clusters
        if max(span[1] - span[0], len(normalize(text[slice(*span)], language))) > limit
    ]
    for sentence in () if division is None else division.sentences:
        inside = [(start, end) for start, end in clusters if start < sentence.start < end]
        assert all(span in longer or text[sentence.start - 1].isspace() for span in inside)


@settings(deadline=None)
@given(TEXTS, st.sampled_from(list(LANGUAGES)))
def test_normalising_twice_is_normalising_once(text: str, language: str) -> None:
    once = normalize(text, language)
    assert normalize(once, language) == once


@settings(deadline=None)
@given(PROSE, PROSE, st.sampled_from(list(LANGUAGES)))
def test_another_paragraph_changes_nothing_before_it(text: str, more: str, language: str) -> None:
    before, after = divided(text, language, 100), divided(f"{text}\n\nZ {more}", language, 100)
    if before is None:
        return
    assert after is not None
    same = [(s.start, s.end, s.spoken) for s in after.sentences[: len(before.sentences)]]
    assert same == [(s.start, s.end, s.spoken) for s in before.sentences]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_run_of_signs_is_verbalized_in_one_pass(language: str) -> None:
    signs = ("²²²²²", "³²³²³²", "x²²²²²y", "½½½½½½", "5²³²³²", "#\n:", "*\nx")
    once = [normalize(text, language) for text in signs]
    assert_each(zip(once, once, strict=True), lambda text: normalize(text, language))


HURTFUL = (
    "a. ",
    "A.",
    ".",
    "…",
    "(",
    '"',
    "« ",
    " ",
    "\n",
    "\n\n",
    "a",
    "。",
    "「",
    "다. ",
    "e\u0301",
    "\u0301",
    "- x\n",
    "?!",
    " \n",
    "\n\r",
    "\n\t- x",
    "\u2029",
    "(a. ",
    '." ',
    "1. ",
    "。と",
    "…)",
    "x\ny ",
    "\u0301 ",
    "𝐀",
    "1.",
    "²",
    "12,",
    "7",
    "7 ",
    "7 е ",
    "т. д. ",
)


def hurtful(pattern: str, length: int) -> str:
    return "Start " + pattern * (length // len(pattern)) + " end"


def timed_split(text: str) -> tuple[SplitText, float]:
    """Return the division and the processor seconds that it took."""
    before = time.process_time()
    division = split(text, "en", max_characters=200)
    return division, time.process_time() - before


@dataclass(frozen=True)
class LongSplit:
    """A text built to hurt, and what splitting it gave and took."""

    pattern: str
    text: str
    division: SplitText
    processor_seconds: float


@pytest.fixture(scope="module", params=HURTFUL, ids=repr)
def long_split(request: pytest.FixtureRequest) -> LongSplit:
    """Split a long text once for all tests of its pattern: the slowest take seconds."""
    text = hurtful(request.param, 80_000)
    return LongSplit(request.param, text, *timed_split(text))


def test_a_text_built_to_hurt_is_divided_whole(long_split: LongSplit) -> None:
    division = long_split.division
    covered = sum(s.end - s.start for s in division.sentences) + sum(
        end - start for start, end in division.dropped
    )
    assert covered == len(long_split.text)


def test_sixteen_times_the_text_takes_nothing_like_256_times_the_work(
    long_split: LongSplit,
) -> None:
    """Measure what counting calls cannot see: the steps inside a regular expression or the library."""
    text = hurtful(long_split.pattern, 5_000)
    short = min(timed_split(text)[1] for _ in range(3))
    assert long_split.processor_seconds < 80 * max(short, 0.005)


@pytest.mark.parametrize("pattern", HURTFUL, ids=repr)
def test_the_steps_grow_with_the_text_and_not_with_its_square(pattern: str) -> None:
    def calls(length: int) -> int:
        """Count what the interpreter executes, which no busy machine changes."""
        counted = 0

        def count(frame: object, event: str, argument: object) -> None:  # noqa: ARG001
            nonlocal counted
            counted += 1

        text = hurtful(pattern, length)
        sys.setprofile(count)
        try:
            split(text, "en", max_characters=100)
        finally:
            sys.setprofile(None)
        return counted

    assert calls(12_000) < 3 * calls(6_000) + 1_000


@pytest.mark.parametrize("language", ["ru", "es"])  # whose numbers are inflected
def test_four_times_the_figures_take_four_times_the_work(language: str) -> None:
    def processor_seconds(rows: int) -> float:
        text = "\n".join("12,3456,78,90123,4" for _ in range(rows))
        before = time.process_time()
        normalize(text, language)
        return time.process_time() - before

    processor_seconds(10)
    assert processor_seconds(4_000) < 10 * min(processor_seconds(1_000) for _ in range(3))


def test_a_text_with_nothing_to_speak_is_refused() -> None:
    for text in ("", "   ", "...", "?!", "👍", "\u200b", "—", "\n\n"):
        with pytest.raises(EmptyText):
            split(text, "en", max_characters=100)
