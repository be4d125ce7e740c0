"""The division of sentences into windows of the recognizer that scores the searches."""

import numpy as np

from benchmarks.quality.search.windows import HZ, Spoken, windows


def spoken(seconds: float, text: str) -> Spoken:
    return np.zeros(int(seconds * HZ), np.float32), text.split()


def texts(sentences: list[Spoken]) -> list[list[str]]:
    return [[" ".join(words) for _, words in window] for window in windows(sentences)]


def test_sentences_share_a_window_as_long_as_they_fit() -> None:
    sentences = [spoken(10, "one"), spoken(10, "two"), spoken(10, "three")]
    assert texts(sentences) == [["one", "two"], ["three"]]


def test_a_sentence_is_never_twice_in_a_window() -> None:
    sentences = [spoken(2, text) for text in ("a b", "c", "a b", "c", "c")]
    assert texts(sentences) == [["a b", "c"], ["a b", "c"], ["c"]]


def test_a_sentence_that_is_too_long_shares_no_window() -> None:
    assert texts([spoken(40, "long"), spoken(1, "short")]) == [["long"], ["short"]]


def test_no_sentences_need_no_window() -> None:
    assert texts([]) == []
