"""Voices: what shapes one, and that it is computed once."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from msgspec import UNSET

from services.common.audio.clip import Clip
from services.common.audio.wav import write_wav
from services.common.bus import topology
from services.common.bus.clips import clip_id, store_clip
from services.common.bus.library.voices import VoiceLibrary
from services.common.bus.ports import Bus
from services.common.voice_file import draft_voice
from services.common.voice_tensors import VoiceTensors, pack_tensors
from services.common.wire.failures import (
    EngineCrashed,
    MalformedMessage,
    SynthesisFailed,
    UnusableReference,
)
from services.common.wire.identity import voice_clip_object
from services.common.wire.options import AS_USUAL, Parameters
from services.synth_worker.engine_thread import EngineThread
from services.synth_worker.engines.tone import SAMPLE_RATE_HZ, ToneEngine
from services.synth_worker.metrics import Metrics
from services.synth_worker.ports import EngineClosed, EngineStuck
from services.synth_worker.voice_sources import OneOffVoice, VoiceRevision
from services.synth_worker.voices import Voices
from tests.support.buses import bus_of, memory_bus


class Recording(ToneEngine):
    """A tone engine whose voices depend on how much of the clips is used, and that records the calls of `condition`."""

    def __init__(self) -> None:
        super().__init__()
        self.conditioned: list[tuple[int, Parameters]] = []  # number of clips, parameters

    def condition(self, clips: Sequence[Clip], parameters: Parameters = AS_USUAL) -> bytes:
        self.conditioned.append((len(clips), parameters))
        seconds = parameters.gpt_cond_len or 30
        return super().condition(
            [Clip(clip.samples[: seconds * SAMPLE_RATE_HZ], SAMPLE_RATE_HZ) for clip in clips]
        )


@dataclass
class Worker:
    """The parts of a worker that handle voices."""

    engine: Recording
    bus: Bus
    model: EngineThread

    def voices(self, metrics: Metrics | None = None) -> Voices:
        """Return voices with nothing in memory."""
        return Voices(self.bus, self.model, metrics or Metrics(), capacity=8)

    async def clip(self, seed: int) -> str:
        """Store six seconds of noise."""
        samples = np.random.default_rng(seed).normal(0, 0.1, 6 * SAMPLE_RATE_HZ).astype(np.float32)
        return await store_clip(self.bus, "public", write_wav(Clip(samples, SAMPLE_RATE_HZ)))


@pytest.fixture(params=["memory", "nats"])
async def worker(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Worker]:
    async with bus_of(request.param, tmp_path) as bus:
        engine = Recording()
        model = EngineThread(engine)
        yield Worker(engine, bus, model)
        await model.close()


async def test_using_more_of_the_clips_is_another_voice_in_memory_and_in_the_bucket(
    worker: Worker,
) -> None:
    clips, here = (await worker.clip(1),), worker.voices()
    asked = (AS_USUAL, Parameters(gpt_cond_len=3), Parameters(gpt_cond_len=4))
    computed = [await here.get(OneOffVoice("public", clips), parameters) for parameters in asked]
    assert len(set(computed)) == 3
    elsewhere = worker.voices()
    assert [
        await elsewhere.get(OneOffVoice("public", clips), parameters) for parameters in asked
    ] == computed
    assert len(worker.engine.conditioned) == 3


async def test_parameters_of_speaking_neither_change_a_voice_nor_reach_its_computation(
    worker: Worker,
) -> None:
    clips, voices = (await worker.clip(1),), worker.voices()
    hot = Parameters(temperature=1.5, top_k=3, speed=2.0, gpt_cond_len=4)
    assert await voices.get(OneOffVoice("public", clips), hot) == await voices.get(
        OneOffVoice("public", clips), Parameters(gpt_cond_len=4)
    )
    assert worker.engine.conditioned == [(1, Parameters(gpt_cond_len=4))]


async def test_several_clips_are_one_voice_of_all_of_them_in_their_order(worker: Worker) -> None:
    first, second = await worker.clip(1), await worker.clip(2)
    voices = worker.voices()
    found = [
        await voices.get(OneOffVoice("public", clips))
        for clips in ((first,), (second,), (first, second), (second, first))
    ]
    assert len(set(found)) == 4
    assert [count for count, _ in worker.engine.conditioned] == [1, 1, 2, 2]


async def test_sentences_that_need_a_voice_at_the_same_time_share_one_computation(
    worker: Worker,
) -> None:
    clips, voices = (await worker.clip(1),), worker.voices()
    found = await asyncio.gather(
        *(voices.get(OneOffVoice("public", clips), Parameters(gpt_cond_len=5)) for _ in range(6))
    )
    assert len(set(found)) == 1
    assert len(worker.engine.conditioned) == 1


def bit_flipped(stored: bytes) -> bytes:
    """Return a stored value with one bit flipped in its middle."""
    middle = len(stored) // 2
    return stored[:middle] + bytes([stored[middle] ^ 1]) + stored[middle + 1 :]


@pytest.mark.parametrize("damaged", [lambda _: b"junk", bit_flipped, lambda stored: stored[:-1]])
async def test_a_stored_voice_that_is_damaged_is_computed_again_and_replaced(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, damaged: Callable[[bytes], bytes]
) -> None:
    keys: list[str] = []
    put = worker.bus.put_value

    async def noted(bucket: str, key: str, value: bytes) -> None:
        keys.append(key)
        await put(bucket, key, value)

    monkeypatch.setattr(worker.bus, "put_value", noted)
    clips, metrics = (await worker.clip(1),), Metrics()
    voice = await worker.voices().get(OneOffVoice("public", clips))
    [key] = keys
    whole = await worker.bus.get_value(topology.VOICES, key)
    assert whole is not None
    await put(topology.VOICES, key, damaged(whole))

    assert await worker.voices(metrics).get(OneOffVoice("public", clips)) == voice
    assert await worker.bus.get_value(topology.VOICES, key) == whole
    assert await worker.voices(metrics).get(OneOffVoice("public", clips)) == voice
    assert len(worker.engine.conditioned) == 2
    counted = {
        source: metrics.voices.labels(source)._value.get()
        for source in ("unreadable", "computed", "shared")
    }
    assert counted == {"unreadable": 1, "computed": 1, "shared": 1}


class Refusing(Recording):
    """A tone engine whose next `restore` fails."""

    def __init__(self, failure: Exception) -> None:
        super().__init__()
        self.failure: Exception | None = failure

    def restore(self, voice: bytes) -> bytes:
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure
        return super().restore(voice)


@pytest.mark.parametrize(
    "failure", [MalformedMessage("no voice"), SynthesisFailed("a bug"), EngineCrashed("died")]
)
async def test_a_stored_voice_that_the_engine_cannot_read_is_computed_again(
    failure: Exception,
) -> None:
    engine, bus = Refusing(failure), await memory_bus()
    refused, engine.failure = engine.failure, None
    model = EngineThread(engine)
    worker = Worker(engine, bus, model)
    clips = (await worker.clip(1),)
    voice = await worker.voices().get(OneOffVoice("public", clips))
    engine.failure = refused
    assert await worker.voices().get(OneOffVoice("public", clips)) == voice
    assert len(engine.conditioned) == 2
    await model.close()


@pytest.mark.parametrize(
    "failure", [EngineStuck("the engine hangs"), EngineClosed("the worker is stopping")]
)
async def test_a_voice_is_not_computed_again_because_the_engine_has_ended(
    failure: Exception,
) -> None:
    engine, bus = Refusing(failure), await memory_bus()
    refused, engine.failure = engine.failure, None
    model = EngineThread(engine)
    worker = Worker(engine, bus, model)
    clips = (await worker.clip(1),)
    await worker.voices().get(OneOffVoice("public", clips))
    engine.failure = refused
    with pytest.raises(type(failure)):
        await worker.voices().get(OneOffVoice("public", clips))
    assert len(engine.conditioned) == 1
    await model.close()


async def library_voice(
    worker: Worker, computed: Sequence[bytes], wavs: Sequence[bytes] = ()
) -> VoiceRevision:
    """Store a voice with these computed voices and clips."""
    draft = draft_voice("public", "Anna", computed)
    voice = await VoiceLibrary(worker.bus).create(draft, wavs, computed)
    return VoiceRevision("public", voice.voice, 1)


WAV = write_wav(Clip(np.full(SAMPLE_RATE_HZ, 0.1, dtype=np.float32), SAMPLE_RATE_HZ))
DIGEST = np.ones(32, dtype=np.float32)
OWN = pack_tensors(VoiceTensors("tone", "1", {"digest": DIGEST}))
FOREIGN = pack_tensors(VoiceTensors("xtts", "abc", {"digest": DIGEST}))


async def test_an_imported_voice_without_clips_is_used_as_it_is(worker: Worker) -> None:
    source = await library_voice(worker, [FOREIGN, OWN])
    assert await worker.voices().get(source) == OWN
    assert await worker.voices().get(source, Parameters(gpt_cond_len=3)) == OWN
    assert worker.engine.conditioned == []


async def test_an_imported_voice_of_another_engine_is_computed_from_its_clips(
    worker: Worker,
) -> None:
    source = await library_voice(worker, [FOREIGN], [WAV])
    assert await worker.voices().get(source) not in (OWN, FOREIGN)
    assert len(worker.engine.conditioned) == 1


async def test_an_imported_voice_of_another_engine_without_clips_is_refused_with_its_model(
    worker: Worker,
) -> None:
    source = await library_voice(worker, [FOREIGN])
    with pytest.raises(UnusableReference, match="the engine xtts, model abc; select that engine"):
        await worker.voices().get(source)


async def test_a_voice_with_clips_is_computed_where_the_length_of_the_clips_is_chosen(
    worker: Worker,
) -> None:
    source = await library_voice(worker, [OWN], [WAV])
    assert await worker.voices().get(source) == OWN
    assert await worker.voices().get(source, Parameters(gpt_cond_len=3)) != OWN


async def test_new_clips_replace_an_imported_voice_and_erase_it(worker: Worker) -> None:
    source = await library_voice(worker, [OWN])
    library = VoiceLibrary(worker.bus)
    replaced = await library.replace_clips("public", source.voice, [WAV])
    assert (replaced.revision, replaced.computed) == (2, UNSET)
    imported = voice_clip_object("public", source.voice, clip_id(OWN))
    assert not await worker.bus.has_object(topology.VOICE_CLIPS, imported)


async def test_an_imported_voice_is_erased_with_its_record(worker: Worker) -> None:
    source = await library_voice(worker, [OWN])
    imported = voice_clip_object("public", source.voice, clip_id(OWN))
    assert await worker.bus.has_object(topology.VOICE_CLIPS, imported)
    await VoiceLibrary(worker.bus).delete("public", source.voice)
    assert not await worker.bus.has_object(topology.VOICE_CLIPS, imported)


async def test_a_computed_voice_can_be_exported_once_per_engine_and_model(worker: Worker) -> None:
    source = await library_voice(worker, [FOREIGN], [WAV])
    library = VoiceLibrary(worker.bus)
    voice = await library.require("public", source.voice)
    assert await library.portable(voice) == [FOREIGN]
    computed = await worker.voices().get(source)
    await worker.voices().get(source, Parameters(gpt_cond_len=3))
    assert await library.portable(voice) == [FOREIGN, computed]
