"""A sentence that a benchmark synthesizes to its end."""

from collections.abc import Sequence

import numpy as np
import pytest

from benchmarks.sentence import speak
from services.common.wire.failures import UnspeakableText
from services.synth_worker.engines.protocol import Step, TimedSpan, Utterance
from services.synth_worker.engines.tone import ToneEngine

UTTERANCE = Utterance("Hello.", "en", 1)


class Scripted(ToneEngine):
    """An engine whose steps are given."""

    def __init__(self, steps: Sequence[Step]) -> None:
        super().__init__()
        self.steps = list(steps)

    def open(self, utterance: Utterance, voice: object) -> object:
        return utterance

    def step(self, batch: Sequence[object]) -> list[Step]:
        return [self.steps.pop(0)]


def step(*values: float, done: bool = False, times: tuple[TimedSpan, ...] = ()) -> Step:
    return Step(np.array(values, dtype=np.float32), done=done, times=times)


def test_samples_and_word_times_of_all_steps_are_joined() -> None:
    hello = TimedSpan(0, 5, 0, 3)
    engine = Scripted([step(), step(1, 2), step(3, times=(hello,)), step(done=True)])
    spoken = speak(engine, None, UTTERANCE)
    assert spoken.samples.tolist() == [1, 2, 3]
    assert spoken.times == (hello,)
    assert 0 < spoken.first_audio_s <= spoken.total_s
    assert spoken.sequence is UTTERANCE


def test_the_samples_of_the_last_step_are_included() -> None:
    assert speak(Scripted([step(1), step(2, done=True)]), None, UTTERANCE).samples.tolist() == [
        1,
        2,
    ]


def test_a_failed_step_raises_its_failure() -> None:
    failed = Step(np.zeros(0, np.float32), done=True, failure=UnspeakableText("no words"))
    with pytest.raises(UnspeakableText, match="no words"):
        speak(Scripted([step(1), failed]), None, UTTERANCE)
