"""Words get the times of the characters that were spoken for them."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from services.common.wire.parts import SpokenWord, WordTime
from services.synth_worker.engines.protocol import TimedSpan
from services.synth_worker.word_times import SpeechSpan, word_times

# "In 1997." is spoken as "In nineteen ninety-seven."
TEXT = "In nineteen ninety-seven."
WORDS = [SpokenWord(10, 12, 0, 2), SpokenWord(13, 18, 3, 25)]
SPEECH = SpeechSpan(0, 10_000)


def test_a_word_lasts_from_the_first_to_the_last_word_that_is_spoken_for_it() -> None:
    times = [
        TimedSpan(0, 2, 100, 200),
        TimedSpan(3, 11, 250, 500),
        TimedSpan(12, 24, 520, 900),
    ]
    found, origin = word_times(WORDS, TEXT, times, shift=-50, speech=SPEECH)
    assert origin == "measured"
    assert found == (WordTime(10, 12, 50, 150), WordTime(13, 18, 200, 850))


def test_words_within_one_measured_span_share_it_in_proportion() -> None:
    words = [SpokenWord(index, index + 1, index, index + 1) for index in range(4)]
    found, _ = word_times(words, "東京です", [TimedSpan(0, 4, 0, 400)], shift=0, speech=SPEECH)
    assert [(word.first_sample, word.end_sample) for word in found] == [
        (0, 100),
        (100, 200),
        (200, 300),
        (300, 400),
    ]


def test_a_word_that_the_engine_left_out_has_no_length() -> None:
    times = [TimedSpan(3, 24, 250, 900)]
    found, _ = word_times(WORDS, TEXT, times, shift=0, speech=SPEECH)
    assert found == (WordTime(10, 12, 250, 250), WordTime(13, 18, 250, 900))


def test_without_times_of_the_engine_the_speech_is_divided_by_length() -> None:
    found, origin = word_times(WORDS, TEXT, [], shift=999, speech=SpeechSpan(1_000, 25_000))
    assert origin == "estimated"
    assert found[0].first_sample == 1_000
    assert found[1] == WordTime(13, 18, 4_000, 25_000)


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=10),
    st.lists(st.tuples(*[st.integers(0, 40)] * 2, *[st.integers(0, 9_000)] * 2), max_size=8),
    st.integers(-5_000, 5_000),
)
def test_times_are_in_order_and_inside_of_the_speech(
    words: list[tuple[int, int]], spans: list[tuple[int, int, int, int]], shift: int
) -> None:
    spoken = [SpokenWord(0, 1, min(word), max(word)) for word in sorted(words)]
    times = [TimedSpan(min(a, b), max(a, b), min(c, d), max(c, d)) for a, b, c, d in spans]
    found, _ = word_times(spoken, "x" * 40, times, shift=shift, speech=SpeechSpan(100, 8_000))
    assert all(100 <= word.first_sample <= word.end_sample <= 8_000 for word in found)
    assert all(one.end_sample <= other.first_sample for one, other in pairwise(found))
