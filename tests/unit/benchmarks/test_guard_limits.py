"""The guard's limits are checked against recordings: pauses and paces are measured as the guard sees them."""

import numpy as np
import pytest

from benchmarks.guard_limits import Recording, judged, longest_pause_s, trimmed, watched
from benchmarks.quality.references import RATE_HZ, Samples

TEXT = "The visitors came by train, although the road had been repaired."  # some 4 s


def spoken(seconds: float) -> Samples:
    return np.full(round(seconds * RATE_HZ), 0.1, np.float32)


def quiet(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE_HZ), np.float32)


def test_the_longest_pause_within_a_recording_is_measured_without_its_ends() -> None:
    samples = np.concatenate([quiet(2), spoken(1), quiet(0.7), spoken(1), quiet(0.2), spoken(1)])
    assert longest_pause_s(samples) == pytest.approx(0.7, abs=0.001)
    assert len(trimmed(np.concatenate([samples, quiet(3)]))) == round(3.9 * RATE_HZ)


@pytest.mark.parametrize("speed", [1.0, 0.5, 0.25])
def test_a_pause_is_judged_at_every_speed_as_at_the_usual_one(speed: float) -> None:
    for pause_s, fault in ((1.3, None), (1.8, "silence")):
        samples = np.concatenate([spoken(2), quiet(pause_s), spoken(2)])
        assert watched(Recording("en", samples, TEXT), speed) == fault
        assert watched(Recording("en", samples), speed) == fault


def test_a_pace_that_is_not_human_is_a_fault_where_the_text_is_known() -> None:
    assert watched(Recording("en", spoken(20), TEXT), 1.0) == "runaway"
    assert watched(Recording("en", spoken(0.5), TEXT), 1.0) == "short"
    assert watched(Recording("en", spoken(20)), 1.0) is None


def test_the_table_counts_the_faults_by_kind_and_speed() -> None:
    recordings = [Recording("en", spoken(4.3), TEXT), Recording("en", spoken(20), TEXT)]
    row = judged(iter(recordings)).row("two")
    assert row == "| two | 2 | 0.00 s | 1.01, 2.85, 4.69 | runaway 1 | runaway 1 | runaway 1 |"
