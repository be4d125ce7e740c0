"""Voices: what shapes one, and that it is computed once."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from services.common.audio.clip import Clip
from services.common.audio.wav import write_wav
from services.common.bus.clips import store_clip
from services.common.bus.memory import MemoryBus
from services.common.wire.messages import AS_USUAL, Parameters
from services.synth_worker.engines.tone import SAMPLE_RATE_HZ, ToneEngine
from services.synth_worker.metrics import Metrics
from services.synth_worker.model import Model
from services.synth_worker.voices import Voices
from tests.support.buses import memory_bus


class Listening(ToneEngine):
    """A tone engine whose voices depend on how much of the clips it heard, and that remembers what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[int, Parameters]] = []  # clips, and how to hear them

    def condition(self, clips: Sequence[Clip], parameters: Parameters = AS_USUAL) -> bytes:
        self.heard.append((len(clips), parameters))
        seconds = parameters.gpt_cond_len or 30
        return super().condition([Clip(clip.samples[: seconds * SAMPLE_RATE_HZ], SAMPLE_RATE_HZ) for clip in clips])


@dataclass
class Worker:
    """What of a worker has to do with voices."""

    engine: Listening
    bus: MemoryBus
    model: Model

    def voices(self) -> Voices:
        """Return voices with nothing in memory."""
        return Voices(self.bus, self.model, Metrics(), capacity=8)

    async def clip(self, seed: int) -> str:
        """Store six seconds of noise."""
        samples = np.random.default_rng(seed).normal(0, 0.1, 6 * SAMPLE_RATE_HZ).astype(np.float32)
        return await store_clip(self.bus, "public", write_wav(Clip(samples, SAMPLE_RATE_HZ)))


@pytest.fixture
async def worker() -> AsyncIterator[Worker]:
    engine, bus = Listening(), await memory_bus()
    model = Model(engine)
    yield Worker(engine, bus, model)
    await model.close()


async def test_more_of_the_clips_is_another_voice_in_memory_and_in_the_bucket(worker: Worker) -> None:
    clips, here = (await worker.clip(1),), worker.voices()
    asked = (AS_USUAL, Parameters(gpt_cond_len=3), Parameters(gpt_cond_len=4))
    computed = [await here.get("public", clips, parameters) for parameters in asked]
    assert len(set(computed)) == 3
    elsewhere = worker.voices()
    assert [await elsewhere.get("public", clips, parameters) for parameters in asked] == computed
    assert len(worker.engine.heard) == 3


async def test_parameters_of_speaking_neither_change_a_voice_nor_reach_its_computation(worker: Worker) -> None:
    clips, voices = (await worker.clip(1),), worker.voices()
    hot = Parameters(temperature=1.5, top_k=3, speed=2.0, gpt_cond_len=4)
    assert await voices.get("public", clips, hot) == await voices.get("public", clips, Parameters(gpt_cond_len=4))
    assert worker.engine.heard == [(1, Parameters(gpt_cond_len=4))]


async def test_several_clips_are_one_voice_of_all_of_them_in_their_order(worker: Worker) -> None:
    first, second = await worker.clip(1), await worker.clip(2)
    voices = worker.voices()
    found = [await voices.get("public", clips) for clips in ((first,), (second,), (first, second), (second, first))]
    assert len(set(found)) == 4
    assert [count for count, _ in worker.engine.heard] == [1, 1, 2, 2]


async def test_sentences_that_need_a_voice_at_the_same_time_share_one_computation(worker: Worker) -> None:
    clips, voices = (await worker.clip(1),), worker.voices()
    found = await asyncio.gather(*(voices.get("public", clips, Parameters(gpt_cond_len=5)) for _ in range(6)))
    assert len(set(found)) == 1
    assert len(worker.engine.heard) == 1
