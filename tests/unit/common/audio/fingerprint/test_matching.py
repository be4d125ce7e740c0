"""A sentence is found in a recording by its fingerprint, where it is, and no other sentence is."""

import numpy as np
import pytest

from services.common.audio.clip import Clip
from services.common.audio.fingerprint.matching import Lookup
from services.common.audio.fingerprint.words import (
    MOST_WORDS,
    SentenceFingerprint,
    fingerprint,
    words_of,
)
from services.common.audio.resample import resample
from tests.support.recordings import speech_of

RATE_HZ = 24_000
SENTENCE_S = 1.9
*SPEECH, OTHER = np.split(speech_of(5 * SENTENCE_S).samples, 5)  # one reader
WORDS = [fingerprint(Clip(samples, RATE_HZ)) for samples in SPEECH]


def noise(count: int, level: float) -> np.ndarray:  # type: ignore[type-arg]
    return np.random.default_rng(3).normal(0, level, count).astype(np.float32)


@pytest.mark.parametrize("cut_s", [0.0, 0.0031, 1.0137])
def test_a_sentence_is_found_where_it_is(cut_s: float) -> None:
    before = noise(RATE_HZ, 0.001)
    recording = np.concatenate([before, SPEECH[2], SPEECH[0]])[round(cut_s * RATE_HZ) :]
    found = {match.sentence: match for match in Lookup(Clip(recording, RATE_HZ)).matches(WORDS)}
    assert set(found) == {0, 2}
    assert found[2].start_s == pytest.approx(1.0 - cut_s, abs=0.012)
    assert found[0].start_s == pytest.approx(1.0 + SENTENCE_S - cut_s, abs=0.012)


def test_a_part_of_a_sentence_is_found_after_noise_gain_and_a_telephones_rate() -> None:
    part = SPEECH[1][RATE_HZ // 5 :]
    level = float(np.sqrt(np.mean(part**2))) / 10  # 20 dB below
    worse = resample(Clip((part + noise(len(part), level)) * np.float32(0.3), RATE_HZ), 8_000)
    (match,) = Lookup(worse).matches(WORDS)
    assert match.sentence == 1
    assert match.start_s == pytest.approx(-0.2, abs=0.012)


def test_other_speech_and_silence_match_nothing() -> None:
    assert Lookup(Clip(OTHER, RATE_HZ)).matches(WORDS) == []
    silence = Clip(np.zeros(3 * RATE_HZ, dtype=np.float32), RATE_HZ)
    assert Lookup(silence).matches([*WORDS, fingerprint(silence)]) == []


def test_a_recording_that_is_too_short_matches_nothing() -> None:
    for count in (0, 1, RATE_HZ // 10):
        assert Lookup(Clip(SPEECH[0][:count], RATE_HZ)).matches(WORDS) == []
        assert len(fingerprint(Clip(SPEECH[0][:count], RATE_HZ))) == 0


def test_the_fingerprint_does_not_depend_on_how_the_samples_arrive() -> None:
    stream = SentenceFingerprint(RATE_HZ)
    for part in np.array_split(SPEECH[0], 7):
        stream.push(part)
    assert np.array_equal(words_of(stream.finish()), WORDS[0])


def test_a_very_long_sentence_has_a_bounded_fingerprint() -> None:
    stream = SentenceFingerprint(RATE_HZ)
    for _ in range(210):
        stream.push(SPEECH[0])
    assert len(words_of(stream.finish())) == MOST_WORDS


def test_bytes_that_are_no_whole_words_are_read_without_their_end() -> None:
    assert len(words_of(b"\x01\x02\x03\x04\x05")) == 1
