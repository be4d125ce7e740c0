"""The embedded engine with the real model, beyond what the conformance suite asks of every engine.

That equal utterances give equal bytes, also among other sentences, is tested in tests/contract/test_engines.py.
"""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import msgpack
import numpy as np
import pytest

from services.common.audio.clip import Clip, Samples
from services.common.wire.failures import (
    MalformedMessage,
    UnspeakableText,
    UnsupportedLanguage,
    UnusableReference,
)
from services.common.wire.languages import LANGUAGES
from services.common.wire.options import (
    Parameters,
)
from services.synth_worker.engines.embedded.engine import (
    EmbeddedEngine,
    EmbeddedSettings,
    LoadedVoice,
    SentenceInProgress,
)
from services.synth_worker.engines.protocol import Utterance

RATE = 24_000
SHORT = "The garden is behind the old house."
LONG = "The garden is behind the old house, and the road to the village runs along the river."


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the first engine joins the weights, 190 MB."""
    return tmp_path_factory.mktemp("model")


@pytest.fixture(scope="module")
def engine(model_folder: Path) -> Iterator[EmbeddedEngine]:
    engine = EmbeddedEngine(EmbeddedSettings(cache=model_folder, threads=1))
    engine.load()
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def reference(engine: EmbeddedEngine) -> Clip:
    """A voice that is none of the stock voices of the tests: a stock voice speaking Portuguese."""
    stock = engine.restore(engine.stock_voice(120.0))
    said = spoken(
        engine,
        stock,
        "Vamos nos ver amanhã, pouco depois das nove, no jardim atrás da casa velha.",
        "pt",
    )
    return Clip(np.concatenate([said, said]), RATE)


@pytest.fixture(scope="module")
def voice(engine: EmbeddedEngine, reference: Clip) -> LoadedVoice:
    return engine.restore(engine.condition([reference]))


def windows(engine: EmbeddedEngine, sentence: SentenceInProgress) -> list[Samples]:
    heard = []
    while not (step := engine.step([sentence])[0]).done:
        heard.append(step.samples)
    return heard


def spoken(
    engine: EmbeddedEngine, voice: LoadedVoice, text: str, language: str = "en", seed: int = 1
) -> Samples:
    return np.concatenate(windows(engine, engine.open(Utterance(text, language, seed), voice)))


@pytest.fixture(scope="module")
def long_windows(engine: EmbeddedEngine, voice: LoadedVoice) -> list[Samples]:
    """The windows of the long sentence, rendered once for all tests that only look at them."""
    return windows(engine, engine.open(Utterance(LONG, "en", 1), voice))


@pytest.fixture(scope="module")
def long_speech(long_windows: list[Samples]) -> Samples:
    return np.concatenate(long_windows)


def test_it_describes_itself_before_it_is_loaded(tmp_path: Path) -> None:
    description = EmbeddedEngine(EmbeddedSettings(cache=tmp_path)).describe()
    assert description.name == "embedded"
    assert description.languages == tuple(LANGUAGES)
    assert set(description.max_characters) == set(LANGUAGES)
    assert description.sample_rate_hz == RATE
    assert description.max_batch == 1


def test_another_process_with_more_threads_gives_equal_bytes(
    engine: EmbeddedEngine, reference: Clip, long_speech: Samples, model_folder: Path
) -> None:
    other = EmbeddedEngine(EmbeddedSettings(cache=model_folder, threads=3))
    other.load()
    stored = engine.condition([reference])
    again = spoken(other, other.restore(stored), LONG)
    other.close()
    assert again.tobytes() == long_speech.tobytes()


def test_a_stored_voice_speaks_as_the_one_it_was_stored_from(
    engine: EmbeddedEngine, reference: Clip, voice: LoadedVoice
) -> None:
    stored = engine.condition([reference])
    assert len(stored) < 300_000
    assert (
        spoken(engine, engine.restore(stored), "Hello there.").tobytes()
        == spoken(engine, voice, "Hello there.").tobytes()
    )


def test_a_built_in_voice_is_a_stock_voice_that_speaks_every_language_as_it_is(
    engine: EmbeddedEngine,
) -> None:
    description = engine.describe()
    assert len(description.voices) == 15
    assert {(voice.name, voice.gender, voice.languages) for voice in description.voices} >= {
        ("af_heart", "female", ("en",)),
        ("jm_kumo", "male", ("ja",)),
        ("zf_xiaobei", "female", ("zh",)),
    }
    for pitch_hz, name in ((210.0, "af_heart"), (120.0, "am_michael")):
        built_in = engine.restore(engine.built_in(name))
        assert built_in.filter is None
        stock = engine.restore(engine.stock_voice(pitch_hz))
        assert (
            spoken(engine, built_in, "Hello there.").tobytes()
            == spoken(engine, stock, "Hello there.").tobytes()
        )
        assert (
            spoken(engine, built_in, "Bonjour à tous.", "fr").tobytes()
            != spoken(engine, stock, "Bonjour à tous.", "fr").tobytes()
        )


def test_a_built_in_voice_of_another_release_is_refused(engine: EmbeddedEngine) -> None:
    fields = msgpack.unpackb(engine.built_in("af_heart"))
    with pytest.raises(MalformedMessage):
        engine.restore(msgpack.packb(fields | {"stock_name": "xx_nobody"}))


def test_the_first_window_is_short_and_the_sentence_comes_in_several(
    long_windows: list[Samples],
) -> None:
    assert len(long_windows) > 2
    assert len(long_windows[0]) / RATE < 1.25


def test_speech_is_about_as_loud_for_every_voice_and_never_clips(
    engine: EmbeddedEngine, long_speech: Samples
) -> None:
    stock = engine.restore(engine.stock_voice(210.0))
    for samples in (long_speech, spoken(engine, stock, SHORT)):
        level = 20 * np.log10(np.sqrt(np.mean(samples**2)))
        assert -24 < level < -16
        assert np.abs(samples).max() < 1


def test_speech_begins_and_ends_with_a_short_silence(
    engine: EmbeddedEngine, voice: LoadedVoice
) -> None:
    samples = spoken(engine, voice, SHORT)
    loud = np.flatnonzero(np.abs(samples) > 0.02)
    assert loud[0] / RATE < 0.2
    assert (len(samples) - loud[-1]) / RATE < 0.35


@pytest.mark.parametrize("language", list(LANGUAGES))
def test_every_language_is_spoken(
    engine: EmbeddedEngine, voice: LoadedVoice, language: str
) -> None:
    samples = spoken(engine, voice, LANGUAGES[language], language)
    assert 0.3 < len(samples) / RATE < 3
    assert np.sqrt(np.mean(samples**2)) > 0.02


@pytest.mark.parametrize("speed", [1.0, 2.0])
def test_it_reports_when_it_speaks_each_word_and_the_pauses_between_them(
    engine: EmbeddedEngine, voice: LoadedVoice, speed: float
) -> None:
    text = "One of the trains was late, but the people on the platform waited."
    parameters = Parameters(speed=speed)
    sentence = engine.open(Utterance(text, "en", 1, parameters), voice)
    steps = [engine.step([sentence])[0]]
    while not steps[-1].done:
        steps += engine.step([sentence])
    samples = np.concatenate([step.samples for step in steps])
    times = [time for step in steps for time in step.times]
    assert [text[time.start : time.end] for time in times] == text.replace(",", "")[:-1].split()
    borders = [sample for time in times for sample in (time.first_sample, time.end_sample)]
    assert borders == sorted(borders)
    assert borders[0] >= 0
    assert borders[-1] <= len(samples)
    assert borders[-1] - borders[0] > 0.8 * (len(samples) - 0.3 * 24_000)

    late = next(time for time in times if text[time.start : time.end] == "late")
    but = times[times.index(late) + 1]
    gaps = [after.first_sample - before.end_sample for before, after in pairwise(times)]
    assert but.first_sample - late.end_sample == max(gaps)


def test_a_sentence_beyond_the_model_is_spoken_in_parts_with_times_in_all_of_them(
    engine: EmbeddedEngine, voice: LoadedVoice
) -> None:
    text = " ".join(["The neighbours had noticed that the window was broken,"] * 6)
    sentence = engine.open(Utterance(text, "en", 1), voice)
    steps = [engine.step([sentence])[0]]
    while not steps[-1].done:
        steps += engine.step([sentence])
    samples = sum(len(step.samples) for step in steps)
    assert 15 < samples / RATE < 45
    times = [time for step in steps for time in step.times]
    assert [text[time.start : time.end] for time in times] == text.replace(",", "").split()
    assert times[-1].end_sample > 0.9 * samples


@pytest.mark.parametrize("text", ["...", "?!", " ", "\u200b"])
def test_text_without_phonemes_is_refused(
    engine: EmbeddedEngine, voice: LoadedVoice, text: str
) -> None:
    with pytest.raises(UnspeakableText):
        engine.open(Utterance(text, "en", 1), voice)


def test_an_unknown_language_is_refused(engine: EmbeddedEngine, voice: LoadedVoice) -> None:
    with pytest.raises(UnsupportedLanguage):
        engine.open(Utterance("Saluton", "eo", 1), voice)


def no_clips() -> list[Clip]:
    return []


def silence() -> list[Clip]:
    return [Clip(np.zeros(10 * RATE, dtype=np.float32), RATE)]


def noise() -> list[Clip]:
    return [Clip(np.random.default_rng(1).normal(0, 0.1, 10 * RATE).astype(np.float32), RATE)]


@pytest.mark.parametrize(
    "clips", [no_clips(), silence(), noise()], ids=["no clips", "silence", "noise"]
)
def test_a_reference_without_a_voice_is_refused(engine: EmbeddedEngine, clips: list[Clip]) -> None:
    with pytest.raises(UnusableReference, match="send at least 6 s"):
        engine.condition(clips)


@pytest.mark.parametrize(
    "changes",
    [
        {"pitch_hz": float("nan")},
        {"pitch_hz": float("-inf")},
        {"bands": 0},
        {"bands": 2**62},
        {"bands": -1},
    ],
)
def test_a_stored_voice_with_numbers_that_enrolment_never_makes_is_refused(
    engine: EmbeddedEngine, changes: dict[str, float]
) -> None:
    fields = {
        "format": "embedded-voice-2",
        "timbre": None,
        "shifts": {},
        "low": True,
        "pitch_hz": 100.0,
        "bands": 40,
    }
    fields["cepstra"] = np.random.default_rng(1).normal(0, 1, (50, 24)).astype("<f2").tobytes()
    engine.restore(msgpack.packb(fields))
    with pytest.raises(MalformedMessage):
        engine.restore(msgpack.packb(fields | changes))


@pytest.mark.parametrize("stored", [b"", b"\x00", b"\x81\xa6format\xa5other", b"not a voice"])
def test_bytes_that_are_no_voice_are_refused(engine: EmbeddedEngine, stored: bytes) -> None:
    with pytest.raises(MalformedMessage):
        engine.restore(stored)
