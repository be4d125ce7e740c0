"""Resampling preserves the audio."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.common.audio.clip import Clip
from services.common.audio.resample import Resampler, resample
from tests.support import sounds

RATES_HZ = [8_000, 16_000, 22_050, 44_100, 48_000, 96_000]


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_a_tone_keeps_its_pitch_its_level_and_its_length(rate_hz: int) -> None:
    resampled = resample(Clip(sounds.tone(1, 440, rate_hz), rate_hz), 24_000)
    wanted = sounds.tone(1, 440, 24_000)
    assert resampled.sample_rate_hz == 24_000
    assert len(resampled.samples) == len(wanted)
    middle = slice(2_000, -2_000)  # at its ends, a tone that begins is no pure tone
    assert np.abs(resampled.samples[middle] - wanted[middle]).max() < 1e-3


def test_resampling_removes_frequencies_above_the_new_nyquist() -> None:
    resampled = resample(Clip(sounds.tone(1, 15_000, 48_000), 48_000), 24_000)
    assert np.abs(resampled.samples[2_000:-2_000]).max() < 1e-4


def test_a_clip_of_the_right_rate_is_left_alone() -> None:
    clip = Clip(sounds.speech(1), 24_000)
    assert resample(clip, 24_000) is clip


@settings(max_examples=30, deadline=None)
@given(st.sampled_from([*RATES_HZ, 24_000]), st.lists(st.integers(0, 9_000), max_size=8))
def test_how_a_stream_is_cut_makes_no_difference(rate_hz: int, cuts: list[int]) -> None:
    samples = sounds.speech(0.5, rate_hz)
    resampler = Resampler(rate_hz, 24_000)
    pieces = [resampler.push(piece) for piece in np.split(samples, sorted(cuts))]
    whole = resample(Clip(samples, rate_hz), 24_000).samples
    assert np.array_equal(np.concatenate([*pieces, resampler.finish()]), whole)
