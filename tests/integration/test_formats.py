"""Every output format, from every route with audio, against the WAV of the same seed."""

import asyncio
import math
import socket
from pathlib import Path

import aiohttp
import msgspec
import numpy as np
import pytest

from services.common.audio.wav import wav_header
from services.common.bus import topology
from services.common.wire import codec
from services.common.wire.identity import Identity
from services.common.wire.messages import JobProgress
from services.http_edge.encoders.registry import FORMATS
from tests.chaos.parts import house
from tests.integration.test_http_1_0 import asked, body, posted
from tests.support.formats import DELAY_SAMPLES, FFMPEG, FRAME_SAMPLES, by_ffmpeg, decoded
from tests.support.front import SETTINGS, Front, form, front
from tests.support.service import TEXT, digest, expected_pcm
from tests.support.wav import pcm_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

RATE_HZ = 24_000
PCM = expected_pcm()
WAV = wav_header(sample_rate_hz=RATE_HZ, data_bytes=len(PCM)) + PCM
STREAMED_WAV = wav_header(sample_rate_hz=RATE_HZ, data_bytes=None) + PCM
LONG = " ".join([TEXT] * 20)  # 4 min
MEDIA_TYPES = {name: FORMATS[name].media_types[0] for name in FORMATS}
ACCEPTING = {name: {"Accept": MEDIA_TYPES[name]} for name in FORMATS}
DEFAULT_RATES_HZ = {name: FORMATS[name].default_rate_hz or RATE_HZ for name in FORMATS}
EXACT = ("wav", "pcm")  # a byte is a part of a sample
OTHERS = tuple(name for name in FORMATS if name not in EXACT)


def check(name: str, answer: bytes, rate_hz: int, pcm: bytes = PCM) -> None:
    """Assert that a body contains all of the audio, and at most the padding of its codec."""
    samples, found_hz = decoded(name, answer, rate_hz)
    assert found_hz == (48_000 if name == "opus" else rate_hz), name
    whole = math.ceil(len(pcm) // 2 * found_hz / RATE_HZ)
    added = DELAY_SAMPLES.get(name, 0) + 2 * FRAME_SAMPLES.get(name, 0)
    assert whole <= len(samples) <= whole + added, name


async def problem(response: aiohttp.ClientResponse) -> tuple[int, str, str]:
    async with response:
        told = await response.json(content_type="application/problem+json")
        return response.status, told["code"], told["detail"]


async def done_job(service: Front, text: str = TEXT) -> str:
    """Return the path of a job that is done."""
    async with await service.post("/jobs", text=text) as response:
        path = response.headers["Location"]
    async with asyncio.timeout(60):
        while True:
            async with await service.get(path) as response:
                state = (await response.json())["state"]
            if state == "done":
                return path
            assert state in ("queued", "running")
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("path", ["/synthesize", "/stream"])
async def test_every_format_holds_the_audio_of_the_wav_whether_by_field_or_by_accept(
    service: Front, path: str
) -> None:
    for name in FORMATS:
        async with await service.post(path, response_format=name) as response:
            assert response.status == 200, await response.text()
            assert response.headers["Content-Type"] == MEDIA_TYPES[name]
            assert response.headers["X-Sample-Rate"] == str(DEFAULT_RATES_HZ[name])
            assert response.headers["X-Seed"] == "42"
            answer = await response.read()
        check(name, answer, DEFAULT_RATES_HZ[name])
        for media_type in FORMATS[name].media_types:
            accept = {"Accept": media_type}
            async with await service.post(path, headers=accept) as response:
                assert response.headers["Content-Type"] == MEDIA_TYPES[name]
                again = await response.read()  # with the id of another request in its metadata
            samples, _ = decoded(name, again, DEFAULT_RATES_HZ[name])
            expected, _ = decoded(name, answer, DEFAULT_RATES_HZ[name])
            assert np.array_equal(samples, expected), media_type


@pytest.mark.parametrize("path", ["/synthesize", "/stream"])
async def test_pcm_is_the_wav_without_its_header(service: Front, path: str) -> None:
    async with await service.post(path) as response:
        wav = await response.read()
    async with await service.post(path, response_format="pcm") as response:
        pcm = await response.read()
    assert digest([pcm]) == digest([pcm_of(wav)]) == digest([PCM])
    assert ("Content-Length" in response.headers) == (path == "/synthesize")


@pytest.mark.skipif(FFMPEG is None, reason="no ffmpeg")
async def test_a_body_is_as_long_as_what_ffmpeg_makes_of_the_same_wav(service: Front) -> None:
    for name in FORMATS:
        async with await service.post("/stream", response_format=name) as response:
            answer = await response.read()
        rate_hz = DEFAULT_RATES_HZ[name]
        ours, _ = decoded(name, answer, rate_hz)
        theirs, _ = decoded(name, await by_ffmpeg(name, WAV), rate_hz)
        assert abs(len(ours) - len(theirs)) <= FRAME_SAMPLES.get(name, 0), name


async def test_every_rate_of_every_format_keeps_the_length_of_the_audio(service: Front) -> None:
    for name in FORMATS:
        for rate_hz in FORMATS[name].sample_rates_hz:
            async with await service.post(
                "/stream", response_format=name, sample_rate=str(rate_hz)
            ) as response:
                assert response.status == 200, await response.text()
                assert response.headers["X-Sample-Rate"] == str(rate_hz)
                check(name, await response.read(), rate_hz)


async def test_an_unknown_format_or_rate_is_refused_before_anything_is_spoken(
    service: Front,
) -> None:
    job = await done_job(service)
    spoken = await service.spoken()
    refusals = [
        ({"response_format": "ogg"}, "response_format is unknown; send one of wav, mp3, opus"),
        ({"response_format": "wav", "sample_rate": "11025"}, "sample_rate of wav must be one of"),
        ({"response_format": "opus", "sample_rate": "44100"}, "sample_rate of opus must be one of"),
        ({"response_format": "mulaw", "sample_rate": "16000"}, "sample_rate of mulaw must be"),
        ({"sample_rate": "24 kHz"}, "sample_rate of wav must be one of 8000, 16000"),
    ]
    for fields, detail in refusals:
        for path in ("/synthesize", "/stream"):
            found = await problem(await service.post(path, **fields))
            assert found[:2] == (400, "bad_request")
            assert detail in found[2]
        query = "&".join(f"{name}={value}" for name, value in fields.items()).replace(" ", "%20")
        for path in (f"{job}/audio?{query}", f"/requests/{'0' * 32}/audio?{query}"):
            found = await problem(await service.get(path))
            assert found[:2] == (400, "bad_request")
            assert detail in found[2]
    assert (await problem(await service.post("/jobs", response_format="mp3")))[0] == 400
    await service.until_idle()
    assert await service.spoken() == spoken


async def test_wav_and_pcm_are_resumed_at_every_byte_and_the_others_only_from_the_beginning(
    service: Front,
) -> None:
    async with await service.post("/stream") as response:
        audio = f"/requests/{response.headers['Request-Name']}/audio"
        await response.read()
    for name, whole in (("wav", STREAMED_WAV), ("pcm", PCM)):
        for offset in (0, 1, 43, 44, 45, 100_003, len(whole) - 1, len(whole)):
            path = f"{audio}?from={offset}&response_format={name}"
            async with await service.get(path) as response:
                assert response.status == 200, path
                assert response.headers["Content-Type"] == MEDIA_TYPES[name]
                assert digest([await response.read()]) == digest([whole[offset:]]), path
        path = f"{audio}?from={len(whole) + 1}&response_format={name}"
        assert (await problem(await service.get(path)))[0] == 416
    for name in OTHERS:
        refused = await problem(await service.get(f"{audio}?from=1&response_format={name}"))
        assert refused[:2] == (400, "bad_request")
        assert "`from` needs response_format wav or pcm" in refused[2]
        refused = await problem(await service.get(f"{audio}?from=1", headers=ACCEPTING[name]))
        assert refused[:2] == (400, "bad_request")
        async with await service.get(f"{audio}?from=0&response_format={name}") as response:
            assert response.headers["Content-Type"] == MEDIA_TYPES[name]
            assert response.headers["X-Sample-Rate"] == str(DEFAULT_RATES_HZ[name])
            check(name, await response.read(), DEFAULT_RATES_HZ[name])
    assert (await problem(await service.get(f"{audio}?from=1&sample_rate=8000")))[0] == 400


async def test_the_audio_of_a_job_that_is_done_comes_in_every_format(service: Front) -> None:
    job = await done_job(service)
    etags = set()
    for name in FORMATS:
        path = f"{job}/audio?response_format={name}"
        async with await service.get(path) as response:
            assert response.headers["Content-Type"] == MEDIA_TYPES[name]
            assert response.headers["X-Sample-Rate"] == str(DEFAULT_RATES_HZ[name])
            assert response.headers["Accept-Ranges"] == ("bytes" if name in EXACT else "none")
            assert ("Content-Length" in response.headers) == (name in EXACT)
            etags.add(response.headers["ETag"])
            answer = await response.read()
        check(name, answer, DEFAULT_RATES_HZ[name])
        async with await service.get(f"{job}/audio", headers=ACCEPTING[name]) as response:
            assert digest([await response.read()]) == digest([answer]), name
        some = {"Range": "bytes=40-50"}
        async with await service.get(path, headers=some) as response:
            assert response.status == (206 if name in EXACT else 200)
            found = await response.read()
            assert digest([found]) == digest([answer[40:51] if name in EXACT else answer])
    assert len(etags) == len(FORMATS), "each format has its own validator"


async def test_the_head_of_a_jobs_audio_has_its_headers_and_no_body(service: Front) -> None:
    job = await done_job(service)
    port = int(service.addresses[0].rpartition(":")[2])
    for name in FORMATS:
        for rate in ("", "&sample_rate=8000"):
            path = f"{job}/audio?response_format={name}{rate}"
            async with asked(port, "HEAD", path) as reader:
                assert await reader.read(-1) == b"", path
        async with service.session.head(f"{service.addresses[0]}{path}") as response:
            assert (response.status, response.headers["Content-Type"]) == (200, MEDIA_TYPES[name])
            assert response.headers["Accept-Ranges"] == "none"
            assert response.headers["X-Sample-Rate"] == "8000"


@pytest.mark.parametrize("service", [0.1], indirect=True)
async def test_the_audio_of_a_running_job_comes_in_every_format(service: Front) -> None:
    text = " ".join([TEXT] * 3)
    async with await service.post("/jobs", text=text) as response:
        job = response.headers["Location"]

    async def heard(name: str) -> bytes:
        async with await service.get(f"{job}/audio?response_format={name}") as response:
            assert response.status == 200
            assert "Content-Length" not in response.headers
            begin = await response.content.readexactly(1)
            async with await service.get(job) as other:
                assert (await other.json())["state"] == "running"
            return begin + await response.read()

    for name, found in zip(FORMATS, await asyncio.gather(*map(heard, FORMATS)), strict=True):
        check(name, found, DEFAULT_RATES_HZ[name], expected_pcm(text))


@pytest.mark.parametrize("service", [0.1], indirect=True)
async def test_a_listener_receives_no_sentence_twice_when_the_progress_of_a_job_goes_back(
    service: Front,
) -> None:
    text = " ".join([TEXT] * 3)
    async with await service.post("/jobs", text=text) as response:
        job = response.headers["Location"]
    key = Identity("public", "job", job.rpartition("/")[2]).key("job")

    async def progress() -> JobProgress:
        value = await service.bus.get_value(topology.PROGRESS, key)
        assert value is not None
        return codec.decode(value, JobProgress)

    async with await service.get(f"{job}/audio?response_format=pcm") as response:
        begin = await response.content.readexactly(1)
        early = await progress()
        while (await progress()).spoken < early.spoken + 2:
            await asyncio.sleep(0.01)
        await service.bus.put_value(topology.PROGRESS, key, codec.encode(early))
        found = begin + await response.read()
    assert (await progress()).state == "done"
    assert digest([found]) == digest([expected_pcm(text)])


@pytest.mark.parametrize("service", [0.1], indirect=True)
async def test_the_head_of_a_running_jobs_audio_does_not_wait_for_its_end(service: Front) -> None:
    async with await service.post("/jobs", text=LONG) as response:
        job = response.headers["Location"]
    port = int(service.addresses[0].rpartition(":")[2])
    async with asked(port, "HEAD", f"{job}/audio?response_format=mp3") as reader:
        assert await reader.read(-1) == b""
    async with await service.get(job) as other:
        assert (await other.json())["state"] == "running"
    await service.delete(job)


@pytest.mark.parametrize("service", [0.05], indirect=True)
@pytest.mark.parametrize("rate", [None, "16000"])
async def test_the_first_bytes_come_long_before_the_end_of_the_audio(
    service: Front, rate: str | None
) -> None:
    for name in FORMATS:
        if rate and int(rate) not in FORMATS[name].sample_rates_hz:
            continue
        async with await service.post(
            "/stream", text=LONG, response_format=name, sample_rate=rate
        ) as response:
            await response.content.readexactly(100)
            request = response.headers["Request-Name"]
            ended = [sentence for found, sentence in await service.ends() if found == request]
            assert len(ended) < 20, name
            await service.delete(f"/requests/{request}")


@pytest.mark.parametrize("service", [0.05], indirect=True)
async def test_a_stream_that_is_cut_never_ends_as_if_it_was_whole(service: Front) -> None:
    port = int(service.addresses[0].rpartition(":")[2])
    for name in FORMATS:
        chosen = f"a-request-in-{name}"
        headers = {"Request-Name": chosen}
        async with await service.post(
            "/stream", text=LONG, headers=headers, response_format=name
        ) as response:
            await response.content.readexactly(1)
            assert (await service.delete(f"/requests/{chosen}"))[0] == 202
            with pytest.raises(aiohttp.ClientPayloadError):
                await asyncio.wait_for(response.read(), 20)
        async with posted(
            port, "/stream", f"Request-Name: {chosen}-1.0".replace(".", "-"), text=LONG,
            response_format=name,
        ) as reader:  # fmt: skip
            await reader.readexactly(1)
            assert (await service.delete(f"/requests/{chosen}-1-0"))[0] == 202
            with pytest.raises(ConnectionResetError):
                await asyncio.wait_for(reader.read(-1), 20)


@pytest.mark.parametrize("service", [0.05], indirect=True)
async def test_the_audio_of_a_job_that_is_cancelled_never_ends_as_if_it_was_whole(
    service: Front,
) -> None:
    for name in FORMATS:
        async with await service.post("/jobs", text=LONG) as response:
            job = response.headers["Location"]
        async with await service.get(f"{job}/audio?response_format={name}") as response:
            await response.content.readexactly(1)
            assert (await service.delete(job))[0] == 202
            with pytest.raises(aiohttp.ClientPayloadError):
                await asyncio.wait_for(response.read(), 20)


async def test_an_engine_that_crashes_cuts_the_stream_in_every_format(tmp_path: Path) -> None:
    settings = {"TONE_REAL_TIME_FACTOR": "0.05", "TONE_CRASH_WORD": "boom"}
    text = f"{TEXT} {TEXT} At the very end it all goes boom in the last sentence."
    async with (
        house(tmp_path, splitters=1, workers=1, settings=settings) as service,
        aiohttp.ClientSession() as session,
    ):
        await service.until_ready(session)

        async def heard(name: str) -> None:
            url = f"{service.address()}/stream"
            async with session.post(url, data=form(text=text, response_format=name)) as response:
                assert response.status == 200, await response.text()
                with pytest.raises(aiohttp.ClientPayloadError):
                    await asyncio.wait_for(response.read(), 60)

        for name in FORMATS:
            await heard(name)


async def test_a_client_that_reads_nothing_of_a_compressed_stream_is_cut(tmp_path: Path) -> None:
    settings = msgspec.structs.replace(SETTINGS, listener_timeout_s=2.0, stream_ahead_s=3_600.0)
    text = " ".join([TEXT] * 150)
    # 14 MB of mp3 and 28 of flac: several times what the sockets' buffers hold
    characters = {"flac": 10_000, "mp3": 20_000}
    async with front(tmp_path, settings=settings) as service:
        port = int(service.addresses[0].rpartition(":")[2])
        for count, (name, most) in enumerate(characters.items(), start=1):
            with socket.socket() as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
                connection.setblocking(False)
                loop = asyncio.get_running_loop()
                await loop.sock_connect(connection, ("127.0.0.1", port))
                await loop.sock_sendall(connection, await request_bytes(text[:most], name))
                async with asyncio.timeout(300):
                    while await stalled(service) < count:
                        await asyncio.sleep(0.1)
            await service.until_idle()


async def request_bytes(text: str, name: str) -> bytes:
    """Return a request of /stream, for a client that is no HTTP library."""
    kind, content = await body(text=text, response_format=name)
    head = f"POST /stream HTTP/1.1\r\nHost: test\r\nContent-Type: {kind}\r\n"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


async def stalled(service: Front) -> int:
    """Return how many clients were cut because they read nothing."""
    async with await service.get("/metrics") as response:
        lines = (await response.text()).splitlines()
    found = [
        line for line in lines if line.startswith('tts_failures_total{code="listener_stalled"')
    ]
    return int(float(found[0].rsplit(" ", 1)[1])) if found else 0
