"""Routes besides the pages: streamed audio, from the same address."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from typing import Final
from urllib.parse import quote

import requests
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from ui.audio.encoding import FORMATS, encoded
from ui.client.jobs import READINGS, Reading
from ui.client.responses import HEADER_BYTES
from ui.client.speech import SPEAKING, Speaking, wav_header
from ui.errors import Refusal
from ui.text.file_name import file_stem
from ui.text.sentences import SUBTITLES

_LOOK_S: Final = 0.03
_LIVE_BYTES: Final = 0xFFFFFFFF
_BOOKS: Final = {"m4b": "audio/mp4", "mp3": "audio/mpeg"}
_PASSED_ON: Final = ("Content-Length", "Content-Range", "Accept-Ranges", "ETag")


async def speech_audio(request: Request) -> Response:
    """`GET /sound/{id}`: a speech as WAV; what is there and what comes while it is made, in ranges afterwards.

    `?from=N` begins at this byte of the PCM, after its own header.
    """
    speaking = SPEAKING.get(request.path_params["id"])
    first = _first_byte(request)
    if speaking is None or first is None:
        return PlainTextResponse("gone", status_code=404)
    if speaking.ended and not first:
        return _in_ranges(speaking.wav(), request.headers.get("Range", ""))
    return StreamingResponse(
        _live(speaking, first), media_type="audio/wav", headers={"Cache-Control": "no-store"}
    )


def _first_byte(request: Request) -> int | None:
    """Return `?from=`, a whole number of samples; None if it is not valid."""
    given = request.query_params.get("from", "0")
    return int(given) // 2 * 2 if re.fullmatch(r"[0-9]{1,12}", given) else None


async def _live(speaking: Speaking, first: int) -> AsyncIterator[bytes]:
    sent = first
    begun = False
    while True:
        ended = speaking.ended
        if (pcm := speaking.pcm(sent)) and speaking.head is not None:
            yield (b"" if begun else wav_header(speaking.head.sample_rate_hz, _LIVE_BYTES)) + pcm
            begun = True
            sent += len(pcm)
        if ended:
            return
        await asyncio.sleep(_LOOK_S)


def speech_file(request: Request) -> Response:
    """`GET /sound/{id}.{kind}`: a speech that has ended, as a file to save in one of the formats."""
    speaking = SPEAKING.get(request.path_params["id"])
    kind = request.path_params["kind"]
    if speaking is None or not speaking.ended or kind not in FORMATS:
        return PlainTextResponse("gone", status_code=404)
    content = (
        [speaking.wav()]
        if kind == "wav"
        else encoded([speaking.pcm()], speaking.rate_hz, kind, speaking.comment)
    )
    return StreamingResponse(
        content, media_type=FORMATS[kind], headers=_attachment(speaking.order.text, kind)
    )


def _attachment(text: str, kind: str) -> dict[str, str]:
    name = quote(f"{file_stem(text)}.{kind}")
    return {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}


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
    """`GET /reading/{id}.{kind}`: a job's audio, streamed from the service; `?save` names the file.

    `?from=N` of a WAV begins at this byte of the PCM, after its own header. `?chapter=N` is one chapter.
    """
    job = READINGS.get(request.path_params["id"])
    kind = request.path_params["kind"]
    first = _first_byte(request)
    chapter = request.query_params.get("chapter")
    if chapter is not None and not re.fullmatch(r"[0-9]{1,3}", chapter):
        return PlainTextResponse("gone", status_code=404)
    if job is None or kind not in FORMATS or first is None:
        return PlainTextResponse("gone", status_code=404)
    index = None if chapter is None else int(chapter)

    stack = ExitStack()
    try:
        answer = stack.enter_context(
            job.service.job_audio(job.id, request.headers.get("Range", ""), kind, index)
        )
    except Refusal as refusal:
        return PlainTextResponse(str(refusal), status_code=404 if refusal.gone else 502)

    name = f"{_chapter_title(job, index)} {job.title}"
    headers = _attachment(name, kind) if "save" in request.query_params else {}
    blocks = _passed_on(answer, stack)
    if first:
        blocks = _from_byte(blocks, first)
    else:
        headers |= {name: answer.headers[name] for name in _PASSED_ON if name in answer.headers}
    return StreamingResponse(blocks, answer.status_code, headers, media_type=FORMATS[kind])


def _chapter_title(job: Reading, index: int | None) -> str:
    return job.chapters[index].title if index is not None and index < len(job.chapters) else ""


def marks(request: Request) -> Response:
    """`GET /marks/{id}?from=N`: a job's sentences, where N is 0, and the ends of those from N on, in seconds."""
    job, given = READINGS.get(request.path_params["id"]), request.query_params.get("from", "0")
    if job is None or not re.fullmatch(r"[0-9]{1,7}", given):
        return PlainTextResponse("gone", status_code=404)
    ended, first = job.settled, int(given)  # `settled` first: what comes after it is no more
    sentences = [] if first else job.alignment.shown()
    return JSONResponse(
        {"sentences": sentences, "ends": job.alignment.ends_s[first:], "ended": ended}
    )


def _passed_on(answer: requests.Response, stack: ExitStack) -> Iterator[bytes]:
    with stack:
        yield from answer.iter_content(None)


def book(request: Request) -> Response:
    """`GET /reading/{id}/book.{kind}`: a job's audio book with its title and chapters, as M4B or MP3."""
    job = READINGS.get(request.path_params["id"])
    kind = request.path_params["kind"]
    if job is None or kind not in _BOOKS:
        return PlainTextResponse("gone", status_code=404)
    stack = ExitStack()
    try:
        answer = stack.enter_context(job.service.job_book(job.id, kind))
    except Refusal as refusal:
        return PlainTextResponse(str(refusal), status_code=404 if refusal.gone else 502)
    return StreamingResponse(
        _passed_on(answer, stack), media_type=_BOOKS[kind], headers=_attachment(job.title, kind)
    )


def subtitles(request: Request) -> Response:
    """`GET /reading/{id}/subtitles.{kind}`: the subtitles of a job that is done, as a file to save."""
    job = READINGS.get(request.path_params["id"])
    kind = request.path_params["kind"]
    if job is None or kind not in SUBTITLES:
        return PlainTextResponse("gone", status_code=404)
    try:
        content = job.service.job_subtitles(job.id, kind)
    except Refusal as refusal:
        return PlainTextResponse(str(refusal), status_code=404 if refusal.gone else 502)
    return Response(content, media_type=SUBTITLES[kind], headers=_attachment(job.title, kind))


def _from_byte(blocks: Iterator[bytes], first: int) -> Iterator[bytes]:
    """Yield a WAV without its first bytes of PCM. A running job cannot be read from its middle."""
    head = b""
    skip = first
    left = 0  # bytes of PCM; metadata can follow them
    for block in blocks:
        missing = HEADER_BYTES - len(head)
        if missing > 0:
            head += block[:missing]
            if len(head) == HEADER_BYTES:
                yield head
                left = int.from_bytes(head[-4:], "little")
        pcm = block[max(missing, 0) :][:left]
        left -= len(pcm)
        yield pcm[skip:]
        skip = max(0, skip - len(pcm))


ROUTES: Final = (
    Route("/sound/{id}.{kind}", speech_file),
    Route("/sound/{id}", speech_audio),
    Route("/reading/{id}/book.{kind}", book),
    Route("/reading/{id}/subtitles.{kind}", subtitles),
    Route("/reading/{id}.{kind}", reading),
    Route("/marks/{id}", marks),
)
