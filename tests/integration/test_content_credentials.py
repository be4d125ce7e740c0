"""Signed files at a real edge, verified by the reader of c2pa-python."""

import asyncio
import base64
import io
import json
import re
from collections import Counter
from collections.abc import AsyncIterator

import av
import msgspec
import pytest
import pytest_asyncio
from aiohttp import web

from services.http_edge.errors import InsufficientStorage
from services.http_edge.intake.forms.uploads import TempSpace
from tests.integration.test_redo import done, redone, shown, wav
from tests.support.formats import decoded
from tests.support.front import SETTINGS, Front, front
from tests.support.service import TEXT, expected_pcm
from tests.support.wav import pcm_of

c2pa = pytest.importorskip("c2pa")

SIGNED = {"wav": "audio/wav", "mp3": "audio/mpeg", "flac": "audio/flac"}
DEVELOPMENT = "c2pa-development"
SECOND = TEXT.index("The clocks")
CHAPTERS = json.dumps([{"title": "Ⅰ", "start": 0}, {"title": "II", "start": SECOND}])


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Front]:
    settings = msgspec.structs.replace(SETTINGS, content_credentials="on")
    async with front(tmp_path_factory.mktemp("nats"), edges=2, settings=settings) as made:
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

    before = await outcomes(service)
    with monkeypatch.context() as patched:
        patched.setattr(web.StreamResponse, "write_eof", slow_end)
        response = await service.post("/synthesize", headers={"Connection": "close"})
        await response.read()

    async with asyncio.timeout(60):
        while await outcomes(service) == before:
            await asyncio.sleep(0.05)
    assert await outcomes(service) - before == Counter(success=1)


async def outcomes(service: Front) -> Counter[str]:
    """Return how many requests of /synthesize ended how."""
    async with await service.get("/metrics") as response:
        text = await response.text()
    found = re.findall(
        r'tts_speech_requests_total\{endpoint="synthesize",outcome="(\w+)"\} (\S+)', text
    )
    return Counter({outcome: int(float(count)) for outcome, count in found})


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


@pytest.mark.parametrize(("kind", "media_type"), [("m4b", "audio/mp4"), ("mp3", "audio/mpeg")])
async def test_a_book_is_signed_and_keeps_its_chapters(
    service: Front, kind: str, media_type: str
) -> None:
    job = await done(service, text=TEXT, title="A title", chapters=CHAPTERS)
    path = f"/jobs/{job}/book.{kind}"
    async with await service.get(path) as response:
        assert response.headers["X-Content-Credentials"] == DEVELOPMENT
        assert response.headers["X-Container-Mark"] == "metadata"
        content = await response.read()
        assert int(response.headers["Content-Length"]) == len(content)
        etag = response.headers["ETag"]
    assert state(content, media_type) == "Valid"
    with av.open(io.BytesIO(content)) as container:
        assert container.metadata["title"] == "A title"
        assert [each["metadata"]["title"] for each in container.chapters()] == ["Ⅰ", "II"]
    async with await service.get(path, headers={"If-None-Match": etag}) as response:
        assert response.status == 304


async def test_the_wav_of_a_job_is_one_signed_file_in_all_ranges_at_all_edges(
    service: Front,
) -> None:
    job = await done(service, text=TEXT, chapters=CHAPTERS)
    path = f"/jobs/{job}/audio"
    url = f"{service.addresses[1]}{path}"
    async with service.session.head(url) as response:
        assert response.headers["X-Content-Credentials"] == DEVELOPMENT
        size = int(response.headers["Content-Length"])
        etag = response.headers["ETag"]
    async with await service.get(path) as response:
        content = await response.read()
        assert response.headers["ETag"] == etag
    assert len(content) == size
    assert state(content, "audio/wav") == "Valid"
    assert content[44 : 44 + len(expected_pcm())] == expected_pcm()

    middle = size - 1_000  # in the manifest
    parts = b""
    for edge, span in enumerate((f"0-{middle}", f"{middle + 1}-")):
        headers = {"Range": f"bytes={span}", "If-Range": etag}
        async with await service.get(path, edge=edge, headers=headers) as response:
            assert response.status == 206
            assert response.headers["X-Content-Credentials"] == DEVELOPMENT
            parts += await response.read()
    assert parts == content

    async with await service.get(path, edge=1, headers={"If-None-Match": etag}) as response:
        assert response.status == 304
    async with await service.get(f"{path}?chapter=1") as response:
        assert response.headers["X-Content-Credentials"] == "none"
        assert pcm_of(content).endswith(pcm_of(await response.read()))


async def test_a_redone_sentence_makes_another_signed_file(service: Front) -> None:
    job = await done(service)
    _, first, before = await wav(service, job)
    await shown(await redone(service, job, 1, seed="7"))
    headers = {"Range": "bytes=100-199", "If-Range": first}
    async with await service.get(f"/jobs/{job}/audio", headers=headers) as response:
        assert response.status == 200
        after = await response.read()
    assert after != before
    assert state(after, "audio/wav") == "Valid"


async def test_a_jobs_file_in_another_format_is_signed_if_the_format_has_a_place(
    service: Front,
) -> None:
    job = await done(service, text=TEXT, chapters=CHAPTERS)
    for query, media_type in (
        ("response_format=mp3", "audio/mpeg"),
        ("response_format=flac", "audio/flac"),
        ("sample_rate=8000", "audio/wav"),
        ("response_format=mp3&chapter=0", "audio/mpeg"),
    ):
        path = f"/jobs/{job}/audio?{query}"
        async with await service.get(path) as response:
            content = await response.read()
            assert response.headers["X-Content-Credentials"] == DEVELOPMENT
            assert response.headers["X-Container-Mark"] == "metadata"
            assert response.headers["Accept-Ranges"] == "none"
            assert int(response.headers["Content-Length"]) == len(content)
            etag = response.headers["ETag"]
        assert state(content, media_type) == "Valid"
        async with await service.get(path, headers={"If-None-Match": etag}) as response:
            assert response.status == 304
        async with service.session.head(f"{service.addresses[0]}{path}") as response:
            assert response.headers["ETag"] == etag
            assert response.headers["X-Content-Credentials"] == DEVELOPMENT

    for name in ("opus", "pcm"):
        async with await service.get(f"/jobs/{job}/audio?response_format={name}") as response:
            assert response.headers["X-Content-Credentials"] == "none"
            await response.read()


async def test_without_temporary_space_a_job_is_sent_unsigned(
    service: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise InsufficientStorage("the space for temporary files is full")

    job = await done(service)
    monkeypatch.setattr("services.http_edge.http.jobs.signed_audio.MEMORY_BYTES", 0)
    monkeypatch.setattr(TempSpace, "check", full)
    for path in ("audio", "audio?response_format=flac", "book.mp3"):
        async with await service.get(f"/jobs/{job}/{path}") as response:
            assert response.status == 200
            assert response.headers["X-Content-Credentials"] == "none"
            assert await response.read()
