"""The patience with a silent attempt, and the number of its restarts, are limited."""

import math

import pytest

from services.http_edge.errors import AudioGone
from services.http_edge.speech.assembly import Assembly
from services.http_edge.speech.attempt_limits import OwnAttempt, Restarts
from services.http_edge.speech.portions import LatestPortion


def test_an_attempt_without_portions_can_be_silent_for_any_time() -> None:
    own = OwnAttempt("a" * 32, 3, in_portions=False)
    assert own.patience_s(LatestPortion("a" * 32, 3), Assembly()) == math.inf
    assert own.patience_s(None, Assembly()) == math.inf


def test_an_attempt_covers_the_sentences_from_its_first_one_on() -> None:
    own = OwnAttempt("a" * 32, 3, in_portions=True)
    assert [own.covers(sentence) for sentence in (2, 3, 4)] == [False, True, True]


def test_a_portion_that_has_begun_and_whose_end_is_unknown_gets_less_patience() -> None:
    own = OwnAttempt("a" * 32, 0, in_portions=True)
    waiting = own.patience_s(LatestPortion("a" * 32, first=1), Assembly())
    begun = Assembly(first_sentence=2)
    assert own.patience_s(LatestPortion("a" * 32, first=1), begun) < waiting < math.inf
    assert own.patience_s(LatestPortion("a" * 32, first=1, until=5), begun) == waiting


def test_restarts_are_counted_at_one_position_and_end_in_a_failure() -> None:
    restarts = Restarts()
    for _ in range(3):
        restarts.add((4, 1))
    restarts.add((4, 2))
    assert restarts.count == 1
    for _ in range(2):
        restarts.add((4, 2))
    with pytest.raises(AudioGone, match="dropped"):
        restarts.add((4, 2))
