"""Every sentence of a request is queued exactly once, in order, and what is owed is what is not spoken."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.wire.estimate import IMMEDIATE_S, audio_seconds
from services.common.wire.identity import Identity
from services.splitter.scheduling.backlog import Backlog
from services.splitter.scheduling.progress import Progress


def queue_next(progress: Progress) -> int | None:
    place = progress.peek()
    if place is not None:
        progress.queue(place)
    return place


@given(st.integers(1, 60), st.randoms(use_true_random=False))
def test_every_sentence_is_queued_once_and_in_order(sentences: int, draw: random.Random) -> None:
    progress = Progress(sentences)
    queued: list[int] = []
    while not progress.done:
        if progress.queued and draw.random() < 0.5:
            ended = draw.choice(sorted(progress.queued))
            assert progress.end(ended)
            assert not progress.end(ended), "a repeated end marker frees nothing"
        elif (place := queue_next(progress)) is not None:
            queued.append(place)
    assert queued == list(range(sentences))
    assert progress.peek() is None


@given(st.integers(1, 40), st.data())
def test_what_an_earlier_splitter_got_spoken_is_not_queued_again(sentences: int, data: st.DataObject) -> None:
    spoken = data.draw(st.sets(st.integers(0, sentences - 1)))
    progress = Progress(sentences)
    for place in spoken:
        assert not progress.end(place), "this splitter had not queued it"
    queued = list(iter(lambda: queue_next(progress), None))
    assert queued == [place for place in range(sentences) if place not in spoken]


def test_an_end_marker_for_a_sentence_that_does_not_exist_changes_nothing() -> None:
    progress = Progress(sentences=2)
    assert not progress.end(7)
    assert not progress.end(-1)
    assert queue_next(progress) == 0
    assert not progress.done


def test_the_ledger_owes_what_is_not_spoken_and_nothing_when_the_request_is_over() -> None:
    ledger = Backlog()
    with ledger.hold("request-1", "public", [10.0, 5.0]) as debt:
        assert (ledger.requests, ledger.owed_s) == (1, 15.0)
        debt.pay(0)
        debt.pay(0)
        assert ledger.owed_s == 5.0
        debt.pay(1)
        assert ledger.owed_s == 0
    assert (ledger.requests, ledger.owed_s) == (0, 0)


def test_of_a_book_no_more_is_due_at_once_than_of_a_paragraph() -> None:
    ledger = Backlog()
    with (
        ledger.hold("book", "public", [10.0] * 6_000),
        ledger.hold("paragraph", "public", [10.0]),
        ledger.hold("greeting", "other", [2.0]),
    ):
        assert ledger.due_s() == {"public": 2 * IMMEDIATE_S, "other": pytest.approx(2.0)}
    assert ledger.due_s() == {}


def test_what_was_taken_up_is_news_once() -> None:
    ledger = Backlog()
    with ledger.hold("request-1", "public", [1.0]):
        assert ledger.take_news() == (Identity("public", "request", "request-1"),)
        assert ledger.take_news() == ()


def test_a_chinese_character_sounds_longer_than_a_latin_one() -> None:
    assert audio_seconds(100, "zh") > 2 * audio_seconds(100, "fr")
