"""Signed files at a real edge, verified by the reader of c2pa-python."""

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from tests.integration.test_redo import done
from tests.support.formats import decoded
from tests.support.front import SETTINGS, Front, front
from tests.support.service import TEXT, expected_pcm
from tests.support.wav import pcm_of

c2pa = pytest.importorskip("c2pa")

SIGNED = {"wav": "audio/wav", "mp3": "audio/mpeg", "flac": "audio/flac"}
DEVELOPMENT = "c2pa-development"


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Front]:
    settings = msgspec.structs.replace(SETTINGS, content_credentials="on")
    async with front(tmp_path, edges=2, settings=settings) as made:
        yield made


def state(content: bytes, media_type: str) -> str:
    with c2pa.Reader(media_type, io.BytesIO(content)) as reader:
        return str(json.loads(reader.json())["validation_state"])


async def test_whole_answers_are_signed_and_streams_report_that_they_are_not(
    service: Front,
) -> None:
    for name, media_type in SIGNED.items():
        async with await service.post("/synthesize", response_format=name) as response:
            content = await response.read()
            assert response.headers["X-Content-Credentials"] == DEVELOPMENT
            assert response.headers["X-Container-Mark"] == "metadata"
            assert response.headers["Content-Type"] == media_type
            assert int(response.headers["Content-Length"]) == len(content)
            assert response.headers["Content-Disposition"].endswith(f'.{name}"')
        assert state(content, media_type) == "Valid"
        if name == "wav":
            assert pcm_of(content) == expected_pcm()
        else:
            assert len(decoded(name, content, 24_000)[0]) * 2 >= len(expected_pcm())

    for path, name in (("/synthesize", "opus"), ("/synthesize", "pcm"), ("/stream", "wav")):
        async with await service.post(path, response_format=name) as response:
            assert response.headers["X-Content-Credentials"] == "none"
            await response.read()

    async with await service.get("/") as response:
        assert (await response.json())["content_credentials"] == DEVELOPMENT


async def test_a_client_that_closes_after_the_last_byte_of_a_signed_file_counts_as_a_success(
    service: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = web.StreamResponse.write_eof

    async def slow_end(response: web.StreamResponse, content: bytes = b"") -> None:
        await end(response, content)
        await asyncio.sleep(60)  # until the handler is cancelled, as the client has left

    with monkeypatch.context() as patched:
        patched.setattr(web.StreamResponse, "write_eof", slow_end)
        response = await service.post("/synthesize", headers={"Connection": "close"})
        await response.read()

    line = 'tts_speech_requests_total{endpoint="synthesize",outcome="success"} 1.0'
    async with asyncio.timeout(30):
        while line not in await metrics(service):
            await asyncio.sleep(0.05)
    assert 'endpoint="synthesize",outcome="cancelled"' not in await metrics(service)


async def metrics(service: Front) -> str:
    async with await service.get("/metrics") as response:
        return await response.text()


async def test_the_json_of_openais_endpoint_has_a_signed_file(service: Front) -> None:
    body = {"input": TEXT, "voice": "alloy", "language": "en", "response_format": "wav"}
    url = f"{service.addresses[0]}/v1/audio/speech"
    async with service.session.post(url, json=body | {"stream_format": "json"}) as response:
        assert response.headers["X-Content-Credentials"] == DEVELOPMENT
        content = base64.b64decode((await response.json())["audio"])
    assert state(content, "audio/wav") == "Valid"
    async with service.session.post(url, json=body) as response:
        assert response.headers["X-Content-Credentials"] == "none"
        await response.read()


async def test_a_book_is_signed(service: Front) -> None:
    job = await done(service, text=TEXT, title="A title")
    async with await service.get(f"/jobs/{job}/book.m4b") as response:
        assert response.headers["X-Content-Credentials"] == DEVELOPMENT
        content = await response.read()
        assert int(response.headers["Content-Length"]) == len(content)
    assert state(content, "audio/mp4") == "Valid"
    async with await service.get(f"/jobs/{job}/book.mp3") as response:
        assert response.headers["X-Content-Credentials"] == "none"
        await response.read()
