"""Slow and stalled readers cost no memory, are cut after a while, and harm no other client."""

import asyncio
import random
import re
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from services.common.bus import topology
from services.common.bus.nats.connection import NatsBus
from tests.chaos.load import CLIP, ask, resident_mib, text_of
from tests.chaos.parts import House, house

TEXT = text_of(random.Random(1), 1_900)[:99_000]  # 1.6 h of audio, 285 MB
CUT_AFTER_S = 5
SETTINGS = {"LISTENER_TIMEOUT_S": str(CUT_AFTER_S), "QUEUE_AUDIO_S": "1000"}
FEW_MIB = 48.0


def raw_request(path: str, text: str) -> bytes:
    """Return a request as bytes, for a client that is no HTTP library."""
    border = b"a-border-that-is-in-no-sound"
    parts = [
        b'--%s\r\nContent-Disposition: form-data; name="text"\r\n\r\n%s\r\n'
        % (border, text.encode()),
        b'--%s\r\nContent-Disposition: form-data; name="language"\r\n\r\nen\r\n' % border,
        b'--%s\r\nContent-Disposition: form-data; name="reference_audio"; filename="a"\r\n\r\n%s\r\n'
        % (border, CLIP),
        b"--%s--\r\n" % border,
    ]
    body = b"".join(parts)
    kind = b"multipart/form-data; boundary=" + border
    head = b"POST %s HTTP/1.1\r\nHost: test\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n"
    return head % (path.encode(), kind, len(body)) + body


@asynccontextmanager
async def slow_socket(port: int) -> AsyncIterator[socket.socket]:
    """Yield a connection with as small a buffer as the system allows."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
        yield connection


async def read_a_byte_a_second(connection: socket.socket) -> None:
    """Read for ever, or until the other end has cut the connection and all it had sent is read."""
    while await asyncio.get_running_loop().sock_recv(connection, 1):
        await asyncio.sleep(1)


async def most_memory(service: House, seconds: float) -> float:
    """Return the edge's largest resident memory within so many seconds, in MiB."""
    most, until_s = 0.0, time.monotonic() + seconds
    while time.monotonic() < until_s:
        most = max(most, resident_mib(service)["http_edge-0"])
        await asyncio.sleep(0.1)
    return most


async def metric(service: House, session: aiohttp.ClientSession, name: str) -> float:
    """Return a metric of the edge; 0 where it is not there yet."""
    async with session.get(f"{service.address()}/metrics") as response:
        found = re.search(rf"^{re.escape(name)} (\S+)", await response.text(), re.MULTILINE)
    return float(found[1]) if found else 0.0


async def until_stalled(service: House, session: aiohttp.ClientSession) -> None:
    """Wait until a listener was cut and no work for it is left."""
    bus = await NatsBus.connect(service.nats.url, name="observer")
    async with asyncio.timeout(60):
        while not await metric(service, session, 'tts_failures_total{code="listener_stalled"}'):
            await asyncio.sleep(0.2)
        while await bus.message_count(topology.REQUESTS) + await bus.message_count(
            topology.SENTENCES
        ):
            await asyncio.sleep(0.1)
    await bus.close()


async def test_a_client_that_reads_a_byte_a_second_costs_no_memory_and_is_cut(
    tmp_path: Path,
) -> None:
    async with (
        house(tmp_path, splitters=1, workers=2, settings=SETTINGS) as service,
        aiohttp.ClientSession() as session,
    ):
        await service.until_ready(session)
        short = text_of(random.Random(2), 2)
        assert (await ask(session, service.address(), short, 1)).outcome == "whole"
        before_mib = resident_mib(service)["http_edge-0"]
        async with slow_socket(service.edges[0].http_port) as connection:
            await asyncio.get_running_loop().sock_sendall(connection, raw_request("/stream", TEXT))
            reading = asyncio.create_task(read_a_byte_a_second(connection))
            beside, most_mib = await asyncio.gather(
                ask(session, service.address(), short, 2), most_memory(service, CUT_AFTER_S)
            )
            await until_stalled(service, session)
            reading.cancel()
            await asyncio.wait([reading])
    assert beside.outcome == "whole"
    assert most_mib - before_mib < FEW_MIB


async def test_a_listener_who_takes_more_time_than_the_workers_hears_every_sample(
    tmp_path: Path,
) -> None:
    text = TEXT[:12_000]  # 35 MB, made in a second or two and played in more
    at_once = {
        "STREAM_AHEAD_S": "3600"
    }  # more than an inbox holds; by default no more is made than it does
    async with (
        house(tmp_path, splitters=1, workers=2, settings=SETTINGS | at_once) as service,
        aiohttp.ClientSession(read_bufsize=2**14) as session,
    ):
        await service.until_ready(session)
        answer = await ask(session, service.address(), text, 3, pause_s=0.004)
        assert await metric(service, session, "tts_chunks_fetched_again_total") > 0, (
            "nothing was lost on the way"
        )
        assert answer.outcome == "whole"


async def test_a_subscriber_on_nats_that_reads_nothing_harms_no_other_client(
    tmp_path: Path,
) -> None:
    async with (
        house(tmp_path, splitters=1, workers=2, settings=SETTINGS) as service,
        aiohttp.ClientSession() as session,
        slow_socket(service.nats.port) as connection,
    ):
        await service.until_ready(session)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(connection, b'CONNECT {"verbose":false}\r\nSUB tts.> 1\r\n')
        answers = [await ask(session, service.address(), TEXT[:6_000], seed) for seed in range(6)]
        said = await service.monitor(session, "varz")
    assert [answer.outcome for answer in answers] == ["whole"] * 6
    assert said["slow_consumers"], "the subscriber was to be too slow"
    assert not [log.name for log in tmp_path.glob("*.log") if "bus_disconnected" in log.read_text()]
