"""Clients and proxies that speak HTTP/1.0: the body ends with the connection, and one that is cut ends with a reset."""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from services.common.runtime.local_nats import free_port
from tests.deploy.test_nginx import started
from tests.support.front import Front, form, front
from tests.support.service import TEXT, expected_pcm
from tests.support.wav import pcm_of

LONG = " ".join([TEXT] * 20)


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Front]:
    (tmp_path / "nats").mkdir()
    async with front(tmp_path / "nats", real_time_factor=0.02) as made:
        yield made


def port_of(service: Front) -> int:
    return int(service.addresses[0].rpartition(":")[2])


async def body(**fields: str) -> tuple[str, bytes]:
    """Return the content type and the bytes of a form."""

    class Sink:
        def __init__(self) -> None:
            self.content = bytearray()

        async def write(self, block: bytes) -> None:
            self.content += block

    payload, sink = form(**fields)(), Sink()
    await payload.write(sink)  # type: ignore[arg-type]
    return payload.headers["Content-Type"], bytes(sink.content)


@asynccontextmanager
async def asked(
    port: int, method: str, path: str, *lines: str, content: bytes = b""
) -> AsyncIterator[asyncio.StreamReader]:
    """Send a request of HTTP/1.0 and yield what reads the answer's body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = "".join(f"{line}\r\n" for line in (f"{method} {path} HTTP/1.0", *lines))
    try:
        writer.write(head.encode() + b"\r\n" + content)
        told = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)).decode()
        assert told.startswith("HTTP/1.0 200 "), told
        assert "transfer-encoding" not in told.lower()
        yield reader
    finally:
        writer.transport.abort()


@asynccontextmanager
async def posted(
    port: int, path: str, *lines: str, **fields: str
) -> AsyncIterator[asyncio.StreamReader]:
    kind, content = await body(**fields)
    length = f"Content-Length: {len(content)}"
    async with asked(
        port, "POST", path, f"Content-Type: {kind}", length, *lines, content=content
    ) as reader:
        yield reader


async def test_a_stream_its_rest_and_a_job_are_answered_to_the_end_of_the_connection(
    service: Front,
) -> None:
    port = port_of(service)
    async with posted(port, "/stream", "Request-Name: a-request-of-mine") as reader:
        assert pcm_of(await reader.read(-1)) == expected_pcm(TEXT)
    async with asked(port, "GET", "/requests/a-request-of-mine/audio?from=44") as reader:
        assert await reader.read(-1) == expected_pcm(TEXT)
    job = (await service.post("/jobs", text=LONG)).headers["Location"]
    for _ in ("it runs", "it is done"):
        async with asked(port, "GET", f"{job}/audio") as reader:
            assert pcm_of(await reader.read(-1)) == expected_pcm(LONG)
    async with asked(port, "GET", f"{job}/events") as reader:
        assert b"event: done" in await reader.read(-1)


async def test_an_answer_that_is_cut_ends_with_a_reset(service: Front) -> None:
    port = port_of(service)
    async with posted(port, "/stream", "Request-Name: a-request-of-mine", text=LONG) as reader:
        await reader.readexactly(44)
        assert (await service.delete("/requests/a-request-of-mine"))[0] == 202
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(-1), 20)
    job = (await service.post("/jobs", text=LONG)).headers["Location"]
    async with asked(port, "GET", f"{job}/audio") as reader:
        await reader.readexactly(44)
        assert (await service.delete(job))[0] == 202
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(-1), 20)


async def test_a_client_that_leaves_in_the_middle_ends_its_work(service: Front) -> None:
    async with posted(port_of(service), "/stream", text=LONG) as reader:
        await reader.readexactly(44)
    await service.until_idle()


@pytest.fixture(params=["on", "off"])
async def proxy(
    service: Front, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[str]:
    """Run an nginx as its packages configure it, which speaks HTTP/1.0 to the edge."""
    folder, port = tmp_path / "nginx", free_port()
    folder.mkdir()
    edge = service.addresses[0]
    user = "user root;\n" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        f"daemon off;\npid {folder}/pid;\nerror_log {folder}/error.log;\n{user}events {{}}\n"
        f"http {{ access_log off; proxy_temp_path {folder}/proxy; client_body_temp_path {folder}/body;\n"
        f"server {{ listen 127.0.0.1:{port}; location / {{ proxy_http_version 1.0; proxy_pass {edge};"
        f" proxy_buffering {request.param}; }} }} }}\n"
    )
    process = await started(folder, port)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    await process.wait()


@pytest.mark.skipif(
    shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin") is None, reason="no nginx"
)
async def test_behind_a_plain_nginx_a_stream_is_whole_and_a_cut_is_seen(
    service: Front, proxy: str
) -> None:
    async with service.session.post(f"{proxy}/stream", data=form()) as response:
        assert response.status == 200, await response.text()
        assert pcm_of(await response.read()) == expected_pcm(TEXT)
    headers = {"Request-Name": "a-request-of-mine"}
    async with service.session.post(
        f"{proxy}/stream", data=form(text=LONG), headers=headers
    ) as response:
        await response.content.readexactly(44)
        assert (await service.delete("/requests/a-request-of-mine"))[0] == 202
        with pytest.raises(aiohttp.ClientPayloadError):
            await asyncio.wait_for(response.read(), 20)
    job = json.loads(await (await service.post("/jobs")).text())["id"]
    async with service.session.get(f"{proxy}/jobs/{job}/audio") as response:
        assert pcm_of(await response.read()) == expected_pcm(TEXT)
