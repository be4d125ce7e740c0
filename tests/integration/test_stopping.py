"""From SIGTERM to the end: real processes with work in hand, on a real nats-server, in the grace of the manifests."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import yaml

from services.http_edge.settings import Settings as EdgeSettings
from services.splitter.settings import Settings as SplitterSettings
from services.synth_worker.settings import Settings as WorkerSettings
from tests.chaos.parts import House, Part, house
from tests.support.front import form
from tests.support.service import digest, expected_pcm

COMPOSE = yaml.safe_load(
    (Path(__file__).parents[2] / "deploy" / "compose" / "compose.yml").read_text()
)["services"]
LONG = " ".join(f"This is sentence number {number} of a long text." for number in range(120))
SHORT = "This text is soon spoken. It has two sentences."
SLOW = {"TONE_REAL_TIME_FACTOR": "0.6", "QUEUE_WAIT_S": "1000", "REQUEST_TIMEOUT_S": "600"}
TIGHT = {"HTTP_STOP_S": "1", "WORKER_STOP_S": "1"}


def grace_s(service: str) -> float:
    """Return how long compose waits for a service before it kills it."""
    return float(COMPOSE[service]["stop_grace_period"].removesuffix("s"))


@asynccontextmanager
async def serving(
    folder: Path, settings: Mapping[str, str], **counts: int
) -> AsyncIterator[tuple[House, aiohttp.ClientSession]]:
    async with house(
        folder, **({"edges": 1, "splitters": 1, "workers": 1} | counts), settings=settings
    ) as service:  # type: ignore[arg-type]
        async with aiohttp.ClientSession() as session:
            await service.until_ready(session)
            yield service, session


async def stopped_within(
    part: Part, limit_s: float, number: signal.Signals = signal.SIGTERM
) -> float:
    """Send the signal and return how long the process took to end, with status 0."""
    assert part.process is not None
    began_s = time.monotonic()
    part.signal(number)
    status = await asyncio.wait_for(part.process.wait(), limit_s)
    assert status == 0, part.last_words()
    return time.monotonic() - began_s


def log_of(part: Part) -> str:
    return (part.folder / f"{part.name}.log").read_text()


async def begun(
    session: aiohttp.ClientSession, address: str, text: str = LONG
) -> aiohttp.ClientResponse:
    """Begin a stream; return when its first audio has arrived."""
    response = await session.post(f"{address}/stream", data=form(text=text))
    try:
        assert response.status == 200
        await response.content.readexactly(46)
    except BaseException:
        response.close()
        raise
    return response


async def test_an_edge_ends_within_the_grace_of_compose_and_cuts_its_stream_visibly(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, SLOW) as (service, session):
        response = await begun(session, service.address())
        reading = asyncio.create_task(response.read())
        took_s = await stopped_within(service.edges[0], grace_s("http-edge"))
        with pytest.raises(aiohttp.ClientPayloadError):
            await reading
        response.close()
    assert took_s >= EdgeSettings().http_stop_s  # the stream got its time
    log = log_of(service.edges[0])
    assert '"code": "edge_stops"' in log
    assert '"cut": true' in log
    assert "client_disconnected" not in log
    assert "Traceback" not in log


async def test_a_stream_that_was_cut_is_resumed_at_another_edge(tmp_path: Path) -> None:
    text = " ".join(f"This is sentence number {number}." for number in range(12))
    async with serving(tmp_path, SLOW | TIGHT, edges=2) as (service, session):
        response = await begun(session, service.address(0), text)
        got = bytearray(46)  # the header and the first sample
        stopping = asyncio.create_task(stopped_within(service.edges[0], grace_s("http-edge")))
        with pytest.raises(aiohttp.ClientPayloadError):
            async for piece in response.content.iter_any():
                got += piece
        response.close()
        await stopping
        rest_url = f"{service.address(1)}/requests/{response.headers['X-Request-Id']}/audio?from={len(got)}"
        async with session.get(rest_url) as rest:
            assert rest.status == 200
            got += await rest.read()
    assert digest([bytes(got[46:])]) == digest([expected_pcm(text, max_characters=250)[2:]])


async def test_what_ends_in_time_is_whole_and_the_edge_waits_no_longer(tmp_path: Path) -> None:
    async with serving(tmp_path, {"TONE_REAL_TIME_FACTOR": "0.3", "HTTP_STOP_S": "120"}) as (
        service,
        session,
    ):
        response = await begun(session, service.address(), SHORT)
        async with session.get(
            f"{service.address()}/livez"
        ) as idle:  # an idle keep-alive connection
            assert idle.status == 200
        reading = asyncio.create_task(response.read())
        took_s = await stopped_within(service.edges[0], 60)
        assert digest([await reading]) == digest([expected_pcm(SHORT, max_characters=250)[2:]])
    assert took_s < 60
    assert "edge_stops" not in log_of(service.edges[0])


async def test_an_answer_that_has_not_begun_is_refused_with_edge_stops(tmp_path: Path) -> None:
    async with serving(tmp_path, SLOW | TIGHT) as (service, session):
        whole = asyncio.create_task(
            session.post(f"{service.address()}/synthesize", data=form(text=LONG))
        )
        while "Synthesizing text" not in log_of(service.edges[0]):
            await asyncio.sleep(0.05)
        took_s = await stopped_within(service.edges[0], grace_s("http-edge"))
        response = await whole
        problem = await response.json(content_type="application/problem+json")
    assert (response.status, problem["code"], problem["retryable"]) == (503, "edge_stops", True)
    assert took_s <= EdgeSettings(http_stop_s=1).exit_s


async def test_an_upload_that_never_ends_and_a_listener_that_reads_nothing_do_not_hold_an_edge(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, SLOW | TIGHT | {"TONE_REAL_TIME_FACTOR": "0"}) as (
        service,
        session,
    ):
        port = service.edges[0].http_port
        _, uploading = await asyncio.open_connection("127.0.0.1", port)
        uploading.write(
            b"POST /stream HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        )
        uploading.write(b"Content-Length: 1000000\r\n\r\n--b\r\n")
        half, sending = await asyncio.open_connection("127.0.0.1", port)
        sending.write(b"GET /livez HTTP/1.1\r\nHo")
        deaf = await session.post(f"{service.address()}/stream", data=form(text=LONG * 8))
        took_s = await stopped_within(service.edges[0], grace_s("http-edge"))
        assert await half.read() == b""
        for writer in (uploading, sending):
            writer.close()
        deaf.close()
    assert took_s <= EdgeSettings(http_stop_s=1).exit_s


async def test_a_worker_returns_a_sentence_that_takes_too_long_and_another_speaks_it(
    tmp_path: Path,
) -> None:
    text = (
        "This one sentence takes its worker so long to speak that nobody who stops it "
        "would want to wait for its end."
    )
    settings = {"TONE_REAL_TIME_FACTOR": "1", "WORKER_STOP_S": "0.5"}
    async with serving(tmp_path, settings, workers=2) as (service, session):
        response = await begun(session, service.address(), text)
        reading = asyncio.create_task(response.read())
        async with asyncio.timeout(60):
            while not (busy := [part for part in service.workers if await is_busy(session, part)]):
                await asyncio.sleep(0.1)
        took_s = await stopped_within(busy[0], grace_s("worker-embedded"))
        assert digest([await reading]) == digest([expected_pcm(text, max_characters=250)[2:]])
    assert took_s <= WorkerSettings(worker_stop_s=0.5).exit_s
    assert "messages_returned" in log_of(busy[0])
    assert "Traceback" not in log_of(busy[0])


async def is_busy(session: aiohttp.ClientSession, worker: Part) -> bool:
    async with session.get(f"http://127.0.0.1:{worker.http_port}/metrics") as response:
        return "tts_worker_sentences_busy 1.0" in await response.text()


async def test_a_worker_whose_model_hangs_ends_within_its_grace(tmp_path: Path) -> None:
    settings = {"TONE_HANG_WORD": "hang", "WORKER_STOP_S": "1"}
    async with serving(tmp_path, settings) as (service, session):
        asked = asyncio.create_task(
            session.post(f"{service.address()}/stream", data=form(text="Let it hang."))
        )
        await asyncio.sleep(1.5)  # it may also be stopped before it hangs, and ends then too
        took_s = await stopped_within(service.workers[0], grace_s("worker-embedded"))
        asked.cancel()
        (answer,) = await asyncio.gather(asked, return_exceptions=True)
        if isinstance(answer, aiohttp.ClientResponse):
            answer.close()
    assert took_s <= WorkerSettings(worker_stop_s=1).exit_s


async def test_a_splitter_hands_its_requests_back_within_its_grace(tmp_path: Path) -> None:
    async with serving(tmp_path, SLOW) as (service, session):
        response = await begun(session, service.address())
        took_s = await stopped_within(service.splitters[0], grace_s("splitter"))
        response.close()
    assert took_s <= SplitterSettings().exit_s


@pytest.mark.parametrize("frozen", [False, True], ids=["dead", "frozen"])
async def test_without_nats_all_end_within_their_grace(tmp_path: Path, frozen: bool) -> None:
    async with serving(tmp_path, SLOW | TIGHT) as (service, session):
        response = await begun(session, service.address())
        assert service.nats._process is not None
        service.nats._process.send_signal(signal.SIGSTOP if frozen else signal.SIGKILL)
        await asyncio.sleep(1.0)
        try:
            took_s = await asyncio.gather(
                stopped_within(service.edges[0], grace_s("http-edge")),
                stopped_within(service.splitters[0], grace_s("splitter")),
                stopped_within(service.workers[0], grace_s("worker-embedded")),
            )
        finally:
            if frozen:
                service.nats._process.send_signal(signal.SIGCONT)
            response.close()
    limits_s = (
        EdgeSettings(http_stop_s=1).exit_s,
        SplitterSettings().exit_s,
        WorkerSettings(worker_stop_s=1).exit_s,
    )
    assert [took <= limit for took, limit in zip(took_s, limits_s, strict=True)] == [True] * 3, (
        took_s
    )


async def test_a_closed_terminal_stops_a_service_in_order(tmp_path: Path) -> None:
    async with serving(tmp_path, {}) as (service, _session):
        for part in service.parts:
            await stopped_within(part, 60, signal.SIGHUP)
    for part, event in zip(
        service.parts, ("edge_stopped", "splitter_stopped", "worker_stopped"), strict=True
    ):
        assert event in log_of(part)
