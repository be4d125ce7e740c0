"""Every request is counted and logged once, with its outcome: whole, failed, or left by its client."""

import asyncio
import http.client
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from structlog.testing import capture_logs
from structlog.typing import EventDict

from services.common.bus.heartbeats import splitters, workers
from services.common.wire.failures import BusUnavailable
from services.http_edge.capacity.fleet import Fleet
from services.http_edge.encoders.registry import WAV
from services.http_edge.http.audio_response import AudioResponse
from services.http_edge.http.middleware import add_request_headers, request_middleware
from services.http_edge.metrics import Metrics
from tests.support.buses import memory_bus
from tests.support.front import SETTINGS, VOICE, Front, form, front
from tests.support.service import TEXT, expected_pcm
from tests.support.wav import pcm_of

EACH = 10  # requests of each client to each endpoint
LONG = " ".join([TEXT] * 10)
PCM = expected_pcm()
PCM_BYTES = 100_000 - 44  # of a WAV of 100,000 bytes


@pytest.fixture
async def service(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Front]:
    async with front(tmp_path, real_time_factor=getattr(request, "param", 0.0)) as made:
        yield made


async def metrics(service: Front) -> dict[str, float]:
    async with await service.get("/metrics") as response:
        rows = [
            line.rpartition(" ")
            for line in (await response.text()).splitlines()
            if not line.startswith("#")
        ]
    return {name: float(value) for name, _, value in rows}


async def outcomes(service: Front) -> dict[str, float]:
    """Return how many requests were counted, by endpoint and status, such as "stream success"."""
    counted: Counter[str] = Counter()
    for name, value in (await metrics(service)).items():
        if name.startswith("xtts_synthesis_requests_total{"):
            labels = dict(
                part.split("=")
                for part in name.partition("{")[2].rstrip("}").replace('"', "").split(",")
            )
            counted[f"{labels['endpoint']} {labels['status']}"] += int(value)
    return dict(counted)


async def until(service: Front, requests: int) -> dict[str, float]:
    """Wait until so many requests are counted, and return the counts."""
    async with asyncio.timeout(60):
        while sum((counted := await outcomes(service)).values()) < requests:
            await asyncio.sleep(0.1)
    return counted


def completions(logged: list[EventDict], endpoint: str) -> list[EventDict]:
    return [
        event
        for event in logged
        if event["event"] == "request_completed" and event["endpoint"] == endpoint
    ]


async def by_curl(service: Front, endpoint: str, folder: Path) -> bytes:
    (folder / "voice.wav").write_bytes(VOICE)
    process = await asyncio.create_subprocess_exec(
        *("curl", "-sSf", "-F", f"text={TEXT}", "-F", "language=en", "-F", "seed=42"),
        *("-F", f"reference_audio=@{folder / 'voice.wav'}", f"{service.addresses[0]}/{endpoint}"),
        stdout=asyncio.subprocess.PIPE,
    )
    body, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0
    return body


async def by_http_client(service: Front, endpoint: str, _folder: Path) -> bytes:
    fields = {"text": TEXT, "language": "en", "seed": "42"}
    parts = [
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    parts.append(
        '--x\r\nContent-Disposition: form-data; name="reference_audio"; filename="a"\r\n\r\n'
    )
    body = "".join(parts).encode() + VOICE + b"\r\n--x--\r\n"

    def ask() -> bytes:
        connection = http.client.HTTPConnection(urlsplit(service.addresses[0]).netloc, timeout=60)
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        connection.request("POST", f"/{endpoint}", body, headers)
        answer = connection.getresponse().read()
        connection.close()
        return answer

    return await asyncio.to_thread(ask)


async def by_aiohttp(service: Front, endpoint: str, _folder: Path) -> bytes:
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{service.addresses[0]}/{endpoint}", data=form()) as response:
            return await response.read()


async def test_whole_answers_are_successes_whatever_their_clients_do_next(
    service: Front, tmp_path: Path
) -> None:
    clients: list[Callable[[Front, str, Path], Awaitable[bytes]]] = [
        by_curl,
        by_http_client,
        by_aiohttp,
    ]
    with capture_logs() as logged:
        for client in clients:
            for endpoint in ("synthesize", "stream"):
                for _ in range(EACH):
                    assert pcm_of(await client(service, endpoint, tmp_path)) == PCM
        counted = await until(service, 2 * len(clients) * EACH)
    assert counted == {
        "synthesize success": len(clients) * EACH,
        "stream success": len(clients) * EACH,
    }
    seen = await metrics(service)
    assert seen["tts_cancelled_requests_total"] == 0
    assert seen["xtts_audio_output_bytes_sum"] == 2 * len(clients) * EACH * len(PCM)
    for endpoint in ("synthesize", "stream"):
        told = completions(logged, endpoint)
        assert len({event["request"] for event in told}) == len(told) == len(clients) * EACH
        for event in told:
            assert (event["outcome"], event["status"], event["code"]) == ("success", 200, None)
            assert (event["tenant"], event["language"], event["bytes"]) == (
                "public",
                "en",
                len(PCM),
            )
            assert event["audio_seconds"] == pytest.approx(len(PCM) / 48_000, abs=0.001)
            assert 0 < event["first_audio_seconds"] <= event["seconds"]
    assert not [event for event in logged if TEXT.split(". ")[0] in str(event)], (
        "a text is in the log"
    )


@pytest.mark.parametrize("service", [1.0], indirect=True)
async def test_a_client_that_leaves_is_cancelled_once_and_no_error(service: Front) -> None:
    with capture_logs() as logged:
        async with await service.post("/stream", text=LONG) as response:
            await response.content.readexactly(1_000)
            response.close()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.5):  # before there is an answer
                await service.post("/synthesize", text=LONG)
        counted = await until(service, 2)
    assert counted == {"stream cancelled": 1, "synthesize cancelled": 1}
    assert (await metrics(service))["tts_cancelled_requests_total"] == 2
    assert (await metrics(service))[
        'tts_speech_requests_total{endpoint="stream",outcome="cancelled"}'
    ] == 1
    [stream], [whole] = completions(logged, "stream"), completions(logged, "synthesize")
    assert (stream["status"], stream["outcome"], stream["code"]) == (200, "cancelled", None)
    assert 0 < stream["bytes"] < len(PCM) * 10
    assert (whole["status"], whole["outcome"], whole["bytes"]) == (499, "cancelled", 0)
    assert [event["event"] for event in logged].count("client_disconnected") == 2


async def test_an_answer_that_fails_is_an_error_with_its_code_before_and_after_it_began(
    tmp_path: Path,
) -> None:
    settings = msgspec.structs.replace(SETTINGS, request_timeout_s=2.0)
    async with front(tmp_path, real_time_factor=1.0, settings=settings) as service:
        with capture_logs() as logged:
            async with await service.post("/stream", text=LONG) as response:
                assert response.status == 200
                with pytest.raises(aiohttp.ClientPayloadError):
                    await response.read()
            async with await service.post("/synthesize", language="xx") as response:
                assert response.status == 422
            counted = await until(service, 2)
        seen = await metrics(service)
    assert counted == {"stream error": 1, "synthesize error": 1}
    assert seen['tts_speech_requests_total{endpoint="stream",outcome="failed"}'] == 1
    assert seen['tts_speech_requests_total{endpoint="synthesize",outcome="refused"}'] == 1
    assert seen["tts_cancelled_requests_total"] == 0
    assert seen['tts_failures_total{code="deadline_exceeded"}'] == 1
    assert seen["xtts_audio_output_bytes_count"] == 0
    told = [*completions(logged, "stream"), *completions(logged, "synthesize")]
    assert [(event["status"], event["outcome"], event["code"]) for event in told] == [
        (200, "error", "deadline_exceeded"),
        (422, "error", "unsupported_language"),
    ]


async def test_a_resumed_answer_is_counted_by_its_outcome(service: Front) -> None:
    async with await service.post("/stream") as response:
        request = response.headers["X-Request-Id"]
        whole = await response.read()
    with capture_logs() as logged:
        for offset, status in ((100_000, 200), (len(whole), 200), (len(whole) + 1, 416)):
            async with await service.get(f"/requests/{request}/audio?from={offset}") as response:
                assert response.status == status
                await response.read()
        async with await service.get("/requests/never-there/audio") as response:
            assert response.status == 404
        counted = await until(service, 5)
    assert counted == {"stream success": 1, "resume success": 2, "resume error": 2}
    seen = await metrics(service)
    assert (
        seen['xtts_synthesis_requests_total{endpoint="resume",language="en",status="success"}'] == 2
    )
    assert (
        seen['xtts_synthesis_requests_total{endpoint="resume",language="en",status="error"}'] == 1
    )
    assert seen["xtts_audio_output_bytes_count"] == 2, "a client that had it all was sent nothing"
    assert seen["xtts_audio_output_bytes_sum"] == len(PCM) + len(whole) - 100_000
    assert seen["tts_requests_in_flight"] == 0
    told = completions(logged, "resume")
    assert [
        (event["status"], event["outcome"], event["code"], event["bytes"]) for event in told
    ] == [
        (200, "success", None, len(whole) - 100_000),
        (200, "success", None, 0),
        (416, "error", "range_not_satisfiable", 0),
        (404, "error", "unknown_request", 0),
    ]


async def test_normalization_and_jobs_are_logged_once_and_the_end_of_a_job_too(
    service: Front,
) -> None:
    with capture_logs() as logged:
        text = aiohttp.FormData({"text": TEXT, "language": "en"}, default_to_multipart=True)
        async with service.session.post(f"{service.addresses[0]}/normalize", data=text) as response:
            assert response.status == 200
        async with await service.post("/jobs") as response:
            job = (await response.json())["id"]
        async with await service.post("/jobs", language="xx") as response:
            assert response.status == 422
        async with asyncio.timeout(60):
            while not completions(logged, "job"):
                await asyncio.sleep(0.1)
        async with await service.get(f"/jobs/{job}/audio") as response:
            assert pcm_of(await response.read()) == PCM
        async with await service.get(
            f"/jobs/{job}/audio", headers={"Range": "bytes=40-50"}
        ) as response:
            assert response.status == 206
            await response.read()
        async with asyncio.timeout(60):
            while len(completions(logged, "job_audio")) < 2:
                await asyncio.sleep(0.05)
    [normalized] = completions(logged, "normalize")
    assert (normalized["status"], normalized["outcome"], normalized["language"]) == (
        200,
        "success",
        "en",
    )
    taken, refused = completions(logged, "jobs")
    assert (taken["request"], taken["status"], taken["outcome"]) == (job, 202, "success")
    assert (refused["status"], refused["outcome"], refused["code"]) == (
        422,
        "error",
        "unsupported_language",
    )
    [ended] = completions(logged, "job")
    assert (ended["request"], ended["outcome"], ended["language"], ended["tenant"]) == (
        job,
        "success",
        "en",
        "public",
    )
    assert (ended["bytes"], ended["status"]) == (len(PCM), 200)
    audio, span = completions(logged, "job_audio")
    assert (audio["status"], audio["outcome"], audio["bytes"]) == (200, "success", len(PCM))
    assert (span["status"], span["outcome"], span["bytes"]) == (206, "success", 7)
    assert {"stream success", "jobs success"}.isdisjoint(await outcomes(service))


@asynccontextmanager
async def edge_of(
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]],
) -> AsyncIterator[tuple[str, Metrics]]:
    """Run an application of one handler, named "stream", behind the edge's middleware."""
    bus, counted = await memory_bus(), Metrics()
    app = web.Application(
        middlewares=[
            request_middleware(counted, Fleet("tone", workers(bus), splitters(bus)), "public")
        ]
    )
    app.on_response_prepare.append(add_request_headers)
    app.router.add_post("/stream", answer, name="stream")
    async with TestServer(app, handler_cancellation=True) as server:
        yield str(server.make_url("/stream")), counted


@asynccontextmanager
async def closing(act: Callable[[], Awaitable[Any]]) -> AsyncIterator[None]:
    """Do something when the block is left, as what a handler has opened does when it is closed."""
    yield
    await act()


@pytest.mark.parametrize("chunked", [True, False])
@pytest.mark.parametrize("fails", [False, True])
async def test_what_is_closed_after_a_whole_answer_changes_nothing(
    chunked: bool, fails: bool
) -> None:
    closed = asyncio.Event()

    async def close() -> None:
        if fails:
            raise BusUnavailable("NATS does not answer")
        try:
            await asyncio.sleep(30)  # until the client's leaving cancels it
        finally:
            closed.set()

    async def answer(request: web.Request) -> web.StreamResponse:
        async with closing(close):
            audio = AudioResponse(request, WAV, tags=None, sample_rate_hz=24_000, patience_s=5)
            await audio.begin({}, data_bytes=None if chunked else PCM_BYTES)
            await audio.write(bytes(PCM_BYTES))
            return await audio.finish()

    async with edge_of(answer) as (address, counted):
        with capture_logs() as logged:
            async with aiohttp.ClientSession() as session, session.post(address) as response:
                assert len(await response.read()) == 100_000
            async with asyncio.timeout(60):
                while not completions(logged, "stream"):
                    await asyncio.sleep(0.01)
        [told] = completions(logged, "stream")
        assert (told["outcome"], told["status"], told["code"]) == ("success", 200, None)
        assert counted.requests.labels("", "stream", "success")._value.get() == 1
        assert counted.cancelled._value.get() == 0
        assert closed.is_set() is not fails


async def test_a_client_that_leaves_before_the_last_byte_is_cancelled() -> None:
    waits = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        audio = AudioResponse(request, WAV, tags=None, sample_rate_hz=24_000, patience_s=5)
        await audio.begin({}, data_bytes=PCM_BYTES)
        await audio.write(bytes(PCM_BYTES))
        waits.set()
        await asyncio.sleep(30)
        return await audio.finish()

    async with edge_of(answer) as (address, counted), aiohttp.ClientSession() as session:
        with capture_logs() as logged:
            async with session.post(address) as response:
                await response.content.readexactly(95_000)
                await waits.wait()
                response.close()
            async with asyncio.timeout(60):
                while not completions(logged, "stream"):
                    await asyncio.sleep(0.01)
    [told] = completions(logged, "stream")
    assert (told["outcome"], told["status"]) == ("cancelled", 200)
    assert counted.requests.labels("", "stream", "cancelled")._value.get() == 1
    assert counted.cancelled._value.get() == 1


async def test_an_unexpected_error_of_a_handler_is_one_error() -> None:
    async def answer(_request: web.Request) -> web.StreamResponse:
        raise RuntimeError("a bug")

    async with edge_of(answer) as (address, counted), aiohttp.ClientSession() as session:
        with capture_logs() as logged:
            async with session.post(address) as response:
                assert response.status == 500
    [told] = completions(logged, "stream")
    assert (told["outcome"], told["status"], told["code"]) == ("error", 500, "internal")
    assert counted.requests.labels("", "stream", "error")._value.get() == 1


async def test_clients_that_follow_jobs_are_bounded_and_release_their_slots(tmp_path: Path) -> None:
    settings = msgspec.structs.replace(
        SETTINGS, max_job_streams=3, max_job_streams_per_tenant=2, max_jobs=1
    )
    async with front(tmp_path, real_time_factor=3.0, settings=settings) as service:
        async with await service.post("/jobs", text=LONG) as response:
            job = (await response.json())["id"]
        async with await service.get("/jobs/never-there/events") as response:
            assert response.status == 404
        events = await service.get(f"/jobs/{job}/events")
        audio = await service.get(f"/jobs/{job}/audio")
        assert events.status == audio.status == 200
        for path in ("events", "audio"):
            async with await service.get(f"/jobs/{job}/{path}") as response:
                assert (response.status, (await response.json(content_type=None))["code"]) == (
                    429,
                    "too_many_streams",
                )
        async with await service.get(f"/jobs/{job}") as response:
            assert response.status == 200
        events.close()
        async with asyncio.timeout(60):
            while (again := await service.get(f"/jobs/{job}/events")).status != 200:
                again.close()
                await asyncio.sleep(0.05)
        again.close()
        audio.close()
        await service.delete(f"/jobs/{job}")
