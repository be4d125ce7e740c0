"""The design of the search for phonemes: what is read, and what is concluded from the scores."""

import tomllib
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from benchmarks.quality.search.design import (
    Effect,
    WordScore,
    best,
    choices,
    effects,
    phones_in,
)
from benchmarks.quality.search.read import symbols_of
from services.synth_worker.engines.embedded.g2p.vocabulary import kept_symbols

CANDIDATES_FILE: Final = (
    Path(__file__).parents[3] / "benchmarks" / "quality" / "search" / "candidates.toml"
)
TABLE: Final = tomllib.loads(CANDIDATES_FILE.read_text(encoding="utf-8"))
CANDIDATES = {"y": ["y", "ɨ", "ɪ"], "o": ["o", "ɔ"], "ˌ": ["ˌ", ""]}
WORDS = ["prʲibyl", "dom", "tyˌpo", "kot"]


def scores(gain: float, seed: int = 1) -> list[WordScore]:
    """Score words as a recognizer would that understands `ɨ` better than the start by `gain` nats."""
    noise = np.random.default_rng(seed)
    found = []
    for reading in choices(CANDIDATES, 10, 6, seed):
        for sentence, choice in enumerate(reading):
            for index, word in enumerate(WORDS):
                gained = gain * ("y" in word and choice["y"] == "ɨ")
                score = -2.0 - index + gained + float(noise.normal(scale=0.1))
                found.append(WordScore((sentence, index), word, choice, score))
    return found


def test_each_reading_gives_a_sentence_other_candidates_of_a_phone() -> None:
    drawn = choices(CANDIDATES, sentences=4, readings=3, seed=7)
    for sentence in range(4):
        assert {reading[sentence]["y"] for reading in drawn} == {"y", "ɨ", "ɪ"}


def test_equal_seeds_draw_equal_readings() -> None:
    assert choices(CANDIDATES, 5, 3, seed=7) == choices(CANDIDATES, 5, 3, seed=7)


def test_the_longest_phone_is_found_first() -> None:
    assert phones_in("t^ʃɛɾ", ["t", "t^ʃ", "ɾ", "ɛɾ"]) == {"t^ʃ", "ɛɾ"}


def test_a_candidate_that_is_understood_better_is_adopted() -> None:
    adopted = best(effects(CANDIDATES, scores(gain=1.0)))
    assert adopted["y"].symbols == "ɨ"
    assert adopted["y"].nats > 0.8


def test_a_candidate_that_is_understood_worse_is_not_adopted() -> None:
    found = effects(CANDIDATES, scores(gain=-1.0))
    assert all(effect.symbols != "ɨ" for effect in best(found).values())


def test_an_effect_within_two_errors_is_not_adopted() -> None:
    found = [Effect("o", "ɔ", nats=0.3, error=0.2, words=9)]
    assert best(found) == {}


def test_an_effect_on_a_single_word_is_not_adopted() -> None:
    found = [Effect("o", "ɔ", nats=3.0, error=0.2, words=1)]
    assert best(found) == {}


@pytest.mark.parametrize("language", TABLE)
def test_a_search_starts_at_the_symbols_of_the_engine(language: str) -> None:
    for ipa, candidates in TABLE[language].items():
        assert kept_symbols(symbols_of(ipa, language, {})) == kept_symbols(candidates[0]), ipa


@pytest.mark.parametrize("language", TABLE)
def test_a_search_tries_each_candidate_of_a_phone(language: str) -> None:
    for ipa, candidates in TABLE[language].items():
        found = [symbols_of(ipa, language, {ipa: symbols}) for symbols in candidates]
        assert found == candidates


@pytest.mark.parametrize("language", TABLE)
def test_candidates_are_symbols_of_kokoro(language: str) -> None:
    for candidates in TABLE[language].values():
        assert all(kept_symbols(symbols) == symbols for symbols in candidates)
