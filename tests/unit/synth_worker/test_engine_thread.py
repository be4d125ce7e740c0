"""The model thread: sentences share steps and never sound, and what is cancelled takes no further step."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest

from services.common.audio.clip import Clip
from services.common.wire.failures import SpeechCancelled, SynthesisFailed, UnspeakableText, UnusableReference
from services.synth_worker.engine_thread import EngineThread, SentenceTask
from services.synth_worker.engines.protocol import Step, Utterance
from services.synth_worker.engines.tone import SAMPLES_PER_CHARACTER, ToneEngine, ToneSequence, watermark
from services.synth_worker.ports import EngineClosed, EngineStuck


class Watched(ToneEngine):
    """A tone engine that remembers its batches, and breaks or hangs when told to."""

    def __init__(self, *, real_time_factor: float = 0.0, max_batch: int = 16) -> None:
        super().__init__(real_time_factor=real_time_factor, max_batch=max_batch)
        self.batches: list[list[int]] = []
        self.broken = False
        self.hopeless: int | None = None  # seed of the one sentence that always fails
        self._hopeless = Step(np.zeros(0, np.float32), done=True, failure=SynthesisFailed("it never ends"))

    def step(self, batch: Sequence[ToneSequence]) -> list[Step]:
        self.batches.append([sequence.seed for sequence in batch])
        if self.broken:
            raise ZeroDivisionError
        return [
            self._hopeless if sequence.seed == self.hopeless else step
            for sequence, step in zip(batch, super().step(batch), strict=True)
        ]


@pytest.fixture
async def engine() -> Watched:
    return Watched(real_time_factor=0.05, max_batch=4)


@pytest.fixture
async def model(engine: Watched) -> AsyncIterator[EngineThread]:
    model = EngineThread(engine, step_timeout_s=5)
    await model.load()
    yield model
    await model.close()


def speak(model: EngineThread, seed: int, *, characters: int = 20, urgent: bool = False) -> SentenceTask:
    return model.speak(Utterance("x" * characters, "en", seed), b"voice", urgent=urgent)


async def sound(speech: SentenceTask) -> bytes:
    return b"".join([samples.tobytes() async for samples in speech.pieces()])


async def test_interleaved_sentences_sound_as_they_do_alone(model: EngineThread) -> None:
    speeches = [speak(model, seed, characters=5 + 3 * seed) for seed in range(9)]
    sounds = await asyncio.gather(*(sound(speech) for speech in speeches))
    for seed, made in enumerate(sounds):
        assert made == watermark(seed, 0, (5 + 3 * seed) * SAMPLES_PER_CHARACTER).tobytes()


async def test_a_batch_is_never_larger_than_the_engine_takes(model: EngineThread, engine: Watched) -> None:
    await asyncio.gather(*(sound(speak(model, seed)) for seed in range(9)))
    assert max(len(batch) for batch in engine.batches) == 4


async def test_an_urgent_sentence_is_stepped_before_those_that_came_first(model: EngineThread, engine: Watched) -> None:
    ordinary = [asyncio.create_task(sound(speak(model, seed, characters=100))) for seed in range(4)]
    await asyncio.sleep(0.05)
    before = len(engine.batches)
    await sound(speak(model, 99, urgent=True))
    assert 99 in engine.batches[before + 1] or 99 in engine.batches[before]
    await asyncio.gather(*ordinary)


async def test_a_cancelled_sentence_takes_no_further_step(model: EngineThread, engine: Watched) -> None:
    speech = speak(model, 1, characters=1000)
    pieces = speech.pieces()
    await anext(pieces)
    speech.cancel()
    with pytest.raises(SpeechCancelled):
        while True:
            await anext(pieces)
    stepped = len(engine.batches)
    await asyncio.sleep(0.2)
    assert len(engine.batches) == stepped


async def test_a_listener_that_leaves_cancels(model: EngineThread, engine: Watched) -> None:
    pieces = speak(model, 1, characters=1000).pieces()
    await anext(pieces)
    await pieces.aclose()  # type: ignore[attr-defined]
    await asyncio.sleep(0.1)
    stepped = len(engine.batches)
    await asyncio.sleep(0.2)
    assert len(engine.batches) == stepped


async def test_what_the_engine_refuses_reaches_the_one_who_asked(model: EngineThread) -> None:
    with pytest.raises(UnspeakableText):
        await sound(model.speak(Utterance("...", "en", 1), b"", urgent=False))
    with pytest.raises(UnusableReference):
        await model.condition([Clip(np.zeros(100, dtype=np.float32), 24_000)])


async def test_a_failed_step_fails_its_batch_and_the_next_sentence_is_spoken(
    model: EngineThread, engine: Watched
) -> None:
    engine.broken = True
    with pytest.raises(ZeroDivisionError):
        await sound(speak(model, 1))
    engine.broken = False
    assert len(await sound(speak(model, 2))) == 4 * 20 * SAMPLES_PER_CHARACTER


async def test_a_sentence_that_fails_in_a_step_takes_none_of_its_batch_along(
    model: EngineThread, engine: Watched
) -> None:
    engine.hopeless = 3
    speeches = [speak(model, seed) for seed in range(2, 5)]
    before, hopeless, after = await asyncio.gather(*(sound(speech) for speech in speeches), return_exceptions=True)
    assert isinstance(hopeless, SynthesisFailed)
    assert not hopeless.retryable
    assert before == watermark(2, 0, 20 * SAMPLES_PER_CHARACTER).tobytes()
    assert after == watermark(4, 0, 20 * SAMPLES_PER_CHARACTER).tobytes()
    assert sum(3 in batch for batch in engine.batches) == 1


async def test_a_hung_step_ends_the_wait_of_its_sentence() -> None:
    model = EngineThread(Watched(real_time_factor=2.0), step_timeout_s=0.1)
    with pytest.raises(EngineStuck):
        await sound(speak(model, 1))
    assert model.stuck.is_set()
    await model.close()


async def test_closing_fails_what_is_in_flight(engine: Watched) -> None:
    model = EngineThread(engine, step_timeout_s=5)
    speaking = asyncio.create_task(sound(speak(model, 1, characters=1000)))
    await asyncio.sleep(0.05)
    await model.close()
    with pytest.raises(EngineClosed):
        await speaking
