"""Conformance suite of the engine protocol: every engine of the registry has to pass it."""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from services.common.audio.clip import Clip, Samples
from services.common.audio.loudness import integrated_lufs, true_peak_db
from services.common.wire.failures import UnknownVoice, UnspeakableText, UnusableReference
from services.common.wire.languages import LANGUAGES
from services.common.wire.options import AS_USUAL, Parameters
from services.common.wire.parameters import RANGES
from services.common.wire.parts import BuiltInVoice
from services.synth_worker.engines.protocol import Engine, Utterance
from services.synth_worker.engines.registry import ENGINES
from services.synth_worker.engines.spec import Resources
from services.synth_worker.finishing.parameters import finishing_of
from tests.support.recordings import speech_of
from tests.support.xtts_checkpoint import make_checkpoint

XTTS = {"coqui_tos_agreed": True, "device": "cpu"}
SETTINGS: dict[
    str, dict[str, Any]
] = {  # of engines that are not tested with their defaults; "-" names a variant
    "xtts": XTTS | {"xtts_precision": "float32"},
    "xtts-bfloat16": XTTS | {"xtts_precision": "bfloat16"},
    "xtts-int8": XTTS | {"xtts_precision": "int8"},
}
VARIANTS = list(dict.fromkeys([*ENGINES, *SETTINGS]))
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


def engine_named(variant: str, folder: Path) -> Engine[Any, Any]:
    name = variant.partition("-")[0]
    settings = SETTINGS.get(variant, {})
    if name == "xtts":
        make_checkpoint(folder)
        settings = settings | {"xtts_model_dir": str(folder)}

    # more threads cost more processor time; test_embedded_engine compares their audio
    threads = 1 if name == "embedded" else 2
    spec = ENGINES[name]
    return spec.build(
        spec.settings(**settings), Resources(cache=CACHE, threads=threads, max_batch=8)
    )


@pytest.fixture(scope="module", params=VARIANTS)
def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine[Any, Any]]:
    engine = engine_named(request.param, tmp_path_factory.mktemp("xtts"))
    engine.load()
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def voice(engine: Engine[Any, Any]) -> Any:
    return engine.restore(engine.condition([speech_of(8)]))


def spoken(engine: Engine[Any, Any], utterance: Utterance, voice: Any) -> Samples:
    sequence = engine.open(utterance, voice)
    parts = []
    done = False
    while not done:
        [step] = engine.step([sequence])
        parts.append(step.samples)
        done = step.done
    return np.concatenate(parts)


@pytest.fixture(scope="module")
def once(engine: Engine[Any, Any], voice: Any) -> Callable[[Utterance], Samples]:
    """Return a function that renders an utterance alone, once for all tests."""
    return functools.cache(lambda utterance: spoken(engine, utterance, voice))


def test_it_describes_itself(engine: Engine[Any, Any]) -> None:
    description = engine.describe()
    assert set(description.languages) == set(description.max_characters) == set(LANGUAGES)
    assert description.sample_rate_hz == 24_000
    assert description.max_batch >= 1
    assert description.licence
    assert description.version.isascii()
    assert not set(description.version) & set(" .*>")


@pytest.mark.parametrize("language", SENTENCES)
def test_every_language_has_a_plausible_length_and_level(
    once: Callable[[Utterance], Samples],
    language: str,
) -> None:
    samples = once(Utterance(SENTENCES[language], language, 1))
    assert samples.dtype == np.float32
    assert 0.7 < len(samples) / 24_000 < 8
    assert np.all(np.isfinite(samples))
    assert float(np.sqrt(np.mean(np.square(samples)))) > 1e-3
    assert float(np.max(np.abs(samples))) <= 1


@pytest.mark.parametrize("language", SENTENCES)
def test_finished_audio_has_the_same_loudness_in_every_language_and_limited_peaks(
    engine: Engine[Any, Any], once: Callable[[Utterance], Samples], language: str
) -> None:
    utterance = Utterance(SENTENCES[language], language, 1)
    samples = once(utterance)
    finish = finishing_of(engine.describe(), utterance, -18.0)
    out = np.concatenate([finish.push(samples), finish.finish()])
    if engine.describe().level is None:
        assert out.tobytes() == samples.tobytes()
        return
    assert true_peak_db(out) <= -1
    if engine.describe().name == "embedded":  # the weights of the others are random here
        assert integrated_lufs([out], 24_000) == pytest.approx(-18, abs=1.5)


def test_the_same_seed_gives_the_same_samples(
    engine: Engine[Any, Any], voice: Any, once: Callable[[Utterance], Samples]
) -> None:
    utterance = Utterance(SENTENCES["en"], "en", 1)
    assert spoken(engine, utterance, voice).tobytes() == once(utterance).tobytes()


def test_its_parameters_are_in_the_contract_and_their_defaults_change_nothing(
    engine: Engine[Any, Any], voice: Any, once: Callable[[Utterance], Samples]
) -> None:
    accepted = engine.describe().parameters
    assert set(accepted) <= set(RANGES)
    assert all(
        RANGES[name].lowest <= default <= RANGES[name].highest for name, default in accepted.items()
    )
    defaults = {
        name: int(default) if RANGES[name].whole else default for name, default in accepted.items()
    }
    as_usual, spelt_out = (
        Utterance(SENTENCES["en"], "en", 1, parameters)
        for parameters in (AS_USUAL, Parameters(**defaults))
    )
    assert once(as_usual).tobytes() == spoken(engine, spelt_out, voice).tobytes()


def test_twice_the_speed_gives_about_half_the_samples(
    once: Callable[[Utterance], Samples],
) -> None:
    slow, usual, fast = (
        len(once(Utterance(SENTENCES["pt"], "pt", 1, Parameters(speed=speed))))
        for speed in (0.5, 1.0, 2.0)
    )
    assert 1.6 < slow / usual < 2.4
    assert 1.6 < usual / fast < 2.4


def test_interleaved_sentences_are_the_same_as_alone(
    engine: Engine[Any, Any], voice: Any, once: Callable[[Utterance], Samples]
) -> None:
    utterances = [
        Utterance(SENTENCES[language], language, seed)
        for seed, language in enumerate(("en", "fr", "it"))
    ]
    alone = [once(utterance).tobytes() for utterance in utterances]
    sequences = {index: engine.open(utterance, voice) for index, utterance in enumerate(utterances)}
    together: dict[int, list[Samples]] = {index: [] for index in sequences}
    size = engine.describe().max_batch
    while sequences:
        indices = list(sequences)[:size]
        for index, step in zip(
            indices, engine.step([sequences[index] for index in indices]), strict=True
        ):
            together[index].append(step.samples)
            sequence = sequences.pop(index)
            if not step.done:
                sequences[index] = sequence  # at the end, so that the sentences alternate
    assert [np.concatenate(together[index]).tobytes() for index in sorted(together)] == alone


def test_a_discarded_sentence_does_not_change_the_next_one(
    engine: Engine[Any, Any], voice: Any, once: Callable[[Utterance], Samples]
) -> None:
    utterance = Utterance(SENTENCES["pt"], "pt", 1)
    before = once(utterance).tobytes()
    discarded = engine.open(Utterance(SENTENCES["de"] + " " + SENTENCES["de"], "de", 4), voice)
    engine.step([discarded])
    engine.discard(discarded)
    assert spoken(engine, utterance, voice).tobytes() == before


def test_a_voice_is_the_same_after_serialization(
    engine: Engine[Any, Any], once: Callable[[Utterance], Samples]
) -> None:
    serialised = engine.condition([speech_of(8)])
    assert serialised == engine.condition([speech_of(8)])
    assert len(serialised) < 1_000_000, "larger than the default limit of NATS"
    utterance = Utterance(SENTENCES["en"], "en", 1)
    restored = spoken(engine, utterance, engine.restore(serialised))
    assert restored.tobytes() == once(utterance).tobytes()


def test_every_clip_of_a_speaker_affects_the_voice_even_after_a_long_one(
    engine: Engine[Any, Any],
) -> None:
    long, other = speech_of(30), speech_of(5, start_s=4)
    voices = {engine.condition(clips) for clips in ([long], [other], [long, other])}
    assert len(voices) == 3


def test_the_longest_sentence_is_synthesized(engine: Engine[Any, Any], voice: Any) -> None:
    for language in ("en", "zh"):
        longest = engine.describe().max_characters[language]
        text = (SENTENCES[language] * (longest // len(SENTENCES[language]) + 1))[:longest]
        assert len(spoken(engine, Utterance(text, language, 1), voice)) > 24_000


def test_silence_is_rejected_as_a_reference(engine: Engine[Any, Any]) -> None:
    with pytest.raises(UnusableReference):
        engine.condition([Clip(np.zeros(8 * 24_000, dtype=np.float32), 24_000)])


def test_unspeakable_text_fails_without_a_retry(engine: Engine[Any, Any], voice: Any) -> None:
    with pytest.raises(UnspeakableText) as refused:
        spoken(engine, Utterance("... !?", "en", 1), voice)
    assert not refused.value.retryable


def built_in(engine: Engine[Any, Any], name: str) -> Any:
    return engine.restore(engine.built_in(name))


def test_built_in_voices_have_unique_names_and_every_language_has_a_default(
    engine: Engine[Any, Any],
) -> None:
    description = engine.describe()
    names = [voice.name for voice in description.voices]
    assert len(set(names)) == len(names)
    assert set(description.default_voices.values()) <= set(names)
    assert set(description.default_voices) == (set(description.languages) if names else set())
    for voice in description.voices:
        assert msgspec.convert(msgspec.to_builtins(voice), BuiltInVoice) == voice
        assert set(voice.languages) <= set(description.languages)
        assert len(engine.built_in(voice.name)) < 1_000_000


def test_built_in_voices_speak_and_are_deterministic(engine: Engine[Any, Any]) -> None:
    voices = engine.describe().voices
    utterance = Utterance("Good morning.", "en", 9)
    few = [voice.name for voice in (*voices[:3], *voices[-1:])]
    samples = [spoken(engine, utterance, built_in(engine, name)) for name in few]
    again = [spoken(engine, utterance, built_in(engine, name)) for name in few]
    assert [part.tobytes() for part in samples] == [part.tobytes() for part in again]
    assert all(len(part) > 12_000 for part in samples)
    if engine.describe().name != "tone":  # its voices have no effect
        assert len({part.tobytes() for part in samples}) == len(set(few))


@pytest.mark.parametrize("name", ["", "missing", "LOW", "../af_heart"])
def test_an_unknown_built_in_voice_is_refused(engine: Engine[Any, Any], name: str) -> None:
    with pytest.raises(UnknownVoice) as refused:
        engine.built_in(name)
    assert not refused.value.retryable


ODD = (
    "a",
    "I.",
    "12345",
    "ß",
    "𝓤𝓷𝓲𝓬𝓸𝓭𝓮",
    "x" * 10,
    "hello\u0301\u0301\u0301",
    "مرحبا hello 你好",
    "A-B-C",
    "3.14 % € $",
)


@pytest.mark.parametrize("text", ODD)
def test_unusual_text_is_synthesized_or_rejected(
    engine: Engine[Any, Any], voice: Any, text: str
) -> None:
    for language in ("en", "ja", "ar"):
        try:
            samples = spoken(engine, Utterance(text, language, 1), voice)
        except UnspeakableText:
            continue
        assert len(samples) < 30 * 24_000
