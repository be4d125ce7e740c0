"""The engine around decoder and vocoder: what a listener gets of it, and when."""

import itertools
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from services.common.audio.clip import Clip, Samples
from services.common.voice_tensors import pack_tensors, unpack_tensors
from services.common.wire.failures import (
    EngineUnavailable,
    MalformedMessage,
    UnspeakableText,
)
from services.common.wire.options import Parameters
from services.synth_worker.engines.protocol import Step, Utterance
from services.synth_worker.engines.xtts.decoder.batch import BatchDecoder, Decoding
from services.synth_worker.engines.xtts.decoder.sampling import Sampling
from services.synth_worker.engines.xtts.defaults import sampling_of
from services.synth_worker.engines.xtts.engine import LoadedVoice, XttsEngine, XttsSettings
from services.synth_worker.engines.xtts.weights.location import WeightSettings

TEXT = "Most of the visitors came by train, although the road to the harbour had been repaired in spring."
SHORT = "Yes, it is so."


@pytest.fixture(scope="module")
def engine(checkpoint_folder: Path, device: str) -> Iterator[XttsEngine]:
    weights = WeightSettings(model_dir=checkpoint_folder, agreed=True)
    engine = XttsEngine(XttsSettings(weights, device=device, precision="float32", threads=1))
    engine.load()
    yield engine
    engine.close()


def clip(seed: int = 0, seconds: float = 7, rate_hz: int = 22_050) -> Clip:
    noise = np.random.default_rng(seed).standard_normal(int(seconds * rate_hz)) * 0.1
    return Clip(noise.astype(np.float32), rate_hz)


@pytest.fixture(scope="module")
def voice(engine: XttsEngine) -> LoadedVoice:
    return engine.restore(engine.condition([clip()]))


def steps_of(engine: XttsEngine, utterance: Utterance, voice: LoadedVoice) -> list[Step]:
    sentence = engine.open(utterance, voice)
    steps = engine.step([sentence])
    while not steps[-1].done:
        steps += engine.step([sentence])
    return steps


def heard(steps: list[Step]) -> Samples:
    return np.concatenate([step.samples for step in steps])


def stock_voice(
    stock: Any, clips: list[Clip], seconds: int = 30, *, same_peak: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the voice as stock computes it, with samples in place of its file loader."""
    sounds = {
        f"{place}.wav": torch.from_numpy(clip.samples).unsqueeze(0)
        for place, clip in enumerate(clips)
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("TTS.tts.models.xtts.load_audio", lambda name, _: sounds[name])
        latents: tuple[torch.Tensor, torch.Tensor] = stock.get_conditioning_latents(
            list(sounds),
            max_ref_length=30,
            gpt_cond_len=seconds,
            gpt_cond_chunk_len=4,
            sound_norm_refs=same_peak,
        )
    return latents


@pytest.mark.parametrize(
    ("clips", "seconds"),
    [([clip()], None), ([clip(1), clip(2, 3), clip(3, 20)], None), ([clip(4, 31)], 6)],
)
def test_a_voice_is_the_one_that_stock_computes(
    engine: XttsEngine, stock: Any, clips: list[Clip], seconds: int | None
) -> None:
    found = engine.restore(engine.condition(clips, Parameters(gpt_cond_len=seconds))).voice
    prompt, embedding = stock_voice(stock, clips, seconds or 30)
    assert torch.allclose(found.prompt, prompt, atol=1e-5)
    assert torch.allclose(found.embedding, embedding, atol=1e-5)


def test_the_settings_of_a_fine_tune_are_honoured(
    checkpoint_folder: Path, tmp_path: Path, device: str, stock: Any
) -> None:
    folder = shutil.copytree(checkpoint_folder, tmp_path / "fine-tuned")
    config = json.loads((folder / "config.json").read_text())
    config |= {"temperature": 0.33, "top_k": 7, "top_p": 0.6, "repetition_penalty": 10.0}
    (folder / "config.json").write_text(json.dumps(config | {"sound_norm_refs": True}))
    weights = WeightSettings(model_dir=folder, agreed=True)
    engine = XttsEngine(XttsSettings(weights, device=device, precision="float32", threads=1))
    engine.load()
    expected = Sampling(temperature=0.33, top_k=7, top_p=0.6, repetition_penalty=10.0)
    assert sampling_of(Parameters(), engine.defaults) == expected
    found = engine.restore(engine.condition([clip(1), clip(2, 3)])).voice
    prompt, embedding = stock_voice(stock, [clip(1), clip(2, 3)], same_peak=True)
    assert torch.allclose(found.prompt, prompt, atol=1e-5)
    assert torch.allclose(found.embedding, embedding, atol=1e-5)
    engine.close()


@pytest.mark.parametrize(
    "parameters",
    [
        Parameters(),
        Parameters(speed=1.4),
        Parameters(speed=0.6, temperature=1.2, top_k=200, top_p=0.95, repetition_penalty=2.0),
    ],
)
def test_a_sentence_sounds_as_stock_renders_it_with_the_same_seed(
    engine: XttsEngine, stock: Any, parameters: Parameters
) -> None:
    prompt, embedding = stock_voice(stock, [clip()])
    torch.manual_seed(42)
    wanted = stock.inference(
        TEXT,
        "en",
        prompt,
        embedding,
        temperature=parameters.temperature or 0.75,
        top_k=parameters.top_k or 50,
        top_p=parameters.top_p or 0.85,
        repetition_penalty=parameters.repetition_penalty or 5.0,
        speed=parameters.speed or 1.0,
    )["wav"]
    found = heard(
        steps_of(
            engine,
            Utterance(TEXT, "en", 42, parameters),
            engine.restore(engine.condition([clip()])),
        )
    )
    assert found.shape == wanted.shape
    assert np.max(np.abs(found - wanted)) < 1e-4


def test_first_audio_comes_long_before_the_sentence_ends_and_chunks_grow(
    engine: XttsEngine, voice: LoadedVoice
) -> None:
    steps = steps_of(engine, Utterance(TEXT, "en", 1), voice)
    places = [place for place, step in enumerate(steps) if len(step.samples)]
    assert places[0] < 9
    assert len(steps) > 60
    gaps = [after - before for before, after in itertools.pairwise(places)]
    assert gaps[:-1] == sorted(gaps[:-1])
    assert max(gaps) <= 24


def test_seeds_are_distinct_and_nearby_ones_are_not_alike(
    engine: XttsEngine, voice: LoadedVoice
) -> None:
    sounds = {
        heard(steps_of(engine, Utterance(TEXT, "en", seed), voice)).tobytes()
        for seed in (1, 2, 3, 2**63 - 1)
    }
    assert len(sounds) == 4


def test_a_voice_of_other_bytes_is_refused(engine: XttsEngine) -> None:
    for stored in (b"", b"voice", bytes(4 * 512), bytes(4 * 512 + 4)):
        with pytest.raises(MalformedMessage):
            engine.restore(stored)


def test_more_text_than_the_model_takes_is_refused_with_the_count(
    engine: XttsEngine, voice: LoadedVoice
) -> None:
    with pytest.raises(UnspeakableText, match="text tokens"):
        engine.open(Utterance("a word " * 100, "en", 1), voice)


def test_an_engine_that_is_not_loaded_fails_clearly(checkpoint_folder: Path) -> None:
    engine = XttsEngine(
        XttsSettings(WeightSettings(model_dir=checkpoint_folder, agreed=True), device="cpu")
    )
    with pytest.raises(EngineUnavailable):
        engine.condition([clip()])


def test_a_gpu_that_is_not_there_is_refused_at_once(checkpoint_folder: Path) -> None:
    weights = WeightSettings(model_dir=checkpoint_folder, agreed=True)
    with pytest.raises(EngineUnavailable, match="GPU"):
        XttsEngine(XttsSettings(weights, device=f"cuda:{torch.cuda.device_count()}"))


def test_sentences_that_are_done_or_given_up_give_their_slots_back(
    engine: XttsEngine, voice: LoadedVoice, gpt: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    resident = engine._loaded()
    decoder = BatchDecoder(gpt, "float32", slots=2)
    monkeypatch.setattr(
        engine, "_resident", type(resident)(**{**vars(resident), "decoder": decoder})
    )
    before = [heard(steps_of(engine, Utterance(SHORT, "en", seed), voice)) for seed in range(5)]
    given_up = engine.open(Utterance(TEXT, "en", 1), voice)
    engine.step([given_up])
    engine.discard(given_up)
    after = [heard(steps_of(engine, Utterance(SHORT, "en", seed), voice)) for seed in range(5)]
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))


class Misled(BatchDecoder):
    """A decoder that loses its way: from a place on, the first `times` attempts say one code for ever."""

    def __init__(self, gpt: Any, *, place: int, times: int) -> None:
        super().__init__(gpt, "float32")
        self.place, self.times = place, times
        self.kept: list[int] = []

    def step(self, sentences: Any) -> None:
        super().step(sentences)
        for sentence in sentences:
            if self.times > len(self.kept) and len(sentence.codes) > self.place:
                sentence.codes[-1], sentence.stopped = 7, False

    def go_back(self, sentence: Decoding, codes: int, seed: int) -> None:
        self.kept.append(codes)
        super().go_back(sentence, codes, seed)


def misled(engine: XttsEngine, gpt: Any, monkeypatch: pytest.MonkeyPatch, times: int) -> Misled:
    resident = engine._loaded()
    decoder = Misled(gpt, place=30, times=times)
    monkeypatch.setattr(
        engine, "_resident", type(resident)(**{**vars(resident), "decoder": decoder})
    )
    return decoder


def test_unpublished_audio_of_a_sentence_that_goes_wrong_is_redone(
    engine: XttsEngine, voice: LoadedVoice, gpt: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = steps_of(engine, Utterance(TEXT, "en", 3), voice)
    decoder = misled(engine, gpt, monkeypatch, times=2)
    steps = steps_of(engine, Utterance(TEXT, "en", 3), voice)
    assert steps[-1].failure is None
    assert sum(step.redrawn for step in steps) == 2
    assert decoder.kept == sorted(decoder.kept)
    early = heard(undisturbed)[:20_000]
    assert np.array_equal(heard(steps)[:20_000], early), "what was heard before stays"
    again = misled(engine, gpt, monkeypatch, times=2)
    assert np.array_equal(heard(steps_of(engine, Utterance(TEXT, "en", 3), voice)), heard(steps))
    assert again.kept == decoder.kept


@pytest.mark.usefixtures("promised_on_a_cpu")
def test_a_sentence_that_goes_wrong_three_times_is_delivered_with_its_fault_and_its_neighbours_continue(
    engine: XttsEngine, voice: LoadedVoice, gpt: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    neighbour_alone = heard(steps_of(engine, Utterance(SHORT, "en", 4), voice))
    misled(engine, gpt, monkeypatch, times=99)
    lost, neighbour = (
        engine.open(Utterance(TEXT, "en", 3), voice),
        engine.open(Utterance("Yes, it is so.", "en", 4), voice),
    )
    pieces, batch, faults = [], [lost, neighbour], []
    lost_samples = redrawn = 0
    while batch:
        steps = engine.step(batch)
        for sentence, step in zip(tuple(batch), steps, strict=True):
            if sentence is neighbour:
                pieces.append(step.samples)
            else:
                lost_samples += len(step.samples)
                redrawn += step.redrawn
            faults.append(step.fault)
            assert step.failure is None
            if step.done:
                batch.remove(sentence)
    assert [fault for fault in faults if fault] == ["loop"]
    assert redrawn == 2
    assert lost_samples > 30 * 1000, "of the good beginning, and of the last attempt"
    assert np.array_equal(np.concatenate(pieces), neighbour_alone)


def test_a_voice_is_restored_from_its_bytes_and_from_those_of_earlier_releases(
    engine: XttsEngine,
) -> None:
    portable = engine.condition([clip()])
    voice = engine.restore(portable).voice
    both = torch.cat([voice.prompt.flatten(), voice.embedding.flatten()]).numpy()
    for content in (both.astype("<f4").tobytes(), voice.to_bytes("")):
        restored = engine.restore(content).voice
        assert torch.equal(restored.prompt, voice.prompt)
        assert torch.equal(restored.embedding, voice.embedding)
    described = unpack_tensors(portable)
    assert engine.describe().version.endswith(described.model)
    assert {name: each.shape for name, each in described.tensors.items()} == {
        "gpt_cond_latent": tuple(voice.prompt.shape),
        "speaker_embedding": (1, 512, 1),
    }


def test_a_voice_of_another_engine_model_or_width_is_refused(engine: XttsEngine) -> None:
    voice = unpack_tensors(engine.condition([clip()]))
    narrow = {**voice.tensors, "gpt_cond_latent": voice.tensors["gpt_cond_latent"][..., :8]}
    for changed, complaint in (
        (voice._replace(engine="tone"), "for the engine tone"),
        (voice._replace(model="0123456789ab"), "for the XTTS model 0123456789ab, not for"),
        (voice._replace(tensors=narrow), r"has the tensors gpt_cond_latent \[1, 32, "),
    ):
        with pytest.raises(MalformedMessage, match=complaint):
            engine.restore(pack_tensors(changed))
