"""A sentence that replaces another one has the silence of that one around it."""

import numpy as np

from services.http_edge.jobs.silence import with_silence_of


def pcm(*parts: tuple[int, int]) -> bytes:
    """Return samples: each part has a length and a value."""
    return np.concatenate([np.full(count, value, "<i2") for count, value in parts]).tobytes()


def test_silence_before_and_after_is_that_of_the_model() -> None:
    model = pcm((3, 0), (5, 1_000), (7, 0))
    made, shift = with_silence_of(pcm((1, 0), (4, 2_000), (20, 0)), model)
    assert made == pcm((3, 0), (4, 2_000), (7, 0))
    assert shift == 2


def test_noise_of_rounding_counts_as_silence() -> None:
    made, shift = with_silence_of(pcm((2, -8), (4, 900)), pcm((5, 1_000), (3, 8)))
    assert made == pcm((4, 900), (3, 0))
    assert shift == -2


def test_a_pause_inside_a_sentence_stays() -> None:
    spoken = pcm((2, 500), (9, 0), (2, -500))
    assert with_silence_of(spoken, pcm((1, 1_000)))[0] == spoken


def test_without_audible_samples_nothing_changes() -> None:
    silent = pcm((5, 0))
    assert with_silence_of(silent, pcm((5, 1_000))) == (silent, 0)
    assert with_silence_of(pcm((5, 1_000)), silent) == (pcm((5, 1_000)), 0)
