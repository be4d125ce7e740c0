"""The window never lets more than its size into the queue, and lets every sentence in exactly once."""

from hypothesis import given
from hypothesis import strategies as st

from services.splitter.ledger import Ledger, audio_seconds
from services.splitter.window import Window


@given(st.integers(1, 60), st.integers(1, 12), st.data())
def test_every_sentence_is_queued_once_and_never_more_than_the_window_at_a_time(
    sentences: int, size: int, data: st.DataObject
) -> None:
    window = Window(sentences, size)
    queued: list[int] = []
    in_queue: set[int] = set()
    while not window.done:
        places = window.to_queue()
        queued += places
        in_queue |= set(places)
        assert len(in_queue) <= size
        ended = data.draw(st.sampled_from(sorted(in_queue)))
        in_queue.discard(ended)
        window.end(ended)
        window.end(ended)  # a repeated end marker changes nothing
    assert queued == list(range(sentences))
    assert window.to_queue() == []


@given(st.integers(1, 40), st.data())
def test_what_an_earlier_splitter_got_spoken_is_not_queued_again(sentences: int, data: st.DataObject) -> None:
    spoken = data.draw(st.sets(st.integers(0, sentences - 1)))
    window = Window(sentences, sentences)
    for place in spoken:
        window.end(place)
    assert window.to_queue() == [place for place in range(sentences) if place not in spoken]


def test_an_end_marker_for_a_sentence_that_does_not_exist_changes_nothing() -> None:
    window = Window(sentences=2, size=2)
    window.end(7)
    window.end(-1)
    assert window.to_queue() == [0, 1]
    assert not window.done


def test_the_ledger_owes_what_is_not_spoken_and_nothing_when_the_request_is_over() -> None:
    ledger = Ledger()
    with ledger.hold("request-1", [140, 70], "en"):
        assert (ledger.requests, ledger.owed_s) == (1, 15.0)
        ledger.spoken("request-1", 0)
        ledger.spoken("request-1", 0)
        assert ledger.owed_s == 5.0
    assert (ledger.requests, ledger.owed_s) == (0, 0)


def test_a_request_at_twice_the_speed_owes_half_as_much() -> None:
    ledger = Ledger()
    with ledger.hold("request-1", [140, 70], "en", speed=2.0):
        assert ledger.owed_s == 7.5


def test_a_chinese_character_sounds_longer_than_a_latin_one() -> None:
    assert audio_seconds(100, "zh") > 2 * audio_seconds(100, "fr")
