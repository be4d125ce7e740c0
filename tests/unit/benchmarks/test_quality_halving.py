"""Successive halving of voices: which of them remain, on which sentences, and how two are compared."""

from collections.abc import Sequence

import numpy as np
import pytest

from benchmarks.quality.search.halving import Round, Scores, best, difference, halved
from benchmarks.quality.search.names import VOICES
from services.synth_worker.engines.embedded.voices.styles import SPACE_REGISTERS, STOCK_NAMES

QUALITY = {f"f{n}": float(n) for n in range(8)} | {f"m{n}": float(n) / 2 for n in range(8)}
KINDS = [[name for name in QUALITY if name[0] == letter] for letter in "fm"]
TODAY = ["high", "low"]
ROUNDS = (Round(2, 4), Round(5, 2))


class Voices:
    """Candidates of known quality; notes what is tried."""

    def __init__(self, noise: float = 0.0) -> None:
        self._noise = np.random.default_rng(3).normal(scale=noise, size=100)
        self.tried: list[tuple[list[str], range]] = []

    def __call__(self, names: Sequence[str], sentences: range) -> Scores:
        self.tried.append((list(names), sentences))
        return {
            name: [QUALITY.get(name, -1.0) + float(self._noise[one]) for one in sentences]
            for name in names
        }


def test_the_best_of_each_kind_and_those_of_today_remain() -> None:
    found = halved(KINDS, TODAY, ROUNDS, Voices())
    assert list(found) == ["high", "low", "f7", "f6", "m7", "m6"]


def test_a_later_round_tries_fewer_candidates_on_new_sentences_alone() -> None:
    voices = Voices()
    found = halved(KINDS, TODAY, ROUNDS, voices)
    assert [sentences for _, sentences in voices.tried] == [range(2), range(2, 5)]
    assert voices.tried[1][0] == [*TODAY, "f7", "f6", "f5", "f4", "m7", "m6", "m5", "m4"]
    assert {len(scores) for scores in found.values()} == {5}


def test_noise_of_the_sentences_does_not_change_who_is_better() -> None:
    assert list(halved(KINDS, TODAY, ROUNDS, Voices(noise=9.0))) == [
        "high",
        "low",
        "f7",
        "f6",
        "m7",
        "m6",
    ]


def test_the_best_come_first() -> None:
    assert best({"a": [1.0, 2.0], "b": [3.0, 0.5], "c": [0.0, 0.0]}, 2) == ["b", "a"]


def test_a_difference_is_that_of_the_same_sentences() -> None:
    found = difference([2.0, 5.0, 11.0], [1.0, 4.0, 10.0])
    assert (found.mean, found.error) == (1.0, 0.0)


def test_the_error_of_a_difference_shrinks_with_the_number_of_sentences() -> None:
    found = difference([1.0, 3.0] * 8, [0.0] * 16)
    assert found.mean == pytest.approx(2.0)
    assert found.error == pytest.approx(np.std([1.0, 3.0] * 8, ddof=1) / 4)


def test_every_voice_of_kokoro_is_searched() -> None:
    assert "".join(name[1] for name in VOICES) == SPACE_REGISTERS
    assert set(STOCK_NAMES) < set(VOICES)
