"""The clock of the ragged benchmark counts work, and listeners wait for those who came before them."""

from itertools import count
from typing import Any

import numpy as np
import pytest

from benchmarks.xtts_gpu.bench import RATE_HZ
from benchmarks.xtts_ragged import arrivals_of, queued, row, serve
from services.synth_worker.engines.protocol import Step


class Counting:
    """An engine whose sentences have three steps of a second of audio each."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def open(self, _utterance: Any, _voice: Any) -> list[int]:
        return [3]

    def step(self, batch: list[list[int]]) -> list[Step]:
        self.batches.append(len(batch))
        for sentence in batch:
            sentence[0] -= 1
        second = np.zeros(RATE_HZ, np.float32)
        return [Step(second, done=not sentence[0]) for sentence in batch]


def test_all_at_once_share_the_steps_and_the_rest_waits_for_a_place() -> None:
    engine, listeners = Counting(), arrivals_of("abc", float("inf"))
    ticks = count()
    worked_s = serve(engine, None, listeners, 2, clock=lambda: next(ticks))  # type: ignore[arg-type]
    assert engine.batches == [2, 2, 2, 1, 1, 1]
    assert worked_s == 6, "a second of work for each step"
    assert [one.first_audio_s for one in listeners] == [1, 1, 4]
    assert [one.audio_s for one in listeners] == [3, 3, 3]


def test_time_between_sentences_is_no_work_and_delays_no_audio() -> None:
    engine, listeners = Counting(), arrivals_of("ab", 1e-6)
    assert listeners[1].arrived_s > 100
    ticks = count()
    worked_s = serve(engine, None, listeners, 2, clock=lambda: next(ticks))  # type: ignore[arg-type]
    assert engine.batches == [1] * 6
    assert worked_s == 6
    assert [one.first_audio_s for one in listeners] == pytest.approx([1, 1])


def test_one_after_another_each_waits_for_the_sentences_before() -> None:
    listeners = arrivals_of("ab", float("inf"))
    queued([[(2.0, RATE_HZ), (5.0, RATE_HZ)], [(1.0, RATE_HZ)]], listeners)
    assert [one.first_audio_s for one in listeners] == [2, 6]
    assert listeners[0].worst_s == pytest.approx(2.0), "a second of audio at 2 s, the next at 5 s"
    assert row("stock", "all", listeners, 6.0) == "| stock | all | 2.00 | 4.0 s, 6.0 s | 50% |"
