"""Cutting a sentence for synthesis, and joining it again."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.synth_worker.engines.embedded.g2p import VOCABULARY
from services.synth_worker.engines.embedded.rendering.prosody import Prosody
from services.synth_worker.engines.embedded.rendering.seams import Seams
from services.synth_worker.engines.embedded.rendering.tokens import MOST_TOKENS, token_parts
from services.synth_worker.engines.embedded.rendering.windows import plan_windows

FRAME = 600


def prosody(energies: list[float], voiced: bool = True) -> Prosody:
    energy = np.repeat(np.array(energies, dtype=np.float32), 2)[None]
    pitch = np.where(energy > 0, 120.0 if voiced else 8.0, 8.0).astype(np.float32)
    return Prosody(np.zeros((1, 512, len(energies)), dtype=np.float32), pitch, energy)


@given(st.text(alphabet="".join(VOCABULARY), max_size=1200))
def test_parts_hold_every_phone_in_order_and_fit_the_model(phonemes: str) -> None:
    pieces = token_parts(phonemes, VOCABULARY)
    letters = [VOCABULARY[symbol] for symbol in phonemes if symbol.isalpha()]
    spoken = {VOCABULARY[symbol] for symbol in VOCABULARY if symbol.isalpha()}
    assert [token for piece in pieces for token in piece if token in spoken] == letters
    assert all(0 < len(piece) <= MOST_TOKENS for piece in pieces)


def test_a_long_sentence_is_cut_at_the_end_of_a_clause() -> None:
    clause = "ðə ɡˈɑːɹdən ɪz bɪhˈInd ði ˈOld hˈWs, "
    pieces = token_parts(clause * 10, VOCABULARY)
    assert len(pieces) == 2
    assert pieces[0][-1] == VOCABULARY[","]


def test_silence_has_no_windows() -> None:
    assert plan_windows(prosody([-9.0] * 40)) == []


@given(st.lists(st.floats(-9, 9), min_size=1, max_size=400))
def test_windows_follow_each_other_without_a_gap(energies: list[float]) -> None:
    windows = plan_windows(prosody(energies))
    for left, right in pairwise(windows):
        assert left.stop == right.start
    for window in windows:
        assert window.start < window.stop
        assert window.before <= window.start
        assert window.stop + window.after <= len(energies)


def test_a_cut_falls_into_the_pause() -> None:
    energies = [-9.0] * 4 + [7.0] * 30 + [-5.0] * 6 + [7.0] * 80
    assert any(34 < window.stop < 40 for window in plan_windows(prosody(energies)))


def test_the_first_window_is_short_and_the_next_ones_grow() -> None:
    lengths = [window.stop - window.start for window in plan_windows(prosody([7.0] * 400))]
    assert lengths[0] <= 14
    assert all(later <= 4 * earlier for earlier, later in pairwise(lengths))


def test_seams_give_a_steady_tone_back() -> None:
    time = np.arange(100 * FRAME) / 24_000
    tone = (0.3 * np.sin(2 * np.pi * 150 * time)).astype(np.float32)
    seams = Seams()
    joined = np.concatenate(
        [
            seams.join(tone[: 48 * FRAME], 0, 40 * FRAME, last=False),
            seams.join(tone[34 * FRAME :], 6 * FRAME, 66 * FRAME, last=True),
        ]
    )
    np.testing.assert_allclose(joined, tone, atol=1e-6)


def test_a_seam_between_windows_of_different_levels_does_not_click() -> None:
    time = np.arange(100 * FRAME) / 24_000
    tone = (0.3 * np.sin(2 * np.pi * 150 * time)).astype(np.float32)
    seams = Seams()
    joined = np.concatenate(
        [
            seams.join(tone[: 48 * FRAME], 0, 40 * FRAME, last=False),
            seams.join(0.5 * tone[34 * FRAME :], 6 * FRAME, 66 * FRAME, last=True),
        ]
    )
    assert len(joined) == 100 * FRAME
    assert np.abs(np.diff(joined)).max() < 1.2 * np.abs(np.diff(tone)).max()
