"""Consonants that espeak-ng drops between Dutch words are read."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import pytest

from services.synth_worker.engines.embedded.g2p.espeak.client import Espeak
from services.synth_worker.engines.embedded.g2p.espeak.joins import separated
from services.synth_worker.engines.embedded.g2p.espeak.reader import read_words


@pytest.fixture(scope="module")
def espeak() -> Iterator[Espeak]:
    child = Espeak()
    child.start()
    yield child
    child.close()


@pytest.mark.parametrize(
    ("words", "ipa"),
    [
        ("op het dak", "ɔp hət dˈɑk"),
        ("een dikke mist trok", "ən dˈɪkə mˈɪst trˈɔk"),
        ("iemand is zijn", "ˈimɑnt ɪs zɛ^ɪn"),
        ("hij leest de krant", "hɛ^ɪ lˈeːst də krˈɑnt"),
    ],
)
def test_a_dropped_consonant_and_the_one_after_it_are_read(
    espeak: Espeak, words: str, ipa: str
) -> None:
    assert read_words(espeak, words, "nl") == [ipa]


@pytest.mark.parametrize("words", ["altijd als er iemand", "een oude boom", "op 3 mei 1999", "ja"])
def test_words_that_lose_no_consonant_stay_as_they_are(espeak: Espeak, words: str) -> None:
    assert [read_words(espeak, words, "nl")] == espeak.clauses("nl", [words])


def test_other_languages_stay_as_they_are(espeak: Espeak) -> None:
    assert [read_words(espeak, "les petits enfants", "fr")] == espeak.clauses(
        "fr", ["les petits enfants"]
    )


def alone(readings: Mapping[str, str]) -> Callable[[Sequence[str]], list[str]]:
    return lambda words: [readings[word] for word in words]


def test_a_lost_vowel_is_not_restored() -> None:
    read_each = alone({"een": "ˈeːn", "nieuw": "nˈiʊ"})
    assert separated("een nieuw", "ə nˈiʊ", read_each) == "ə nˈiʊ"


def test_stress_is_that_of_the_whole() -> None:
    read_each = alone({"niet": "nˈit", "toe": "tˈu"})
    assert separated("niet toe", "ni tˈu", read_each) == "nit tˈu"


def test_readings_that_cannot_be_matched_with_words_stay() -> None:
    assert separated("a b", "ab", alone({})) == "ab"


def test_a_word_that_is_silent_alone_stays() -> None:
    assert separated("het …", "hə t", alone({"het": "hət", "…": ""})) == "hət t"
