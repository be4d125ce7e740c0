"""Marking: the same samples however a sentence is cut, none lost, and the speech stays what it was."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.common.audio.clip import Samples
from services.common.audio.watermark.marking import LATENCY_MS, Marking, mark
from tests.support.speech import RATE_HZ, cut, syllables

SPEECH = syllables(2.5, 3) * np.float32(0.2)


@settings(deadline=None, max_examples=30)
@given(
    st.integers(0, len(SPEECH)),
    st.lists(st.integers(0, 5_000), max_size=20),
    st.sampled_from([8_000, 22_050, 24_000, 44_100]),
)
def test_chunks_make_no_difference_and_no_sample_is_lost(
    length: int, sizes: list[int], rate_hz: int
) -> None:
    samples = SPEECH[:length]
    marking = Marking(rate_hz)
    pieces = [marking.push(piece) for piece in cut(samples, sizes)]
    streamed = np.concatenate([*pieces, marking.finish()])
    assert len(streamed) == length
    assert streamed.tobytes() == mark(samples, rate_hz).tobytes()


def test_it_holds_back_at_most_its_latency() -> None:
    marking = Marking(RATE_HZ)
    received = 0
    sent = 0
    for piece in cut(SPEECH, [100] * 200):
        received += len(piece)
        sent += len(marking.push(piece))
        assert received - sent <= LATENCY_MS * RATE_HZ / 1000


def test_silence_stays_silence() -> None:
    assert not mark(np.zeros(30_000, dtype=np.float32), RATE_HZ).any()


def test_a_sentence_that_is_marked_again_has_the_same_samples() -> None:
    assert mark(SPEECH, RATE_HZ).tobytes() == mark(SPEECH.copy(), RATE_HZ).tobytes()


@pytest.mark.parametrize("seed", range(3))
def test_the_change_is_small_and_in_step_with_the_speech(seed: int) -> None:
    samples: Samples = syllables(3, seed) * np.float32(0.2)
    marked = mark(samples, RATE_HZ)
    change_db = 20 * np.log10(np.std(marked - samples) / np.std(samples))
    level_db = 20 * np.log10(np.std(marked) / np.std(samples))
    assert -30 < change_db < -10
    assert abs(level_db) < 0.5
