"""The engine thread: sentences share steps but not samples, and a cancelled sentence takes no further step."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest

from services.common.audio.clip import Clip
from services.common.wire.failures import (
    SpeechCancelled,
    SynthesisFailed,
    UnspeakableText,
    UnusableReference,
)
from services.synth_worker.engine_thread import EngineThread, SentenceTask
from services.synth_worker.engines.protocol import Step, Utterance
from services.synth_worker.engines.tone import (
    SAMPLES_PER_CHARACTER,
    ToneEngine,
    ToneSequence,
    watermark,
)
from services.synth_worker.ports import EngineClosed, EngineStuck


class Watched(ToneEngine):
    """A tone engine that records its batches, and can be made to fail or to hang."""

    def __init__(self, *, real_time_factor: float = 0.0, max_batch: int = 16) -> None:
        super().__init__(real_time_factor=real_time_factor, max_batch=max_batch)
        self.batches: list[list[int]] = []
        self.broken = False
        self.failing: int | None = None  # seed of the one sentence that always fails
        self._failing = Step(
            np.zeros(0, np.float32), done=True, failure=SynthesisFailed("it never ends")
        )

    def step(self, batch: Sequence[ToneSequence]) -> list[Step]:
        self.batches.append([sequence.seed for sequence in batch])
        if self.broken:
            raise ZeroDivisionError
        return [
            self._failing if sequence.seed == self.failing else step
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


def speak(
    model: EngineThread, seed: int, *, characters: int = 20, urgent: bool = False
) -> SentenceTask:
    return model.speak(Utterance("x" * characters, "en", seed), b"voice", urgent=urgent)


async def audio(sentence: SentenceTask) -> bytes:
    return b"".join([samples.tobytes() async for samples in sentence.stream()])


async def test_interleaved_sentences_are_the_same_as_alone(model: EngineThread) -> None:
    sentences = [speak(model, seed, characters=5 + 3 * seed) for seed in range(9)]
    results = await asyncio.gather(*(audio(sentence) for sentence in sentences))
    for seed, samples in enumerate(results):
        assert samples == watermark(seed, 0, (5 + 3 * seed) * SAMPLES_PER_CHARACTER).tobytes()


async def test_a_batch_is_never_larger_than_the_maximum_of_the_engine(
    model: EngineThread, engine: Watched
) -> None:
    await asyncio.gather(*(audio(speak(model, seed)) for seed in range(9)))
    assert max(len(batch) for batch in engine.batches) == 4


async def test_an_urgent_sentence_is_stepped_before_earlier_ones(
    model: EngineThread, engine: Watched
) -> None:
    ordinary = [asyncio.create_task(audio(speak(model, seed, characters=100))) for seed in range(4)]
    await asyncio.sleep(0.05)
    before = len(engine.batches)
    await audio(speak(model, 99, urgent=True))
    assert 99 in engine.batches[before + 1] or 99 in engine.batches[before]
    await asyncio.gather(*ordinary)


async def test_a_cancelled_sentence_takes_no_further_step(
    model: EngineThread, engine: Watched
) -> None:
    sentence = speak(model, 1, characters=1000)
    stream = sentence.stream()
    await anext(stream)
    sentence.cancel()
    with pytest.raises(SpeechCancelled):
        while True:
            await anext(stream)
    stepped = len(engine.batches)
    await asyncio.sleep(0.2)
    assert len(engine.batches) == stepped


async def test_a_cancelled_sentence_frees_its_slot_before_the_next_one_is_opened(
    model: EngineThread, engine: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[tuple[str, int]] = []
    stepping, may_go = threading.Event(), threading.Event()
    may_go.set()
    opened, discarded, stepped = engine.open, engine.discard, engine.step

    def opening(utterance: Utterance, voice: bytes) -> ToneSequence:
        order.append(("open", utterance.seed))
        return opened(utterance, voice)

    def discarding(sequence: ToneSequence) -> None:
        order.append(("discard", sequence.seed))
        discarded(sequence)

    def step(batch: Sequence[ToneSequence]) -> list[Step]:
        stepping.set()
        may_go.wait(60)
        return stepped(batch)

    monkeypatch.setattr(engine, "open", opening)
    monkeypatch.setattr(engine, "discard", discarding)
    monkeypatch.setattr(engine, "step", step)
    monkeypatch.setattr(model, "_step_timeout_s", 60.0, raising=False)
    first = speak(model, 1, characters=1000)
    stream = first.stream()
    await anext(stream)
    may_go.clear()
    stepping.clear()
    assert await asyncio.to_thread(stepping.wait, 60)
    first.cancel()
    second = speak(model, 2)  # both wait for the end of the step
    may_go.set()
    assert await audio(second)
    assert order == [("open", 1), ("discard", 1), ("open", 2), *order[3:]]
    await stream.aclose()  # type: ignore[attr-defined]


async def test_a_consumer_that_stops_reading_cancels_its_sentence(
    model: EngineThread, engine: Watched
) -> None:
    stream = speak(model, 1, characters=1000).stream()
    await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]
    await asyncio.sleep(0.1)
    stepped = len(engine.batches)
    await asyncio.sleep(0.2)
    assert len(engine.batches) == stepped


async def test_an_error_of_the_engine_reaches_the_caller(model: EngineThread) -> None:
    with pytest.raises(UnspeakableText):
        await audio(model.speak(Utterance("...", "en", 1), b"", urgent=False))
    with pytest.raises(UnusableReference):
        await model.condition([Clip(np.zeros(100, dtype=np.float32), 24_000)])


async def test_a_failed_step_fails_its_batch_and_the_next_sentence_is_synthesized(
    model: EngineThread, engine: Watched
) -> None:
    engine.broken = True
    with pytest.raises(ZeroDivisionError):
        await audio(speak(model, 1))
    engine.broken = False
    assert len(await audio(speak(model, 2))) == 4 * 20 * SAMPLES_PER_CHARACTER


async def test_a_sentence_that_fails_in_a_step_does_not_fail_the_rest_of_its_batch(
    model: EngineThread, engine: Watched
) -> None:
    engine.failing = 3
    sentences = [speak(model, seed) for seed in range(2, 5)]
    before, failing, after = await asyncio.gather(
        *(audio(sentence) for sentence in sentences), return_exceptions=True
    )
    assert isinstance(failing, SynthesisFailed)
    assert not failing.retryable
    assert before == watermark(2, 0, 20 * SAMPLES_PER_CHARACTER).tobytes()
    assert after == watermark(4, 0, 20 * SAMPLES_PER_CHARACTER).tobytes()
    assert sum(3 in batch for batch in engine.batches) == 1


async def test_the_consumer_of_a_hung_step_times_out() -> None:
    model = EngineThread(Watched(real_time_factor=2.0), step_timeout_s=0.1)
    with pytest.raises(EngineStuck):
        await audio(speak(model, 1))
    assert model.stuck.is_set()
    await model.close()


async def test_closing_fails_the_sentences_in_flight(engine: Watched) -> None:
    model = EngineThread(engine, step_timeout_s=5)
    speaking = asyncio.create_task(audio(speak(model, 1, characters=1000)))
    await asyncio.sleep(0.05)
    await model.close()
    with pytest.raises(EngineClosed):
        await speaking
