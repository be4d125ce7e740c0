"""The guard's faults of a sentence."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.synth_worker.engines.xtts.decoder.guard import CODES_PER_SECOND, RunawayGuard

RATE_HZ = 24_000
TEXT = "The visitors came by train, although the road had been repaired."  # some 4 s


def guard(text: str = TEXT, language: str = "en", speed: float = 1.0) -> RunawayGuard:
    return RunawayGuard(len(text), language, RATE_HZ, 602, speed=speed)


def varied(count: int) -> list[int]:
    return [(7 * place * place + place) % 1000 for place in range(count)]


def seconds(count: float) -> list[int]:
    return varied(round(count * CODES_PER_SECOND))


def test_a_sentence_of_ordinary_length_is_left_alone_from_its_first_code_to_its_last() -> None:
    watched = guard()
    codes = seconds(4.5)
    for count in range(1, len(codes)):
        assert watched.fault(codes[:count], stopped=False) is None
    assert watched.fault(codes, stopped=True) is None


def test_a_sentence_that_finds_no_end_is_a_runaway() -> None:
    assert guard().fault(seconds(20), stopped=False) == "runaway"
    assert guard().fault(seconds(8), stopped=False) is None


def test_the_limit_allows_a_slow_voice_and_no_sentence_that_is_spoken_three_times() -> None:
    spoken_s = len(TEXT) / 15
    for pace, extra_s, fault in ((1.7, 1.9, None), (1.8, 2.1, "runaway"), (3.0, 0.0, "runaway")):
        assert guard().fault(seconds(spoken_s * pace + extra_s), stopped=False) == fault, pace


def test_a_single_word_may_be_drawn_out_as_people_do() -> None:
    assert guard("Auw!", "nl").fault(seconds(2.0), stopped=False) is None  # a person took 1.7 s
    assert guard("Auw!", "nl").fault(seconds(3.0), stopped=False) == "runaway"


@pytest.mark.parametrize("language", ["ar", "hi", "ja", "ko", "zh"])
def test_the_limit_is_wider_where_no_recording_has_confirmed_the_rate(language: str) -> None:
    rate = {"ja": 7, "ko": 6, "zh": 4.5}.get(language, 11)
    text, spoken_s = "a" * 50, 50 / rate
    assert guard(text, language).fault(seconds(2.4 * spoken_s), stopped=False) is None
    assert guard(text, language).fault(seconds(0.3 * spoken_s), stopped=True) is None
    assert guard(text, "de").fault(seconds(0.3 * 50 / 14), stopped=True) == "short"
    assert guard(text, "de").fault(seconds(2.4 * 50 / 14), stopped=False) == "runaway"


def test_no_sentence_is_longer_than_the_model_can_make_one() -> None:
    assert guard(TEXT * 9).fault(varied(602), stopped=False) == "runaway"


def test_a_sentence_that_ends_at_once_is_short_unless_it_has_little_to_say() -> None:
    assert guard().fault(seconds(0.5), stopped=True) == "short"
    assert guard("Yes.").fault(seconds(0.2), stopped=True) is None


@given(st.lists(st.integers(0, 1023), min_size=1, max_size=4), st.integers(0, 60))
def test_codes_that_repeat_themselves_are_a_loop(pattern: list[int], before: int) -> None:
    codes = (varied(before) + pattern * 40)[: before + 40]
    assert guard(TEXT * 3).fault(codes, stopped=False) == "loop"


def test_silence_in_the_middle_of_a_sentence_is_a_fault_and_a_pause_is_not() -> None:
    watched = guard()
    loud, quiet = np.full(RATE_HZ, 0.1, dtype=np.float32), np.zeros(RATE_HZ, dtype=np.float32)
    watched.add_audio(np.concatenate([loud, quiet]))
    assert watched.fault(seconds(2), stopped=False) is None
    watched.add_audio(quiet)
    assert watched.fault(seconds(3), stopped=False) == "silence"
    watched.start_again()
    assert watched.fault(seconds(3), stopped=False) is None
    watched.add_audio(quiet)
    watched.add_audio(loud)
    watched.add_audio(quiet)
    assert watched.fault(seconds(3), stopped=False) is None


def test_scripts_of_few_characters_are_given_more_time_for_each() -> None:
    codes = seconds(6)
    assert guard("今日は天気がとてもいいですね", "ja").fault(codes, stopped=False) is None
    assert guard("It is a fine day.", "en").fault(codes, stopped=False) == "runaway"


@pytest.mark.parametrize("speed", [0.25, 0.5, 1.0, 2.0])
def test_a_pause_that_is_natural_at_normal_speed_is_no_fault_when_it_is_stretched(
    speed: float,
) -> None:
    watched = guard(speed=speed)
    pause = np.zeros(round(1.4 * RATE_HZ / speed), dtype=np.float32)
    watched.add_audio(pause)
    assert watched.fault(seconds(2), stopped=False) is None
    watched.add_audio(pause)
    assert (watched.fault(seconds(3), stopped=False) == "silence") == (speed <= 1.0)
