"""Sound on its way to a client, as it comes."""

import time
from collections.abc import AsyncIterator

from aiohttp import web

from services.http_edge.listening import Listening
from services.http_edge.middleware import outcome_of


async def send_sound(
    request: web.Request,
    response: web.StreamResponse,
    header: bytes,
    first: bytes,
    pieces: AsyncIterator[bytes],
    listening: Listening,
) -> web.StreamResponse:
    """Send a WAV header (or what is missing of it), a first piece of PCM and all others, in a chunked body.

    What `pieces` raises cuts the body; the caller has said that the answer has begun.
    """
    response.content_type = "audio/wav"
    response.enable_chunked_encoding()
    await response.prepare(request)
    if header:
        await response.write(header)
    listening.hear(len(first), time.monotonic())
    if first:
        await response.write(first)
    async for pcm in pieces:
        listening.hear(len(pcm), time.monotonic())
        await response.write(pcm)
    await response.write_eof()
    outcome_of(request).sent(listening.sent_bytes)
    return response
