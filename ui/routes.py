"""What the browser fetches beside the pages: sound, as it comes, from the same address as everything else."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from ui.speaking import SPEAKING, Speaking, wav_header

_LOOK_S: Final = 0.03
_LIVE_BYTES: Final = 0xFFFFFFFF


async def sound(request: Request) -> Response:
    """`GET /sound/{id}`: a speech as WAV; what is there and what comes while it is made, in ranges afterwards."""
    speaking = SPEAKING.get(request.path_params["id"])
    if speaking is None:
        return PlainTextResponse("gone", status_code=404)
    if speaking.whole:
        return _in_ranges(speaking.wav(), request.headers.get("Range", ""))
    return StreamingResponse(_live(speaking), media_type="audio/wav", headers={"Cache-Control": "no-store"})


async def _live(speaking: Speaking) -> AsyncIterator[bytes]:
    sent, begun = 0, False
    while True:
        ended = speaking.ended
        if (pcm := speaking.pcm(sent)) and speaking.heard is not None:
            yield (b"" if begun else wav_header(speaking.heard.sample_rate_hz, _LIVE_BYTES)) + pcm
            sent, begun = sent + len(pcm), True
        if ended:
            return
        await asyncio.sleep(_LOOK_S)


def _in_ranges(content: bytes, asked: str) -> Response:
    """Answer one range of bytes (RFC 9110, 14.2), or all; players seek by it."""
    headers = {"Accept-Ranges": "bytes"}
    found = re.fullmatch(r"bytes=(\d{1,12})-(\d{0,12})", asked)
    if found is None or int(found[1]) >= len(content):
        return Response(content, media_type="audio/wav", headers=headers)
    first, last = int(found[1]), min(int(found[2] or len(content)), len(content) - 1)
    headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
    return Response(content[first : last + 1], status_code=206, media_type="audio/wav", headers=headers)


ROUTES: Final = (Route("/sound/{id}", sound),)
