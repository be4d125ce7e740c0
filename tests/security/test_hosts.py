"""DNS rebinding and frames: other sites must not use the service or the pages through a visitor's browser."""

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from services.admin.keys import main as make_key
from services.common.runtime.settings import BadSettings, read_settings
from services.http_edge.app import edge
from services.http_edge.settings import Settings
from services.http_edge.transport.host_names import AllowedHosts
from tests.support.buses import memory_bus
from tests.support.decoders import CachedDecoder
from ui.http.host_names import AllowedHosts as PageHosts

ROOT = Path(__file__).parents[2]
OWN = [
    "localhost", "localhost:8004", "LOCALHOST:8004", "ui.localhost", "127.0.0.1", "127.0.0.1:8004", "[::1]:8004",
    "10.1.2.3:8004", "192.168.1.7", "203.0.113.9", "[2001:db8::7]", "http-edge", "http-edge:8004",
    "http-edge.voice-cloning.svc", "http-edge.voice-cloning.svc.cluster.local:8004", "box.local", "tts.corp.internal",
    socket.gethostname(), "", "localhost.",
]  # fmt: skip
FOREIGN = [
    "evil.example", "evil.example:8004", "EVIL.example", "evil.example.", "localhost.evil.example",
    "127.0.0.1.evil.example", "evil.examplelocalhost.com", "notlocal.com", "1.2.3", "a@evil.example",
    "evil.example/localhost", "localhost@evil.example", "localhost evil.example", "evil.example:x", "[evil.example]",
    "[::1].evil.example", "localhost,evil.example", "evil.example\x00", "évil.example", "evil.example:8004:8004",
]  # fmt: skip


@pytest.mark.parametrize("kind", [AllowedHosts, PageHosts])
@pytest.mark.parametrize("host", OWN)
def test_addresses_and_names_outside_the_public_dns_are_served(
    kind: type[AllowedHosts], host: str
) -> None:
    assert kind("").serve([host])


@pytest.mark.parametrize("kind", [AllowedHosts, PageHosts])
@pytest.mark.parametrize("host", FOREIGN)
def test_names_in_public_domains_are_not_served(kind: type[AllowedHosts], host: str) -> None:
    assert not kind("").serve([host])
    assert not kind("").serve(["localhost", host])
    assert not kind("example.org, *.example.net").serve([host])
    assert kind("*").serve([host])


@pytest.mark.parametrize("kind", [AllowedHosts, PageHosts])
def test_names_that_are_listed_are_served_and_those_below_a_star(kind: type[AllowedHosts]) -> None:
    hosts = kind(" voice.example.org ,*.example.net,")
    assert hosts.serve(["Voice.example.org:443"])
    assert hosts.serve(["a.example.net"])
    assert hosts.serve(["a.b.example.net."])
    for host in (
        "example.org",
        "a.voice.example.org",
        "example.net",
        "badexample.net",
        "example.net.evil.com",
    ):
        assert not hosts.serve([host])


@pytest.mark.parametrize(
    "value", ["https://a.example", "a.example:443", "*a.example", "a,,b", "a b", "a/b"]
)
def test_what_is_no_list_of_names_is_refused_at_start(value: str) -> None:
    with pytest.raises(BadSettings, match="ALLOWED_HOSTS"):
        read_settings(Settings, {"ALLOWED_HOSTS": value})
    for good in ("", "*", "a.example", "*.a.example , b.example,c", "xn--bcher-kva.example"):
        read_settings(Settings, {"ALLOWED_HOSTS": good})


@pytest.fixture
async def service() -> AsyncIterator[str]:
    """Yield the address of an edge without keys."""
    bus = await memory_bus()
    async with (
        CachedDecoder() as decoder,
        edge(bus, decoder, Settings(engine="tone"), asyncio.Event()) as app,
    ):
        async with TestServer(app) as server:
            yield str(server.make_url("")).rstrip("/")


@pytest.mark.parametrize(("method", "path"), [
    ("GET", "/health"), ("GET", "/metrics"), ("GET", "/jobs/12345678"), ("GET", "/nothing"), ("POST", "/synthesize"),
    ("POST", "/jobs"), ("DELETE", "/jobs/12345678"), ("OPTIONS", "/synthesize"),
])  # fmt: skip
async def test_an_edge_without_keys_refuses_every_request_under_a_foreign_name(
    service: str, method: str, path: str
) -> None:
    preflight = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    async with aiohttp.ClientSession() as session:
        async with session.request(
            method, service + path, headers={"Host": "evil.example:8004", **preflight}
        ) as answer:
            problem = json.loads(await answer.read())
            assert answer.status == 421
            assert answer.content_type == "application/problem+json"
            assert problem["code"] == "misdirected_request"
            assert "ALLOWED_HOSTS" in problem["detail"]
        async with session.request(
            method, service + path, headers={"Host": "localhost:8004"}
        ) as answer:
            assert answer.status != 421


async def said(address: str, request: bytes) -> bytes:
    """Return the first line of what the edge answers to these bytes."""
    host, port = address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request)
    line = await asyncio.wait_for(reader.readline(), 10)
    writer.close()
    return line


async def test_a_foreign_name_gets_nowhere_by_a_second_host_or_an_absolute_target(
    service: str,
) -> None:
    for request in (
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: evil.example\r\nHost: localhost\r\n\r\n",
        b"GET http://localhost/health HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"GET /health HTTP/1.0\r\nHost: evil.example\r\n\r\n",
    ):
        assert await said(service, request) != b""
        assert b" 200 " not in await said(service, request)
    # a proxy's check, without a Host header
    assert b" 200 " in await said(service, b"GET /livez HTTP/1.0\r\n\r\n")


async def test_an_edge_that_asks_for_keys_may_have_any_name(tmp_path: Path) -> None:
    keys = tmp_path / "keys.toml"
    make_key([str(keys), "--name", "acme-web", "--tenant", "acme"])
    settings, bus = Settings(engine="tone", api_keys_file=str(keys)), await memory_bus()
    async with CachedDecoder() as decoder, edge(bus, decoder, settings, asyncio.Event()) as app:
        async with TestServer(app) as server, aiohttp.ClientSession() as session:
            async with session.get(
                server.make_url("/jobs/12345678"), headers={"Host": "tts.example.org"}
            ) as answer:
                assert answer.status == 401  # which no page of another site gets past


@pytest.fixture
async def pages() -> AsyncIterator[str]:
    """Yield the address of the web interface, which serves voice.example.org too."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {
        "UI_PORT": str(port), "SERVICE_URL": "http://127.0.0.1:9", "ALLOWED_HOSTS": "voice.example.org",
        "PUBLIC_SERVICE_URL": "https://api.example.org",
    }  # fmt: skip
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ui"),
        cwd=ROOT,
        env=os.environ | environment,
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        async with aiohttp.ClientSession() as session, asyncio.timeout(120):
            while True:
                assert running.returncode is None
                try:
                    async with session.get(f"http://127.0.0.1:{port}/_stcore/health") as answer:
                        if answer.status == 200:
                            break
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        running.terminate()
        await running.wait()


async def websocket_status(session: aiohttp.ClientSession, url: str, **headers: str) -> int:
    """Return the status of a websocket's handshake."""
    try:
        async with session.ws_connect(url, protocols=["streamlit"], headers=headers):
            return 101
    except aiohttp.WSServerHandshakeError as refusal:
        return refusal.status


async def test_the_pages_are_served_under_their_own_names_and_cannot_be_framed(pages: str) -> None:
    async with aiohttp.ClientSession() as session:
        for path in (
            "/",
            "/_stcore/health",
            "/_stcore/host-config",
            "/sound/none",
            "/marks/none",
            "/nothing",
        ):
            for host in (
                "localhost:8501",
                "127.0.0.1",
                "voice.example.org",
                "api.example.org",
                "ui",
            ):
                async with session.get(pages + path, headers={"Host": host}) as answer:
                    assert answer.status != 421, (path, host)
                    assert answer.headers["Content-Security-Policy"] == "frame-ancestors 'none'"
                    assert answer.headers["X-Frame-Options"] == "DENY"
                    assert answer.headers["X-Content-Type-Options"] == "nosniff"
            async with session.get(pages + path, headers={"Host": "evil.example"}) as answer:
                assert answer.status == 421, path
                assert json.loads(await answer.read())["code"] == "misdirected_request"
        async with session.put(
            f"{pages}/_stcore/upload_file/a/b", headers={"Host": "evil.example"}
        ) as answer:
            assert answer.status == 421

        stream = f"{pages}/_stcore/stream"
        own, evil = "http://localhost:8501", "http://evil.example"
        assert await websocket_status(session, stream, Host="localhost:8501", Origin=own) == 101
        assert await websocket_status(session, stream, Host="evil.example", Origin=evil) == 403
        assert await websocket_status(session, stream, Host="evil.example") == 403
        assert await websocket_status(session, stream, Host="localhost:8501", Origin=evil) == 403
