"""Connections made to hurt: half-open ones in masses, more than descriptors, and busy ones up to the limit."""

import asyncio
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import aiohttp
import pytest

from tests.security.edge_process import LOOPBACK, edge_process, exchange, pulse
from tests.security.test_bodies import dripping
from tests.support.front import form
from tests.support.service import TEXT, expected_pcm
from tests.support.wav import pcm_of

LIVEZ = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.fixture
def descriptors() -> Iterator[None]:
    """Let this process open as many connections as a test needs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 4096:
        pytest.skip("too few descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def half_open(stack: ExitStack, port: int, count: int) -> None:
    for _ in range(count):
        connection = stack.enter_context(socket.socket())
        connection.settimeout(5)
        connection.connect((LOOPBACK, port))
        try:
            connection.sendall(b"GET /hea")
        except OSError:
            continue  # it was already closed in favour of another one


@pytest.mark.usefixtures("descriptors")
@pytest.mark.parametrize("limit", [256, 1024])
async def test_more_half_open_connections_than_descriptors_stop_nothing(
    tmp_path: Path, limit: int
) -> None:
    async with edge_process(tmp_path, descriptors=limit, CONNECTION_IDLE_TIMEOUT_S="30") as edge:
        with ExitStack() as stack, pulse(edge.port) as felt:
            for _ in range(3):
                await asyncio.to_thread(half_open, stack, edge.port, 1100)
                async with aiohttp.ClientSession(edge.url) as session:
                    async with session.post("/synthesize", data=form()) as response:
                        assert pcm_of(await response.read()) == expected_pcm(TEXT)
                stack.pop_all().close()
            await asyncio.sleep(3)
        assert felt.seconds
        assert not felt.failures
        assert felt.worst_s < 5
        log = edge.log.read_text()
        assert "connections_refused" in log
        assert "out of system resource" not in log
        assert len(log) < 20_000


@pytest.mark.usefixtures("descriptors")
async def test_while_all_connections_are_busy_the_public_paths_are_answered(tmp_path: Path) -> None:
    limits = {"MAX_SOCKETS": "40", "MAX_UPLOADS": "100", "MAX_UPLOADS_PER_CALLER": "100"}
    async with edge_process(tmp_path, **limits) as edge:
        writers = await dripping(edge.port, 45)
        await asyncio.sleep(0.5)
        assert (await asyncio.to_thread(exchange, edge.port, LIVEZ)).startswith(b"HTTP/1.1 200")
        answer = await asyncio.to_thread(
            exchange, edge.port, LIVEZ.replace(b"/livez", b"/jobs/some-job-of-mine")
        )
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"too_many_requests" in answer
        with ExitStack() as stack:
            await asyncio.to_thread(half_open, stack, edge.port, 100)
            assert (await asyncio.to_thread(exchange, edge.port, LIVEZ)).startswith(b"HTTP/1.1 200")
        for writer in writers:
            writer.close()


async def test_a_refusal_costs_a_line_for_some_and_a_count_for_the_rest(tmp_path: Path) -> None:
    async with edge_process(tmp_path) as edge:
        for _ in range(40):
            answer = await asyncio.to_thread(
                exchange, edge.port, b"\x16\x03\x01 is no HTTP\r\n\r\n"
            )
            assert answer.startswith(b"HTTP/1.")
        async with aiohttp.ClientSession(edge.url) as session:
            for _ in range(400):
                async with session.post("/synthesize", data=b"no form") as response:
                    assert response.status == 400
        lines = edge.log.read_text().splitlines()
        assert 50 < sum("request_failed" in line for line in lines) < 300
        assert any("left_out" in line for line in lines)
        assert not any("Traceback" in line for line in lines)
