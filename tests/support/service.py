"""A splitter and workers with the tone engine, on a bus of the test's choice, in this process."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256

import numpy as np

from services.common.audio.clip import Clip
from services.common.audio.pcm import silence, to_pcm16
from services.common.audio.wav import write_wav
from services.common.bus.clips import store_clip
from services.common.bus.ports import Bus
from services.common.runtime.lifecycle import tasks
from services.common.wire.messages import SentenceJob, SpeechRequest
from services.common.wire.options import Parameters
from services.common.wire.seeds import sentence_seed
from services.splitter import app as splitter_app
from services.splitter.segmentation.sentences import split
from services.splitter.settings import Settings as SplitterSettings
from services.synth_worker.app import Worker
from services.synth_worker.engine_thread import EngineThread
from services.synth_worker.engines.tone import (
    SAMPLE_RATE_HZ,
    SAMPLES_PER_CHARACTER,
    ToneEngine,
    watermark,
)
from services.synth_worker.settings import Settings as WorkerSettings

MAX_CHARACTERS = 60
TEXT = (
    "It was a bright cold day in April. The clocks were striking thirteen! Nobody looked up? "
    "A man went quickly through the glass doors, though not quickly enough. Dust came in with him."
)


@asynccontextmanager
async def tone_service(
    bus: Bus,
    *,
    workers: int = 2,
    real_time_factor: float = 0.0,
    stop: asyncio.Event | None = None,
) -> AsyncIterator[None]:
    """Run one splitter and some tone workers while the block runs, then stop them as SIGTERM would.

    They also stop when `stop` is set.
    """
    stop = stop or asyncio.Event()
    settings = WorkerSettings(
        engine="tone", worker_slots=4, worker_express_slots=2, worker_stop_s=1.0
    )
    engines = [
        ToneEngine(real_time_factor=real_time_factor, max_characters=MAX_CHARACTERS)
        for _ in range(workers)
    ]
    async with tasks() as group:
        group.create_task(splitter_app.serve(bus, SplitterSettings(), stop))
        for engine in engines:
            group.create_task(Worker(bus, EngineThread(engine), settings).serve(stop))
        try:
            yield
        finally:
            stop.set()


async def stored_clip(bus: Bus) -> str:
    """Store a clip of four seconds of noise and return its id."""
    samples = np.random.default_rng(1).normal(0, 0.1, 4 * SAMPLE_RATE_HZ).astype(np.float32)
    return await store_clip(bus, "public", write_wav(Clip(samples, SAMPLE_RATE_HZ)))


def speech_request(
    clip: str, text: str = TEXT, *, seed: int = 42, lasts_s: float = 60
) -> SpeechRequest:
    """Return a request for the tone engine."""
    return SpeechRequest(
        request=secrets.token_hex(16),
        tenant="public",
        engine="tone",
        language="en",
        text=text,
        clips=(clip,),
        seed=seed,
        deadline_unix_ms=round((time.time() + lasts_s) * 1000),
    )


def only_sentence(
    request: SpeechRequest,
    *,
    text: str,
    parameters: Parameters,
    pauses_ms: tuple[int, int] = (0, 0),
) -> SentenceJob:
    """Return the one sentence of a request, with the silence before and after it."""
    return SentenceJob(
        request=request.request,
        tenant=request.tenant,
        engine=request.engine,
        language=request.language,
        sentence=0,
        sentences=1,
        text=text,
        clips=request.clips,
        seed=1,
        pause_before_ms=pauses_ms[0],
        pause_after_ms=pauses_ms[1],
        deadline_unix_ms=request.deadline_unix_ms,
        parameters=parameters,
    )


def sentence_count(text: str = TEXT, max_characters: int = MAX_CHARACTERS) -> int:
    """Return how many sentences the splitter makes of a text."""
    return len(split(text, "en", max_characters=max_characters).sentences)


def expected_pcm(
    text: str = TEXT,
    *,
    language: str = "en",
    seed: int = 42,
    speed: float = 1.0,
    max_characters: int = MAX_CHARACTERS,
) -> bytes:
    """Return every sample that the tone engine produces for a text, pauses included."""
    sound: list[bytes] = []
    for place, sentence in enumerate(
        split(text, language, max_characters=max_characters).sentences
    ):
        count = round(len(sentence.spoken) * SAMPLES_PER_CHARACTER / speed)
        sound.append(to_pcm16(watermark(sentence_seed(seed, place), 0, count)))
        sound.append(to_pcm16(silence(sentence.pause_after_ms, SAMPLE_RATE_HZ)))
    return b"".join(sound)


def digest(pieces: Sequence[bytes]) -> str:
    """Return the SHA-256 of some audio, so that a failed comparison does not print megabytes."""
    return sha256(b"".join(pieces)).hexdigest()
