"""Sound on its way to a client, as it comes."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import NamedTuple

from aiohttp import web

from services.http_edge.errors import ListenerStalled
from services.http_edge.listening import Listening
from services.http_edge.middleware import outcome_of


class Sound(NamedTuple):
    """PCM of which the first piece is there, so that the answer may begin."""

    first: bytes
    rest: AsyncIterator[bytes]
    listening: Listening


async def write(response: web.StreamResponse, content: bytes, patience_s: float) -> None:
    """Send bytes; whoever takes none of them for long must not be waited for. Raises ListenerStalled."""
    try:
        await asyncio.wait_for(response.write(content), patience_s)
    except TimeoutError:
        raise ListenerStalled(f"no sound was taken for {patience_s:.0f} s; read on, or ask for less") from None


async def send_sound(
    request: web.Request,
    response: web.StreamResponse,
    header: bytes,
    sound: Sound,
    patience_s: float,
) -> web.StreamResponse:
    """Send a WAV header (or what is missing of it), and PCM, in a chunked body.

    What the sound raises cuts the body, and so does a client that takes nothing for `patience_s`; the caller has said
    that the answer has begun. Raises ListenerStalled.
    """
    response.content_type = "audio/wav"
    response.enable_chunked_encoding()
    await response.prepare(request)
    if header:
        await write(response, header, patience_s)
    sound.listening.hear(len(sound.first), time.monotonic())
    if sound.first:
        await write(response, sound.first, patience_s)
    async for pcm in sound.rest:
        sound.listening.hear(len(pcm), time.monotonic())
        await write(response, pcm, patience_s)
    await response.write_eof()
    outcome_of(request).sent(sound.listening.sent_bytes)
    return response
