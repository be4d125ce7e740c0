"""Speak with pipecat, unmodified: `python pipecat_speech.py BASE_URL TEXT`. Prints one JSON object."""

import asyncio
import hashlib
import json
import sys
from collections.abc import Sequence
from typing import Any

from loguru import logger
from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    TTSStoppedFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.runner import PipelineRunner
from pipecat.pipeline.task import PipelineParams, PipelineTask
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.openai.tts import OpenAITTSService


class Recorder(FrameProcessor):
    """Keeps the audio that leaves the service."""

    def __init__(self) -> None:
        super().__init__()
        self.audio: list[TTSAudioRawFrame] = []
        self.stopped = asyncio.Event()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Record a frame and pass it on."""
        await super().process_frame(frame, direction)
        if isinstance(frame, TTSAudioRawFrame):
            self.audio.append(frame)
        if isinstance(frame, TTSStoppedFrame):
            self.stopped.set()
        await self.push_frame(frame, direction)


def service(base_url: str, **settings: Any) -> OpenAITTSService:
    """Return a service with these settings."""
    return OpenAITTSService(
        api_key="unused", base_url=base_url, settings=OpenAITTSService.Settings(**settings)
    )


def content(frames: Sequence[TTSAudioRawFrame]) -> dict[str, Any]:
    """Return what the frames contained."""
    pcm = b"".join(frame.audio for frame in frames)
    return {
        "sha256": hashlib.sha256(pcm).hexdigest(),
        "bytes": len(pcm),
        "sample_rates": sorted({frame.sample_rate for frame in frames}),
    }


async def in_a_pipeline(base_url: str, text: str) -> dict[str, Any]:
    """Return the audio of a text that a pipeline speaks."""
    recorder = Recorder()
    task = PipelineTask(
        Pipeline([service(base_url, model="tts-1", voice="nova"), recorder]),
        params=PipelineParams(audio_out_sample_rate=24_000),
    )

    async def speak() -> None:
        await task.queue_frame(TTSSpeakFrame(text))
        await asyncio.wait_for(recorder.stopped.wait(), 60)
        await task.stop_when_done()

    await asyncio.gather(PipelineRunner(handle_sigint=False).run(task), speak())
    return content(recorder.audio)


async def refused(base_url: str) -> str:
    """Return the error of a speed that is out of range."""
    tts = service(base_url, voice="alloy", speed=100.0)
    frames = [frame async for frame in tts.run_tts("Hello.", "context")]
    return str(next(frame.error for frame in frames if isinstance(frame, ErrorFrame)))


async def main(base_url: str, text: str) -> None:
    """Speak, and print what came."""
    logger.remove()
    found = {"spoken": await in_a_pipeline(base_url, text), "refused": await refused(base_url)}
    print(json.dumps(found))


asyncio.run(main(*sys.argv[1:]))
