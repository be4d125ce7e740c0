"""Detection: the mark is found in what is left of a recording, and in no recording that has none."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.common.audio.clip import Clip, Samples
from services.common.audio.resample import resample
from services.common.audio.watermark.detection import FALSE_ALARM, detect
from services.common.audio.watermark.marking import mark
from tests.support.speech import RATE_HZ, syllables

SPEECH = [syllables(4, seed) * np.float32(0.2) for seed in range(4)]
MARKED = [mark(samples, RATE_HZ) for samples in SPEECH]


def noisy(samples: Samples, below_db: float) -> Samples:
    generator = np.random.default_rng(1)
    level = np.std(samples) * 10 ** (-below_db / 20)
    return (samples + generator.normal(0, level, len(samples))).astype(np.float32)


def telephone(samples: Samples) -> Samples:
    narrow = resample(Clip(samples, RATE_HZ), 8_000).samples
    companded = np.sign(narrow) * np.log1p(255 * np.abs(narrow)) / np.log(256)
    companded = np.round(companded * 127) / 127
    expanded = np.sign(companded) * (256 ** np.abs(companded) - 1) / 255
    return resample(Clip(expanded.astype(np.float32), 8_000), RATE_HZ).samples


@pytest.mark.parametrize("samples", MARKED)
def test_the_mark_is_found_in_a_sentence(samples: Samples) -> None:
    found = detect(Clip(samples, RATE_HZ))
    assert found.marked
    assert found.log10_false_alarm < -10
    assert found.marked_s > 3


@pytest.mark.parametrize("samples", SPEECH)
def test_an_unmarked_sentence_is_not_accused(samples: Samples) -> None:
    found = detect(Clip(samples, RATE_HZ))
    assert not found.marked
    assert found.log10_false_alarm > -3
    assert found.marked_s == 0


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 20_000))
def test_a_cut_at_any_sample_leaves_the_mark(start: int) -> None:
    assert detect(Clip(MARKED[0][start : start + 3 * RATE_HZ], RATE_HZ)).marked


@pytest.mark.parametrize("gain", [0.01, 0.5, 2.0])
def test_the_level_makes_no_difference(gain: float) -> None:
    assert detect(Clip(MARKED[1] * np.float32(gain), RATE_HZ)).marked


def test_the_mark_survives_a_telephone() -> None:
    assert detect(Clip(telephone(MARKED[2]), RATE_HZ)).marked


def test_the_mark_survives_noise() -> None:
    assert detect(Clip(noisy(MARKED[3], 20), RATE_HZ)).marked


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 44_100, 48_000])
def test_the_mark_is_found_at_any_sample_rate(rate_hz: int) -> None:
    assert detect(resample(Clip(MARKED[0], RATE_HZ), rate_hz)).marked


def test_a_fragment_of_two_sentences_with_a_pause_is_found() -> None:
    pause = np.zeros(7_777, dtype=np.float32)
    joined = np.concatenate([MARKED[0][-2 * RATE_HZ :], pause, MARKED[1][: 2 * RATE_HZ]])
    assert detect(Clip(joined, RATE_HZ)).marked


def test_a_marked_sentence_in_a_long_recording_is_found_and_measured() -> None:
    rest = np.concatenate([syllables(20, 9), syllables(20, 11)]) * np.float32(0.2)
    found = detect(Clip(np.concatenate([rest, MARKED[2]]), RATE_HZ))
    assert found.marked
    assert found.marked_s < 10
    assert found.seconds == pytest.approx(44)


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(0, dtype=np.float32),
        np.zeros(100_000, dtype=np.float32),
        np.ones(100_000, dtype=np.float32),
        np.full(100_000, 1e-30, dtype=np.float32),
        MARKED[0][:1_000],
    ],
    ids=["empty", "silent", "constant", "tiny", "short"],
)
def test_audio_without_speech_is_not_accused(samples: Samples) -> None:
    found = detect(Clip(samples, RATE_HZ))
    assert not found.marked
    assert found.log10_false_alarm == pytest.approx(0, abs=3)


def test_the_bound_holds_for_noise() -> None:
    bounds = []
    for seed in range(40):
        noise = np.random.default_rng(seed).normal(0, 0.1, 4 * RATE_HZ).astype(np.float32)
        bounds.append(detect(Clip(noise, RATE_HZ)).log10_false_alarm)
    assert min(bounds) > np.log10(FALSE_ALARM)
