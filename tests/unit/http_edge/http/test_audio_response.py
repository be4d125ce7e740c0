"""Audio responses over a real connection: headers, lengths, offsets, ranges, and the end of the body."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from services.common.audio.wav import wav_header, with_chunk_after
from services.http_edge.context import OUTCOME, RequestOutcome
from services.http_edge.encoders.registry import WAV
from services.http_edge.encoders.tags import Tags
from services.http_edge.errors import ListenerStalled
from services.http_edge.http.audio_response import AudioResponse
from services.http_edge.http.middleware import cut
from services.http_edge.http.ranges import ByteRange

RATE_HZ = 24_000
PCM = bytes(range(256)) * 100
WHOLE = wav_header(sample_rate_hz=RATE_HZ, data_bytes=len(PCM)) + PCM
Send = Callable[[AudioResponse], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def served(
    send: Send, outcome: RequestOutcome, patience_s: float = 10.0, tags: Tags | None = None
) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    """Serve `send` at /, with this outcome for the request."""

    async def handler(request: web.Request) -> web.StreamResponse:
        request[OUTCOME] = outcome
        audio = AudioResponse(
            request, WAV, tags=tags, sample_rate_hz=RATE_HZ, patience_s=patience_s
        )
        try:
            return await send(audio)
        except RuntimeError:
            cut(request)
            raise

    app = web.Application()
    app.router.add_get("/", handler)
    async with TestClient(TestServer(app)) as client:
        yield client


async def test_a_body_of_known_length_is_a_wav_with_its_sizes() -> None:
    async def send(audio: AudioResponse) -> web.StreamResponse:
        await audio.begin({"X-Seed": "7"}, data_bytes=len(PCM))
        await audio.write(PCM)
        return await audio.finish()

    outcome = RequestOutcome()
    async with served(send, outcome) as client, client.get("/") as response:
        assert await response.read() == WHOLE
        assert response.headers["Content-Type"] == "audio/wav"
        assert response.headers["Content-Length"] == str(len(WHOLE))
        assert response.headers["X-Seed"] == "7"

    assert outcome.status == "success"
    assert outcome.audio_bytes == len(PCM)
    assert outcome.audio_seconds == len(PCM) / 2 / RATE_HZ


@pytest.mark.parametrize("offset", [0, 1, 43, 44])
async def test_a_resumed_body_has_only_the_part_of_the_header_that_the_client_needs(
    offset: int,
) -> None:
    async def send(audio: AudioResponse) -> web.StreamResponse:
        await audio.begin({}, offset=offset)
        await audio.write(PCM)
        return await audio.finish()

    header = wav_header(sample_rate_hz=RATE_HZ, data_bytes=None)
    async with served(send, RequestOutcome()) as client, client.get("/") as response:
        assert await response.read() == header[offset:] + PCM
        assert "Content-Length" not in response.headers


@pytest.mark.parametrize(("start", "end"), [(0, 10), (0, 100), (40, 50), (100, 200)])
async def test_a_range_is_a_partial_response_with_its_position(start: int, end: int) -> None:
    async def send(audio: AudioResponse) -> web.StreamResponse:
        await audio.begin({}, data_bytes=len(PCM), byte_range=ByteRange(start, end))
        await audio.write(PCM[max(0, start - 44) : max(0, end - 44)])
        return await audio.finish()

    async with served(send, RequestOutcome()) as client, client.get("/") as response:
        assert await response.read() == WHOLE[start:end]
        assert response.status == 206
        assert response.headers["Content-Range"] == f"bytes {start}-{end - 1}/{len(WHOLE)}"
        assert response.headers["Content-Length"] == str(end - start)


@pytest.mark.parametrize("back", [(-1, None), (-300, None), (-260, -3), (-20_000, -5)])
async def test_a_range_can_have_a_part_of_the_metadata_after_the_audio(
    back: tuple[int, int | None],
) -> None:
    tags = Tags("a-request", "tone")
    whole = with_chunk_after(WHOLE, tags.riff_chunk())
    start = len(whole) + back[0]
    end = len(whole) + (back[1] or 0)

    async def send(audio: AudioResponse) -> web.StreamResponse:
        assert audio.size(len(PCM)) == len(whole)
        await audio.begin({}, data_bytes=len(PCM), byte_range=ByteRange(start, end))
        await audio.write(PCM[max(0, start - 44) : max(0, end - 44)])
        return await audio.finish()

    async with served(send, RequestOutcome(), tags=tags) as client, client.get("/") as response:
        assert await response.read() == whole[start:end]
        assert response.headers["Content-Range"] == f"bytes {start}-{end - 1}/{len(whole)}"
        assert response.headers["X-Container-Mark"] == "metadata"


@pytest.mark.parametrize("data_bytes", [len(PCM), None])
async def test_a_handler_that_fails_after_the_last_sample_leaves_an_incomplete_body(
    data_bytes: int | None,
) -> None:
    async def send(audio: AudioResponse) -> web.StreamResponse:
        await audio.begin({}, data_bytes=data_bytes)
        await audio.write(PCM)
        await asyncio.sleep(0.1)
        raise RuntimeError

    outcome = RequestOutcome()
    async with served(send, outcome) as client, client.get("/") as response:
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()

    assert not outcome.whole


async def test_a_client_that_reads_nothing_is_disconnected() -> None:
    failures: list[Exception] = []

    async def send(audio: AudioResponse) -> web.StreamResponse:
        await audio.begin({})
        try:
            while True:
                await audio.write(PCM)
        except ListenerStalled as stalled:
            failures.append(stalled)
            raise RuntimeError from stalled

    outcome = RequestOutcome()
    async with served(send, outcome, patience_s=0.2) as client, client.get("/"):
        async with asyncio.timeout(60):
            while not failures:
                await asyncio.sleep(0.05)

    assert not outcome.whole
