"""Routes besides the pages: streamed audio, from the same address."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from typing import Final

import requests
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from ui.audio.mp3 import encoded
from ui.client.jobs import READINGS, Reading
from ui.client.service import HEADER_BYTES
from ui.client.speech import SPEAKING, Speaking, wav_header
from ui.errors import Refusal

_LOOK_S: Final = 0.03
_BLOCK_BYTES: Final = 64 * 1024
_LIVE_BYTES: Final = 0xFFFFFFFF
_PASSED_ON: Final = ("Content-Length", "Content-Range", "Accept-Ranges", "ETag")


async def speech_audio(request: Request) -> Response:
    """`GET /sound/{id}`: a speech as WAV; what is there and what comes while it is made, in ranges afterwards."""
    speaking = SPEAKING.get(request.path_params["id"])
    if speaking is None:
        return PlainTextResponse("gone", status_code=404)
    if speaking.whole:
        return _in_ranges(speaking.wav(), request.headers.get("Range", ""))
    return StreamingResponse(
        _live(speaking), media_type="audio/wav", headers={"Cache-Control": "no-store"}
    )


async def _live(speaking: Speaking) -> AsyncIterator[bytes]:
    sent, begun = 0, False
    while True:
        ended = speaking.ended
        if (pcm := speaking.pcm(sent)) and speaking.head is not None:
            yield (b"" if begun else wav_header(speaking.head.sample_rate_hz, _LIVE_BYTES)) + pcm
            sent, begun = sent + len(pcm), True
        if ended:
            return
        await asyncio.sleep(_LOOK_S)


def _in_ranges(content: bytes, range_header: str) -> Response:
    """Answer one range of bytes (RFC 9110, 14.2), or all; players seek by it."""
    headers = {"Accept-Ranges": "bytes"}
    found = re.fullmatch(r"bytes=(\d{1,12})-(\d{0,12})", range_header)
    if found is None or int(found[1]) >= len(content):
        return Response(content, media_type="audio/wav", headers=headers)
    first, last = int(found[1]), min(int(found[2] or len(content)), len(content) - 1)
    headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
    return Response(
        content[first : last + 1], status_code=206, media_type="audio/wav", headers=headers
    )


def reading(request: Request) -> Response:
    """`GET /reading/{id}.wav` and `.mp3`: a job's audio, streamed from the service; `?save` names the file."""
    job, kind = READINGS.get(request.path_params["id"]), request.path_params["kind"]
    if job is None or kind not in ("wav", "mp3"):
        return PlainTextResponse("gone", status_code=404)
    headers = (
        {"Content-Disposition": f'attachment; filename="reading.{kind}"'}
        if "save" in request.query_params
        else {}
    )
    if kind == "mp3":
        return StreamingResponse(_mp3(job), media_type="audio/mpeg", headers=headers)
    stack = ExitStack()
    try:
        answer = stack.enter_context(
            job.service.job_audio(job.id, request.headers.get("Range", ""))
        )
    except Refusal as refusal:
        return PlainTextResponse(str(refusal), status_code=502)
    headers |= {name: answer.headers[name] for name in _PASSED_ON if name in answer.headers}
    return StreamingResponse(
        _passed_on(answer, stack), answer.status_code, headers, media_type="audio/wav"
    )


def marks(request: Request) -> Response:
    """`GET /marks/{id}?from=N`: a job's sentences, where N is 0, and the ends of those from N on, in seconds."""
    job, given = READINGS.get(request.path_params["id"]), request.query_params.get("from", "0")
    if job is None or not re.fullmatch(r"[0-9]{1,7}", given):
        return PlainTextResponse("gone", status_code=404)
    ended, first = job.ended, int(given)  # `ended` first: what comes after it is no more
    sentences = [] if first else job.alignment.shown()
    return JSONResponse(
        {"sentences": sentences, "ends": job.alignment.ends_s[first:], "ended": ended}
    )


def _passed_on(answer: requests.Response, stack: ExitStack) -> Iterator[bytes]:
    with stack:
        yield from answer.iter_content(None)


def _mp3(job: Reading) -> Iterator[bytes]:
    with job.service.job_audio(job.id) as answer:
        blocks = answer.iter_content(_BLOCK_BYTES)
        head = next(blocks)
        yield from encoded(_after_header(head, blocks), int.from_bytes(head[24:28], "little"))


def _after_header(head: bytes, blocks: Iterator[bytes]) -> Iterator[bytes]:
    yield head[HEADER_BYTES:]
    yield from blocks


ROUTES: Final = (
    Route("/sound/{id}", speech_audio),
    Route("/reading/{id}.{kind}", reading),
    Route("/marks/{id}", marks),
)
