"""A sentence whose samples differ between attempts: a response never joins two of them."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from services.common.audio.pcm import silence, to_pcm16
from services.common.bus import topology
from services.common.bus.ports import Bus
from services.common.runtime.lifecycle import tasks
from services.common.wire import subjects
from services.common.wire.failures import PipelineError
from services.common.wire.messages import SpeechRequest
from services.http_edge.metrics import Metrics
from services.http_edge.speech.session import SpeechSessions
from services.splitter import app as splitter_app
from services.splitter.segmentation.sentences import split
from services.splitter.settings import Settings as SplitterSettings
from services.synth_worker.app import Worker
from services.synth_worker.engine_thread import EngineThread
from services.synth_worker.engines.protocol import EngineDescription, Step, Utterance
from services.synth_worker.engines.tone import (
    SAMPLE_RATE_HZ,
    SAMPLES_PER_CHARACTER,
    ToneEngine,
    ToneSequence,
    watermark,
)
from services.synth_worker.ports import AttemptLost
from services.synth_worker.settings import Settings as WorkerSettings
from tests.support.buses import bus_of
from tests.support.service import digest, speech_request, stored_clip

TEXT = "This sentence is interrupted at its first attempt."


class Varying(ToneEngine):
    """A tone engine whose n-th sentence has the samples of seed n, and whose first one is interrupted."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = 0
        self.published = threading.Event()  # a part of the first one is stored

    def describe(self) -> EngineDescription:
        return replace(super().describe(), reproducible=False)

    def open(self, utterance: Utterance, voice: bytes) -> ToneSequence:
        self.opened += 1
        return super().open(replace(utterance, seed=self.opened), voice)

    def step(self, batch: Sequence[ToneSequence]) -> list[Step]:
        return [self._interrupted(sequence) for sequence in batch]

    def _interrupted(self, sequence: ToneSequence) -> Step:
        if sequence.seed == 1 and sequence.made:
            assert self.published.wait(60)
            lost = AttemptLost("the engine process ended within the sentence")
            return Step(watermark(0, 0, 0), done=True, failure=lost)
        return self._advance(sequence)


@asynccontextmanager
async def service(bus: Bus, request: SpeechRequest) -> AsyncIterator[SpeechSessions]:
    """Run a splitter and a worker with the varying engine, which is interrupted at this request."""
    stop = asyncio.Event()
    engine = Varying()
    async with tasks() as group:
        group.create_task(splitter_app.serve(bus, SplitterSettings(), stop))
        worker = Worker(bus, EngineThread(engine), WorkerSettings(engine="tone"))
        group.create_task(worker.serve(stop))
        group.create_task(until_stored(bus, request, engine.published))
        try:
            yield SpeechSessions(bus, Metrics(), first_audio_timeout_s=60)
        finally:
            stop.set()


async def until_stored(bus: Bus, request: SpeechRequest, stored: threading.Event) -> None:
    """Set the event once the first chunk of the request is stored."""
    first = subjects.chunk(request.tenant, request.request, 0, 0)
    async with asyncio.timeout(60):
        while await bus.last(topology.AUDIO, first) is None:
            await asyncio.sleep(0.02)
    stored.set()


def attempt(seed: int) -> bytes:
    """Return the audio of one attempt."""
    [sentence] = split(TEXT, "en", max_characters=250).sentences
    samples = watermark(seed, 0, len(sentence.spoken) * SAMPLES_PER_CHARACTER)
    return to_pcm16(samples) + to_pcm16(silence(sentence.pause_after_ms, SAMPLE_RATE_HZ))


@pytest.mark.parametrize("kind", ["memory", "nats"])
async def test_a_response_of_whole_sentences_has_the_second_attempt_alone(
    kind: str, tmp_path: Path
) -> None:
    async with bus_of(kind, tmp_path) as bus:
        request = speech_request(await stored_clip(bus), TEXT)
        async with service(bus, request) as sessions, sessions.speaking(request) as speech:
            audio = [chunk async for chunk in speech.chunks()]
    assert digest(audio) == digest([attempt(2)])


@pytest.mark.parametrize("kind", ["memory", "nats"])
async def test_a_stream_that_has_begun_the_first_attempt_ends_where_it_ended(
    kind: str, tmp_path: Path
) -> None:
    audio = bytearray()
    async with bus_of(kind, tmp_path) as bus:
        request = speech_request(await stored_clip(bus), TEXT)
        async with service(bus, request) as sessions:
            with pytest.raises(PipelineError) as failure:
                async with sessions.speaking(request, listening=True) as speech:
                    async for chunk in speech.chunks():
                        audio += chunk
    assert failure.value.code == "inconsistent_audio"
    assert audio
    assert attempt(1).startswith(audio)
