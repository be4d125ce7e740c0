"""Every sentence of a request is queued exactly once, in order; the backlog is what is not spoken
yet."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.wire.estimate import IMMEDIATE_S, audio_seconds
from services.common.wire.identity import Identity
from services.common.wire.parts import EngineBacklog
from services.splitter.scheduling.backlog import Backlog
from services.splitter.scheduling.progress import Progress


def queue_next(progress: Progress) -> int | None:
    index = progress.peek()
    if index is not None:
        progress.queue(index)
    return index


@given(st.integers(1, 60), st.randoms(use_true_random=False))
def test_every_sentence_is_queued_once_and_in_order(sentences: int, draw: random.Random) -> None:
    progress = Progress(sentences)
    queued: list[int] = []
    while not progress.done:
        if progress.queued and draw.random() < 0.5:
            ended = draw.choice(sorted(progress.queued))
            assert progress.end(ended)
            assert not progress.end(ended), "a repeated end marker releases nothing"
        elif (index := queue_next(progress)) is not None:
            queued.append(index)
    assert queued == list(range(sentences))
    assert progress.peek() is None


@given(st.integers(1, 40), st.data())
def test_sentences_spoken_under_an_earlier_splitter_are_not_queued_again(
    sentences: int, data: st.DataObject
) -> None:
    spoken = data.draw(st.sets(st.integers(0, sentences - 1)))
    progress = Progress(sentences)
    for index in spoken:
        assert not progress.end(index), "this splitter had not queued it"
    queued = list(iter(lambda: queue_next(progress), None))
    assert queued == [index for index in range(sentences) if index not in spoken]


def test_an_end_marker_for_a_sentence_that_does_not_exist_changes_nothing() -> None:
    progress = Progress(sentences=2)
    assert not progress.end(7)
    assert not progress.end(-1)
    assert queue_next(progress) == 0
    assert not progress.done


def test_the_backlog_is_the_audio_not_spoken_yet_and_empty_after_the_request() -> None:
    backlog = Backlog()
    with backlog.hold("request-1", "public", [10.0, 5.0], engine="tone") as held:
        assert (backlog.requests, backlog.remaining_s) == (1, 15.0)
        held.mark_spoken(0)
        held.mark_spoken(0)
        assert backlog.remaining_s == 5.0
        held.mark_spoken(1)
        assert backlog.remaining_s == 0
    assert (backlog.requests, backlog.remaining_s) == (0, 0)


def test_a_book_adds_as_much_to_the_immediate_backlog_as_a_paragraph() -> None:
    backlog = Backlog()
    with (
        backlog.hold("book", "public", [10.0] * 6_000, engine="tone"),
        backlog.hold("paragraph", "public", [10.0], engine="tone"),
        backlog.hold("greeting", "other", [2.0], engine="tone"),
    ):
        assert backlog.immediate_s() == {"public": 2 * IMMEDIATE_S, "other": pytest.approx(2.0)}
    assert backlog.immediate_s() == {}


def test_each_engine_has_its_own_part_of_the_backlog() -> None:
    backlog = Backlog()
    with (
        backlog.hold("book", "public", [10.0] * 600, engine="xtts"),
        backlog.hold("greeting", "public", [2.0], engine="tone") as greeting,
        backlog.hold("greeting", "other", [1.0], engine="tone"),
    ):
        greeting.mark_spoken(0)
        assert backlog.by_engine() == {
            "xtts": EngineBacklog(6_000.0, {"public": IMMEDIATE_S}),
            "tone": EngineBacklog(1.0, {"public": 0.0, "other": 1.0}),
        }
    assert backlog.by_engine() == {}


def test_a_newly_held_request_is_reported_once() -> None:
    backlog = Backlog()
    with backlog.hold("request-1", "public", [1.0], engine="tone"):
        assert backlog.take_new() == (Identity("public", "request", "request-1"),)
        assert backlog.take_new() == ()


def test_a_chinese_character_is_estimated_longer_than_a_latin_one() -> None:
    assert audio_seconds(100, "zh") > 2 * audio_seconds(100, "fr")
