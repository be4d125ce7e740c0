"""Streams audio to a client as it is produced."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Final, NamedTuple

from aiohttp import web

from services.http_edge.context import Outcome, outcome_of
from services.http_edge.errors import ListenerStalled
from services.http_edge.speech.playback import Playback

LAST_BYTES: Final = 4096  # of a body of known length: what the connection takes at once, with the end


class AudioBytes(NamedTuple):
    """PCM whose first chunk is available, so that the response can begin."""

    first: bytes
    rest: AsyncIterator[bytes]
    listening: Playback


async def write(response: web.StreamResponse, content: bytes, patience_s: float) -> None:
    """Write bytes. Raises ListenerStalled if the client reads none of them for `patience_s`."""
    try:
        await asyncio.wait_for(response.write(content), patience_s)
    except TimeoutError:
        raise _stalled(patience_s) from None


async def finish(request: web.Request, response: web.StreamResponse, last: bytes, patience_s: float) -> None:
    """Write the last bytes and the end of a body; from then on the response is whole, whatever the client does next.

    A client that has everything may close its connection at once, which cancels the handler wherever it waits. So the
    end of a body of known length is sent by this call only: no client has all of it before. Raises ListenerStalled.
    """
    outcome = outcome_of(request)
    try:
        async with asyncio.timeout(patience_s):
            await response.write_eof(last)
    except TimeoutError:
        raise _stalled(patience_s) from None
    except asyncio.CancelledError:
        outcome.whole = True  # every byte is in the connection; only the drain was pending
        raise
    outcome.whole = True


def _stalled(patience_s: float) -> ListenerStalled:
    return ListenerStalled(f"no audio was read for {patience_s:.0f} s; read faster, or request a shorter text")


async def send_audio(
    request: web.Request,
    response: web.StreamResponse,
    header: bytes,
    sound: AudioBytes,
    patience_s: float,
) -> web.StreamResponse:
    """Send a WAV header (or what is missing of it), and PCM, in a body that ends with the audio.

    The body is chunked; to a client of HTTP/1.0 it ends with the connection, and a cut is a reset (`middleware.cut`).

    A failure of the audio cuts the body, and so does a client that reads nothing for `patience_s`. Raises
    ListenerStalled.
    """
    outcome = outcome_of(request)
    outcome.sample_rate_hz = sound.listening.sample_rate_hz
    outcome.heard_first()
    response.content_type = "audio/wav"
    await response.prepare(request)
    if header:
        await write(response, header, patience_s)
    try:
        await _send(outcome, response, sound, patience_s)
    finally:
        sound.listening.end()
    await finish(request, response, b"", patience_s)
    return response


async def _send(outcome: Outcome, response: web.StreamResponse, sound: AudioBytes, patience_s: float) -> None:
    listening, pcm = sound.listening, sound.first
    while True:
        listening.hear(len(pcm), time.monotonic())
        if pcm:
            await write(response, pcm, patience_s)
            listening.taken(time.monotonic())
        outcome.audio_bytes = listening.sent_bytes
        with listening.ticking():
            try:
                pcm = await anext(sound.rest)
            except StopAsyncIteration:
                return
