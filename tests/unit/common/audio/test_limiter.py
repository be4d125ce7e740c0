"""The limiter: no true peak over its ceiling, nothing else changed, and chunks make no difference."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from services.common.audio.clip import Samples
from services.common.audio.limiter import PeakLimiter
from services.common.audio.loudness import true_peak_db
from tests.support.speech import RATE_HZ, cut

SEEDS = st.integers(0, 2**31)


def noise(seed: int, level: float, seconds: float = 0.4) -> Samples:
    """Return noise whose level jumps every 20 ms."""
    generator = np.random.default_rng(seed)
    steps = np.repeat(generator.uniform(0, 1, int(seconds * 50) + 1), RATE_HZ // 50)[
        : int(seconds * RATE_HZ)
    ]
    return (generator.normal(0, level, len(steps)) * steps).astype(np.float32)


def limited(pieces: list[Samples]) -> Samples:
    limiter = PeakLimiter(RATE_HZ, -1.0)
    return np.concatenate([*map(limiter.push, pieces), limiter.finish()])


@settings(deadline=None)
@given(SEEDS, st.floats(0.1, 3.0))
def test_no_true_peak_is_over_the_ceiling_and_no_sample_is_lost(seed: int, level: float) -> None:
    samples = noise(seed, level)
    out = limited([samples])
    assert len(out) == len(samples)
    assert true_peak_db(out) <= -1.0
    assert np.all(np.abs(out) <= np.abs(samples))


@settings(deadline=None)
@given(SEEDS, st.lists(st.integers(0, 900), max_size=12))
def test_chunks_make_no_difference(seed: int, lengths: list[int]) -> None:
    samples = noise(seed, 0.8)
    assert limited(cut(samples, lengths)).tobytes() == limited([samples]).tobytes()


@settings(deadline=None)
@given(SEEDS)
def test_what_has_no_high_peak_leaves_as_it_came(seed: int) -> None:
    samples = noise(seed, 0.05)
    assert limited([samples]).tobytes() == samples.tobytes()


def test_a_peak_at_the_very_beginning_is_under_the_ceiling_too() -> None:
    samples = np.zeros(1_000, dtype=np.float32)
    samples[:3] = 2.0
    assert true_peak_db(limited([samples])) <= -1.0


def test_the_gain_comes_back_after_a_peak_within_a_quarter_of_a_second() -> None:
    samples = np.full(RATE_HZ, 0.1, dtype=np.float32)
    samples[6_000:6_010] = 3.0
    out = limited([samples])
    assert out[6_200] < 0.09
    assert np.all(out[6_010 + RATE_HZ // 4 :] == samples[6_010 + RATE_HZ // 4 :])


def test_its_delay_is_within_its_stated_bound() -> None:
    limiter = PeakLimiter(RATE_HZ, -1.0)
    samples = noise(3, 1.0)
    assert len(limiter.push(samples)) == len(samples) - limiter.latency
    assert limiter.latency <= 0.006 * RATE_HZ
