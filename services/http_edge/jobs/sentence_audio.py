"""The audio of a running job, by sentence, and the pace at which it arrives."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

import msgspec

from services.common.wire.messages import JobProgress, SentenceSpoken
from services.http_edge.speech.session import SpeechSession


async def sentences_of(
    speech: SpeechSession,
) -> AsyncGenerator[tuple[bytes, SentenceSpoken], None]:
    """Yield the PCM and the end marker of one sentence after another."""
    buffer = bytearray()
    done = 0  # sentences

    def whole() -> list[tuple[bytes, SentenceSpoken]]:
        nonlocal done
        ready: list[tuple[bytes, SentenceSpoken]] = []
        while done < len(speech.spoken) and len(buffer) >= (
            size := 2 * speech.spoken[done].samples
        ):
            ready.append((bytes(buffer[:size]), speech.spoken[done]))
            del buffer[:size]
            done += 1
        return ready

    async with aclosing(speech.chunks()) as chunks:
        async for chunk in chunks:
            buffer += chunk
            for sentence in whole():
                yield sentence
    for sentence in whole():
        yield sentence


@dataclass(frozen=True)
class Pace:
    """The pace of a job at this edge."""

    began_s: float
    spoken: int  # sentences stored at that time

    def estimated(self, progress: JobProgress) -> JobProgress:
        """Return the progress with its end estimated from the pace."""
        each_s = (time.monotonic() - self.began_s) / (progress.spoken - self.spoken)
        left_s = each_s * (progress.sentences - progress.spoken)
        return msgspec.structs.replace(
            progress, estimated_end_unix_ms=round((time.time() + left_s) * 1000)
        )
