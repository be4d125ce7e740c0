"""The detection of two alternating speakers in a clip."""

import numpy as np
import pytest

from services.common.audio.clip import Clip, Samples
from services.common.audio.speaker_encoder import unit
from services.http_edge.intake.reference.speakers import apart, two_take_turns
from tests.support import sounds


def takes_turns(*parts: Samples) -> bool:
    return two_take_turns(Clip(np.concatenate(parts).astype(np.float32), 24_000))


def points(count: int, *, towards: int, spread: float, seed: int) -> np.ndarray:
    centre = np.zeros(256)
    centre[towards] = 1
    return unit(
        (centre + spread * np.random.default_rng(seed).standard_normal((count, 256)) / 16).astype(
            np.float32
        )
    )


def test_two_groups_that_lie_far_apart_are_two_speakers() -> None:
    first, second = (
        points(9, towards=0, spread=0.4, seed=1),
        points(9, towards=1, spread=0.4, seed=2),
    )
    assert apart(np.concatenate([first, second]))


@pytest.mark.parametrize("seed", range(5))
def test_one_group_is_one_speaker(seed: int) -> None:
    assert not apart(points(20, towards=3, spread=0.5, seed=seed))


def test_a_single_odd_moment_is_no_second_speaker() -> None:
    assert not apart(
        np.concatenate(
            [points(14, towards=0, spread=0.3, seed=1), points(1, towards=1, spread=0, seed=2)]
        )
    )


def other(seconds: float) -> Samples:
    """Return the bundled reader at another pitch and with another vocal tract, as a second person."""
    return np.resize(
        sounds.soxr.resample(sounds.speech(9), 24_000 * 0.72, 24_000)[: 6 * 24_000],
        round(seconds * 24_000),
    )


@pytest.mark.parametrize("each_s", [3.0, 5.0])
def test_two_who_take_turns_are_noticed(each_s: float) -> None:
    assert takes_turns(
        *[sounds.speech(each_s), sounds.silence(0.4), other(each_s), sounds.silence(0.4)] * 2
    )


@pytest.mark.parametrize("seconds", [4, 9, 30])
def test_one_speaker_counts_as_one(seconds: float) -> None:
    assert not takes_turns(sounds.speech(seconds))


def test_one_speaker_in_noise_counts_as_one() -> None:
    assert not takes_turns(sounds.noisy(sounds.speech(20), 10))


@pytest.mark.parametrize("parts", [(sounds.silence(0),), (sounds.silence(9),), (sounds.speech(1),)])
def test_too_little_speech_is_no_reason_for_a_warning(parts: tuple[Samples, ...]) -> None:
    assert not takes_turns(*parts)
