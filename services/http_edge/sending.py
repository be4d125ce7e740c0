"""Sound on its way to a client, as it comes."""

import time
from collections.abc import AsyncIterator
from typing import NamedTuple

from aiohttp import web

from services.http_edge.listening import Listening
from services.http_edge.middleware import outcome_of


class Sound(NamedTuple):
    """PCM of which the first piece is there, so that the answer may begin."""

    first: bytes
    rest: AsyncIterator[bytes]
    listening: Listening


async def send_sound(
    request: web.Request,
    response: web.StreamResponse,
    header: bytes,
    sound: "Sound",
) -> web.StreamResponse:
    """Send a WAV header (or what is missing of it), and PCM, in a chunked body.

    What the sound raises cuts the body; the caller has said that the answer has begun.
    """
    response.content_type = "audio/wav"
    response.enable_chunked_encoding()
    await response.prepare(request)
    if header:
        await response.write(header)
    sound.listening.hear(len(sound.first), time.monotonic())
    if sound.first:
        await response.write(sound.first)
    async for pcm in sound.rest:
        sound.listening.hear(len(pcm), time.monotonic())
        await response.write(pcm)
    await response.write_eof()
    outcome_of(request).sent(sound.listening.sent_bytes)
    return response
