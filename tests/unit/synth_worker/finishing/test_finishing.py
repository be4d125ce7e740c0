"""Finishing: loudness and edges of a sentence, independent of how its samples are split."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.common.audio.clip import Samples
from services.common.audio.loudness import frame_energies, integrated_lufs, lufs_of, true_peak_db
from services.common.audio.pcm import from_pcm16, to_pcm16
from services.synth_worker.engines.protocol import Level
from services.synth_worker.finishing.chain import Finishing
from tests.support.speech import RATE_HZ, at_lufs, cut, syllables, with_quiet

LEVEL = Level(usual_lufs=-22.0, spread_lu=1.5, ahead_ms=450, whole_ms=1200)
LEAD_MS, TRAIL_MS = 50, 150
SEEDS = st.integers(0, 1000)
SLOW = settings(deadline=None, max_examples=25)  # each example renders seconds of audio


def finished(
    parts: list[Samples], target_lufs: float | None = -18.0, *, expected_s: float = 3.0
) -> Samples:
    finishing = Finishing(RATE_HZ, LEVEL, target_lufs, expected_s=expected_s)
    return np.concatenate([*map(finishing.push, parts), finishing.finish()])


def quiet_ms(samples: Samples) -> tuple[int, int]:
    """Return the quiet before and after the speech, in steps of 10 ms."""
    levels = np.array([lufs_of(energy) for energy in frame_energies(samples, RATE_HZ)])
    [sounding] = np.nonzero(levels > integrated_lufs([samples], RATE_HZ) - 30)
    return int(sounding[0]) * 10, int(len(levels) - 1 - sounding[-1]) * 10


@SLOW
@given(SEEDS, st.floats(1.3, 6), st.floats(-24, -20), st.lists(st.integers(0, 30_000), max_size=10))
def test_the_output_does_not_depend_on_how_the_engines_samples_are_split(
    seed: int, seconds: float, lufs: float, lengths: list[int]
) -> None:
    samples = with_quiet(at_lufs(syllables(seconds, seed), lufs), 0.1, 0.3)
    assert finished(cut(samples, lengths)).tobytes() == finished([samples]).tobytes()


def test_single_samples_give_the_same_output() -> None:
    samples = with_quiet(at_lufs(syllables(0.6, 1), -21), 0.02, 0.2)
    assert finished(cut(samples, [1] * len(samples))).tobytes() == finished([samples]).tobytes()


@SLOW
@given(SEEDS, st.floats(2, 8), st.floats(-23, -21), st.sampled_from([-30.0, -23.0, -18.0, -14.0]))
def test_a_sentence_reaches_its_loudness_with_no_peak_above_minus_1_dbtp(
    seed: int, seconds: float, lufs: float, target_lufs: float
) -> None:
    samples = with_quiet(at_lufs(syllables(seconds, seed), lufs), 0.1, 0.3)
    out = from_pcm16(to_pcm16(finished([samples], target_lufs)))
    assert integrated_lufs([out], RATE_HZ) == pytest.approx(target_lufs, abs=1.0)
    assert true_peak_db(out) <= -1.0


@SLOW
@given(SEEDS, st.floats(0.25, 0.9), st.floats(-30, -14))
def test_a_single_word_is_measured_as_a_whole_at_any_level(
    seed: int, seconds: float, lufs: float
) -> None:
    samples = with_quiet(at_lufs(syllables(seconds, seed), lufs), 0.1, 0.3)
    out = finished([samples], -23.0, expected_s=0.3)
    assert integrated_lufs([out], RATE_HZ) == pytest.approx(-23.0, abs=0.3)


@SLOW
@given(SEEDS, st.integers(0, 40), st.integers(0, 60), st.sampled_from([None, -18.0]))
def test_every_sentence_has_the_same_quiet_before_and_after(
    seed: int, before: int, after: int, target_lufs: float | None
) -> None:
    samples = with_quiet(at_lufs(syllables(2, seed), -22), before / 100, after / 100)
    lead_ms, trail_ms = quiet_ms(finished([samples], target_lufs))
    assert abs(lead_ms - LEAD_MS) <= 10
    assert abs(trail_ms - TRAIL_MS) <= 30


def test_a_pause_inside_a_sentence_keeps_its_length() -> None:
    half = at_lufs(syllables(1.5, 4), -22)
    samples = with_quiet(
        np.concatenate([half, np.zeros(RATE_HZ, dtype=np.float32), half]), 0.05, 0.15
    )
    assert len(finished([samples])) == pytest.approx(len(samples), abs=480)


def test_without_a_loudness_the_samples_are_only_trimmed() -> None:
    speech = at_lufs(syllables(2, 5), -12)
    out = finished([with_quiet(speech, 0.2, 0.4)], None)
    inside = speech[2_400:-2_400]
    start = next(
        index
        for index in range(len(out) - len(inside))
        if np.array_equal(out[index : index + 100], inside[:100])
    )
    assert out[start : start + len(inside)].tobytes() == inside.tobytes()
    assert len(out) < len(speech) + 0.25 * RATE_HZ


@pytest.mark.parametrize("level", [0.0, 1e-5])
def test_silence_is_not_amplified(level: float) -> None:
    samples = np.random.default_rng(1).normal(0, level, RATE_HZ).astype(np.float32)
    assert np.abs(finished([samples])).max() <= np.abs(samples).max() * 10 ** (5 / 20)
    assert len(finished([samples])) == len(samples)


def test_no_samples_give_no_output() -> None:
    assert len(finished([])) == 0


def test_the_gain_never_moves_fast_enough_to_be_audible() -> None:
    loud, quiet = at_lufs(syllables(2, 6), -16), at_lufs(syllables(2, 7), -28)
    samples = np.concatenate([loud, quiet])
    gains = finished([samples])[1_200:-3_600] / np.where(samples == 0, 1, samples)[: len(samples)]
    steady = np.abs(samples) > 1e-3
    levels_db = 20 * np.log10(np.abs(gains[steady]))
    moved_db = np.abs(levels_db[RATE_HZ // 2 :: 240][1:] - levels_db[RATE_HZ // 2 :: 240][:-1])
    assert moved_db.max() < 1.0


@SLOW
@given(SEEDS)
def test_the_first_samples_leave_after_the_first_chunk(seed: int) -> None:
    samples = at_lufs(syllables(3, seed), -22)
    finishing = Finishing(RATE_HZ, LEVEL, -18.0, expected_s=3.0)
    needed_s = (
        LEVEL.ahead_ms - LEAD_MS + 20
    ) / 1000  # the samples start with speech, so the margin is added
    assert len(finishing.push(samples[: math.ceil(needed_s * RATE_HZ)])) > 0
