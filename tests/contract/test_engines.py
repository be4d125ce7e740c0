"""The promises of every engine."""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.common.audio.clip import Clip, Samples
from services.common.audio.loudness import integrated_lufs, true_peak_db
from services.common.wire.failures import UnspeakableText, UnusableReference
from services.common.wire.languages import LANGUAGES
from services.common.wire.messages import AS_USUAL, Parameters
from services.common.wire.parameters import RANGES
from services.synth_worker.engines.embedded.engine import EmbeddedEngine, EmbeddedSettings
from services.synth_worker.engines.protocol import Engine, Utterance
from services.synth_worker.engines.tone import ToneEngine
from services.synth_worker.engines.xtts.decoder.linear import Precision
from services.synth_worker.engines.xtts.engine import XttsEngine, XttsSettings
from services.synth_worker.engines.xtts.weights.location import WeightSettings
from services.synth_worker.finishing.parameters import finishing_of
from tests.support.recordings import speech_of
from tests.support.xtts_checkpoint import make_checkpoint

PRECISIONS: dict[str, Precision] = {"xtts": "float32", "xtts-bfloat16": "bfloat16", "xtts-int8": "int8"}
CACHE = Path.home() / ".cache" / "voice-cloning-pipeline"
SENTENCES = {
    "fr": "Bonjour, je parle avec une autre voix.",
    "en": "Good morning, I speak with another voice.",
    "es": "Buenos días, hablo con otra voz.",
    "de": "Guten Morgen, ich spreche mit einer anderen Stimme.",
    "it": "Buongiorno, parlo con un'altra voce.",
    "pt": "Bom dia, falo com outra voz.",
    "pl": "Dzień dobry, mówię innym głosem.",
    "tr": "Günaydın, başka bir sesle konuşuyorum.",
    "ru": "Доброе утро, я говорю другим голосом.",
    "nl": "Goedemorgen, ik spreek met een andere stem.",
    "cs": "Dobré ráno, mluvím jiným hlasem.",
    "ar": "صباح الخير، أتكلم بصوت آخر.",
    "zh": "早上好，我用另一个声音说话。",
    "hu": "Jó reggelt, egy másik hangon beszélek.",
    "ko": "안녕하세요, 저는 다른 목소리로 말합니다.",
    "ja": "おはようございます、別の声で話します。",
    "hi": "सुप्रभात, मैं दूसरी आवाज़ में बोलता हूँ।",
}


def engine_named(name: str, folder: Path) -> Engine[Any, Any]:
    if name == "tone":
        return ToneEngine()
    if name == "embedded":
        return EmbeddedEngine(EmbeddedSettings(cache=CACHE, threads=2))
    make_checkpoint(folder)
    weights = WeightSettings(model_dir=folder, agreed=True)
    return XttsEngine(XttsSettings(weights, device="cpu", precision=PRECISIONS[name], threads=2))


@pytest.fixture(scope="module", params=["tone", "embedded", *PRECISIONS])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine[Any, Any]]:
    engine = engine_named(request.param, tmp_path_factory.mktemp("xtts"))
    engine.load()
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def voice(engine: Engine[Any, Any]) -> Any:
    return engine.restore(engine.condition([speech_of(8)]))


def spoken(engine: Engine[Any, Any], utterance: Utterance, voice: Any) -> Samples:
    sequence = engine.open(utterance, voice)
    pieces, done = [], False
    while not done:
        [step] = engine.step([sequence])
        pieces.append(step.samples)
        done = step.done
    return np.concatenate(pieces)


@pytest.fixture(scope="module")
def in_language(engine: Engine[Any, Any], voice: Any) -> Callable[[str], Samples]:
    """Return a function that renders the sentence of a language, once for all tests."""
    return functools.cache(lambda language: spoken(engine, Utterance(SENTENCES[language], language, 1), voice))


def test_it_describes_itself(engine: Engine[Any, Any]) -> None:
    description = engine.describe()
    assert set(description.languages) == set(description.max_characters) == set(LANGUAGES)
    assert description.sample_rate_hz == 24_000
    assert description.max_batch >= 1
    assert description.licence
    assert description.version.isascii()
    assert not set(description.version) & set(" .*>")


@pytest.mark.parametrize("language", SENTENCES)
def test_every_language_is_spoken_at_a_sensible_length_and_level(
    in_language: Callable[[str], Samples],
    language: str,
) -> None:
    samples = in_language(language)
    assert samples.dtype == np.float32
    assert 0.7 < len(samples) / 24_000 < 8
    assert np.all(np.isfinite(samples))
    assert float(np.sqrt(np.mean(np.square(samples)))) > 1e-3
    assert float(np.max(np.abs(samples))) <= 1


@pytest.mark.parametrize("language", SENTENCES)
def test_what_is_levelled_comes_out_as_loud_in_every_language_with_no_peak_too_high(
    engine: Engine[Any, Any], in_language: Callable[[str], Samples], language: str
) -> None:
    utterance = Utterance(SENTENCES[language], language, 1)
    samples = in_language(language)
    finish = finishing_of(engine.describe(), utterance, -18.0)
    out = np.concatenate([finish.push(samples), finish.finish()])
    if engine.describe().level is None:
        assert out.tobytes() == samples.tobytes()
        return
    assert true_peak_db(out) <= -1
    if engine.describe().name == "embedded":  # the other's weights are random here
        assert integrated_lufs([out], 24_000) == pytest.approx(-18, abs=1.5)


def test_the_same_seed_gives_the_same_samples(engine: Engine[Any, Any], voice: Any) -> None:
    utterance = Utterance(SENTENCES["en"], "en", 5)
    assert spoken(engine, utterance, voice).tobytes() == spoken(engine, utterance, voice).tobytes()


def test_it_takes_parameters_of_the_contract_whose_defaults_change_nothing(
    engine: Engine[Any, Any], voice: Any
) -> None:
    takes = engine.describe().parameters
    assert set(takes) <= set(RANGES)
    assert all(RANGES[name].lowest <= default <= RANGES[name].highest for name, default in takes.items())
    defaults = {name: int(default) if RANGES[name].whole else default for name, default in takes.items()}
    as_usual, spelt_out = (
        Utterance(SENTENCES["en"], "en", 8, parameters) for parameters in (AS_USUAL, Parameters(**defaults))
    )
    assert spoken(engine, as_usual, voice).tobytes() == spoken(engine, spelt_out, voice).tobytes()


def test_twice_the_speed_takes_about_half_the_time(engine: Engine[Any, Any], voice: Any) -> None:
    slow, usual, fast = (
        len(spoken(engine, Utterance(SENTENCES["fr"], "fr", 8, Parameters(speed=speed)), voice))
        for speed in (0.5, 1.0, 2.0)
    )
    assert 1.6 < slow / usual < 2.4
    assert 1.6 < usual / fast < 2.4


def test_interleaved_sentences_sound_as_they_do_alone(engine: Engine[Any, Any], voice: Any) -> None:
    utterances = [Utterance(SENTENCES[language], language, seed) for seed, language in enumerate(("en", "fr", "it"))]
    alone = [spoken(engine, utterance, voice).tobytes() for utterance in utterances]
    sequences = {place: engine.open(utterance, voice) for place, utterance in enumerate(utterances)}
    together: dict[int, list[Samples]] = {place: [] for place in sequences}
    size = engine.describe().max_batch
    while sequences:
        places = list(sequences)[:size]
        for place, step in zip(places, engine.step([sequences[place] for place in places]), strict=True):
            together[place].append(step.samples)
            sequence = sequences.pop(place)
            if not step.done:
                sequences[place] = sequence  # to the end of the line, so that steps of all alternate
    assert [np.concatenate(together[place]).tobytes() for place in sorted(together)] == alone


def test_a_sentence_given_up_in_the_middle_leaves_the_next_one_as_it_is(engine: Engine[Any, Any], voice: Any) -> None:
    utterance = Utterance(SENTENCES["fr"], "fr", 3)
    before = spoken(engine, utterance, voice).tobytes()
    given_up = engine.open(Utterance(SENTENCES["de"] + " " + SENTENCES["de"], "de", 4), voice)
    engine.step([given_up])
    engine.discard(given_up)
    assert spoken(engine, utterance, voice).tobytes() == before


def test_a_voice_survives_its_bytes(engine: Engine[Any, Any], voice: Any) -> None:
    serialised = engine.condition([speech_of(8)])
    assert serialised == engine.condition([speech_of(8)])
    assert len(serialised) < 1_000_000, "larger than NATS takes by default"
    utterance = Utterance(SENTENCES["en"], "en", 6)
    restored = spoken(engine, utterance, engine.restore(serialised))
    assert restored.tobytes() == spoken(engine, utterance, voice).tobytes()


def test_every_clip_of_a_speaker_has_a_say_however_long_the_first_is(engine: Engine[Any, Any]) -> None:
    long, other = speech_of(30), speech_of(5, start_s=4)
    voices = {engine.condition(clips) for clips in ([long], [other], [long, other])}
    assert len(voices) == 3


def test_the_longest_sentence_is_spoken(engine: Engine[Any, Any], voice: Any) -> None:
    for language in ("en", "zh"):
        longest = engine.describe().max_characters[language]
        text = (SENTENCES[language] * (longest // len(SENTENCES[language]) + 1))[:longest]
        assert len(spoken(engine, Utterance(text, language, 1), voice)) > 24_000


def test_silence_holds_no_voice(engine: Engine[Any, Any]) -> None:
    with pytest.raises(UnusableReference):
        engine.condition([Clip(np.zeros(8 * 24_000, dtype=np.float32), 24_000)])


def test_what_cannot_be_spoken_is_refused_for_good(engine: Engine[Any, Any], voice: Any) -> None:
    with pytest.raises(UnspeakableText) as refused:
        spoken(engine, Utterance("... !?", "en", 1), voice)
    assert not refused.value.retryable


ODD = (
    "a",
    "I.",
    "1234567890",
    "ß",
    "𝓤𝓷𝓲𝓬𝓸𝓭𝓮",
    "x" * 30,
    "hello\u0301\u0301\u0301",
    "مرحبا hello 你好",
    "A-B-C",
    "3.14 % € $",
)


@pytest.mark.parametrize("text", ODD)
def test_odd_text_is_spoken_or_refused_and_never_breaks(engine: Engine[Any, Any], voice: Any, text: str) -> None:
    for language in ("en", "ja", "ar"):
        try:
            samples = spoken(engine, Utterance(text, language, 1), voice)
        except UnspeakableText:
            continue
        assert len(samples) < 30 * 24_000
