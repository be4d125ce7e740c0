"""A worker with an engine that speaks one sentence, in this process: what it publishes."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from msgspec import UNSET, UnsetType, structs

from services.common.audio.clip import Samples
from services.common.audio.pcm import from_pcm16
from services.common.bus.inbox import open_inbox
from services.common.bus.ports import Bus
from services.common.runtime.lifecycle import tasks
from services.common.wire import codec, subjects
from services.common.wire.messages import AudioChunk, SentenceSpoken, SpeechFailed
from services.common.wire.options import AS_USUAL, Parameters
from services.synth_worker.app import Worker
from services.synth_worker.engine_thread import EngineThread
from services.synth_worker.engines.protocol import EngineDescription, Level, Step
from services.synth_worker.engines.tone import ToneEngine, ToneSequence
from services.synth_worker.settings import Settings
from tests.support.service import only_sentence, speech_request, stored_clip
from tests.support.speech import at_lufs, syllables, with_quiet

RAW = with_quiet(at_lufs(syllables(3, 1), -22.5), 0.13, 0.45)
SETTINGS = Settings(engine="tone")


class Speaking(ToneEngine):
    """An engine that speaks the same sentence every time, in chunks of a given size."""

    def __init__(self, samples_per_step: int) -> None:
        super().__init__()
        self._samples_per_step = samples_per_step

    def describe(self) -> EngineDescription:
        return replace(
            super().describe(), level=Level(usual_lufs=-22.0, spread_lu=1.0, ahead_ms=450)
        )

    def step(self, batch: Sequence[ToneSequence]) -> list[Step]:
        return [self._next(sequence) for sequence in batch]

    def _next(self, sequence: ToneSequence) -> Step:
        samples = RAW[sequence.made : sequence.made + self._samples_per_step]
        sequence.made += len(samples)
        return Step(samples, done=sequence.made == len(RAW))


async def spoken(
    bus: Bus,
    *,
    settings: Settings = SETTINGS,
    watermark: str | UnsetType = UNSET,
    parameters: Parameters = AS_USUAL,
    pauses_ms: tuple[int, int] = (0, 0),
    samples_per_step: int = 20_000,
    begin: asyncio.Event | None = None,
) -> tuple[Samples, SentenceSpoken | SpeechFailed]:
    """Return the samples that a worker publishes for a sentence, and how it ended.

    `begin`: when the worker starts; another one can take the sentence before that.
    """
    request = speech_request(await stored_clip(bus))
    job = only_sentence(
        request,
        text="Only one sentence here, and it is as long as most of them are.",
        parameters=parameters,
        pauses_ms=pauses_ms,
    )
    job = structs.replace(job, watermark=watermark)
    stop = asyncio.Event()
    worker = Worker(
        bus,
        EngineThread(Speaking(samples_per_step)),
        settings,
    )
    chunks: dict[int, bytes] = {}

    async def serve() -> None:
        if begin is not None:
            await begin.wait()
        await worker.serve(stop)

    async with tasks() as group, open_inbox(bus, "public", job.request) as inbox:
        group.create_task(serve())
        subject = subjects.sentence("tone", "express", "public", job.request, 0)
        await bus.publish(subject, codec.encode(job), message_id=job.request)
        while not isinstance(event := await inbox.next(10), SentenceSpoken | SpeechFailed):
            assert isinstance(event, AudioChunk)
            chunks[event.first_sample] = event.pcm
        stop.set()
    return from_pcm16(b"".join(chunks[place] for place in sorted(chunks))), event
