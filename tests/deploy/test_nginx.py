"""The reverse proxy: real nginx, edge and Streamlit, and a self-signed certificate, up to the client."""

import asyncio
import os
import shutil
import signal
import ssl
import subprocess
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from string import Template

import aiohttp
import pytest
import pytest_asyncio

from services.common.runtime.local_nats import free_port
from tests.chaos.parts import ROOT, Part, house
from tests.support.front import form
from tests.support.service import TEXT, expected_pcm
from tests.support.wav import pcm_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

NGINX = ROOT / "deploy" / "nginx"
API, UI = "api.localhost", "ui.localhost"
LONG = " ".join([TEXT] * 12)


@dataclass
class Gateway:
    """A running nginx, and a client that trusts it."""

    folder: Path
    port: int
    plain_port: int
    context: ssl.SSLContext
    session: aiohttp.ClientSession

    def url(self, path: str) -> str:
        return f"https://127.0.0.1:{self.port}{path}"

    def temporary_files(self) -> list[Path]:
        """Return what nginx has put on its disk of what passes through it."""
        return [
            path
            for kind in ("proxy", "body")
            for path in (self.folder / kind).rglob("*")
            if path.is_file()
        ]


def certificate(folder: Path, days: int = 2) -> None:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-days", str(days), "-subj", f"/CN={API}", "-addext", f"subjectAltName=DNS:{API},DNS:{UI}",
         "-keyout", "tls.key", "-out", "tls.crt"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip


def configure(
    folder: Path, *, port: int, plain_port: int, edge: str, interface: str, password: bool = False
) -> None:
    """Lay out the deployed files in a folder, filled in as the image does, on ports that are free."""
    for name in ("certificates", "snippets", "proxy", "body"):
        (folder / name).mkdir()
    certificate(folder / "certificates")
    for path in (NGINX / "snippets").iterdir():
        text = path.read_text().replace("/etc/nginx", str(folder))
        if password:
            text = text.replace("# auth_basic", "auth_basic")
        (folder / "snippets" / path.name).write_text(text)
    hashed = subprocess.run(
        ["openssl", "passwd", "-apr1", "open sesame"], check=True, capture_output=True, text=True
    )
    (folder / "certificates" / "htpasswd").write_text(f"you:{hashed.stdout}")
    template = (NGINX / "templates" / "voice-cloning.conf.template").read_text()
    filled = Template(template).safe_substitute(
        API_HOST=API, UI_HOST=UI, RATE="20", EDGE=edge, INTERFACE=interface
    )
    filled = filled.replace("/etc/nginx", str(folder)).replace(
        "/dev/stdout", str(folder / "access.log")
    )
    filled = filled.replace("/var/www/acme", str(folder / "acme"))
    filled = filled.replace("listen 443", f"listen 127.0.0.1:{port}").replace(
        "listen 80;", f"listen 127.0.0.1:{plain_port};"
    )
    user = "user root;\n" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        f"{user}daemon off;\npid {folder}/pid;\nerror_log {folder}/error.log;\nevents {{}}\nhttp {{\n"
        f"proxy_temp_path {folder}/proxy;\nclient_body_temp_path {folder}/body;\n{filled}\n}}\n"
    )


def valid(nginx: str, folder: Path) -> None:
    checked = subprocess.run(
        [nginx, "-t", "-c", folder / "nginx.conf"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


def nginx_program() -> str:
    """Return the path of nginx."""
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    assert nginx, "install nginx, or run `./task setup:deploy`"
    return nginx


async def started(folder: Path, port: int) -> asyncio.subprocess.Process:
    nginx = nginx_program()
    valid(nginx, folder)
    process = await asyncio.create_subprocess_exec(nginx, "-c", str(folder / "nginx.conf"))
    async with asyncio.timeout(60):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return process


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def upstreams(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[str, str]]:
    """Start the service and the pages once for all tests; yield the host and port of each."""
    folder, ui_port = tmp_path_factory.mktemp("service"), free_port()
    settings = {"TONE_REAL_TIME_FACTOR": "0.03", "LISTENER_TIMEOUT_S": "30"}
    async with house(folder, splitters=1, workers=1, settings=settings) as service:
        ui = Part("ui", 0, folder, {"UI_PORT": str(ui_port), "SERVICE_URL": service.address()})
        await ui.start()
        async with aiohttp.ClientSession() as session:
            await service.until_ready(session)
        yield service.address().removeprefix("http://"), f"127.0.0.1:{ui_port}"
        await ui.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def gateway(
    tmp_path: Path, upstreams: tuple[str, str], request: pytest.FixtureRequest
) -> AsyncIterator[Gateway]:
    folder = tmp_path / "nginx"
    folder.mkdir()
    port, plain_port = free_port(), free_port()
    edge, interface = upstreams
    password = getattr(request, "param", False)
    configure(
        folder,
        port=port,
        plain_port=plain_port,
        edge=edge,
        interface=interface,
        password=password,
    )
    process = await started(folder, port)
    context = ssl.create_default_context(cafile=folder / "certificates" / "tls.crt")
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        yield Gateway(folder, port, plain_port, context, session)
    process.terminate()
    await process.wait()


async def test_speech_passes_through_whole_and_a_stream_as_it_is_made(gateway: Gateway) -> None:
    options = {"ssl": gateway.context, "server_hostname": API, "headers": {"Host": API}}
    owed = expected_pcm(LONG, max_characters=250)
    began_s, first_s, heard = time.monotonic(), 0.0, b""
    async with gateway.session.post(
        gateway.url("/stream"), data=form(text=LONG), **options
    ) as response:
        assert response.status == 200, await response.text()
        assert response.headers["Strict-Transport-Security"]
        async for piece in response.content.iter_any():
            heard += piece
            first_s = first_s or time.monotonic() - began_s
    assert pcm_of(heard) == owed
    assert first_s < (time.monotonic() - began_s) / 2
    async with gateway.session.get(gateway.url("/metrics"), **options) as response:
        assert response.status == 404
    async with gateway.session.get(
        f"http://127.0.0.1:{gateway.plain_port}/x", allow_redirects=False
    ) as response:
        assert response.status == 308
        assert response.headers["Location"].startswith("https://")
    assert TEXT[:20] not in (gateway.folder / "access.log").read_text()


async def test_a_slow_reader_costs_the_others_nothing_and_the_disk_nothing(
    gateway: Gateway,
) -> None:
    options = {"ssl": gateway.context, "server_hostname": API, "headers": {"Host": API}}
    slow = await gateway.session.post(
        gateway.url("/stream"), data=form(text=" ".join([LONG] * 6)), **options
    )
    taken = len(await slow.content.read(1024))
    began_s = time.monotonic()
    async with gateway.session.post(gateway.url("/synthesize"), data=form(), **options) as response:
        assert pcm_of(await response.read()) == expected_pcm(TEXT, max_characters=250)
    assert time.monotonic() - began_s < 10
    for _ in range(10):
        taken += len(await slow.content.read(1024))
        await asyncio.sleep(0.1)
    assert gateway.temporary_files() == []
    assert taken < 20_000
    slow.close()


async def test_old_tls_is_refused(gateway: Gateway) -> None:
    for version, works in ((ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_3, True)):
        context = ssl.create_default_context(cafile=gateway.folder / "certificates" / "tls.crt")
        context.minimum_version = context.maximum_version = version
        async with gateway.session.get(
            gateway.url("/livez"), ssl=context, server_hostname=API, headers={"Host": API}
        ) as response:
            assert (response.status == 200) is works
    asked = [
        "openssl",
        "s_client",
        "-connect",
        f"127.0.0.1:{gateway.port}",
        "-tls1_1",
        "-cipher",
        "ALL@SECLEVEL=0",
    ]
    process = await asyncio.create_subprocess_exec(
        *asked,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode != 0
    assert b"protocol version" in said or b"no protocols available" in said, said


async def test_too_large_a_body_and_too_many_requests_are_refused(gateway: Gateway) -> None:
    options = {"ssl": gateway.context, "server_hostname": API}
    large = {
        "Host": API,
        "Content-Length": str(201 * 1024 * 1024),
        "Content-Type": "multipart/form-data; boundary=x",
    }
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", gateway.port, ssl=gateway.context, server_hostname=API
    )
    lines = "".join(f"{name}: {value}\r\n" for name, value in large.items())
    writer.write(f"POST /synthesize HTTP/1.1\r\n{lines}\r\n".encode())
    assert (await asyncio.wait_for(reader.readline(), 10)).startswith(b"HTTP/1.1 413")
    writer.close()
    await writer.wait_closed()

    async def status() -> int:
        async with gateway.session.get(
            gateway.url("/livez"), headers={"Host": API}, **options
        ) as response:
            return response.status

    statuses = await asyncio.gather(*(status() for _ in range(120)))
    assert set(statuses) == {200, 429}


async def test_a_certificate_authority_finds_its_challenge_and_everything_else_moves_to_tls(
    gateway: Gateway,
) -> None:
    challenges = gateway.folder / "acme" / ".well-known" / "acme-challenge"
    challenges.mkdir(parents=True)
    (challenges / "token").write_text("token.thumbprint")
    for path, status in (
        ("/.well-known/acme-challenge/token", 200),
        ("/.well-known/acme-challenge/other", 404),
        ("/synthesize", 308),
    ):
        async with gateway.session.get(
            f"http://127.0.0.1:{gateway.plain_port}{path}",
            headers={"Host": API},
            allow_redirects=False,
        ) as response:
            assert response.status == status, path
            assert status != 200 or await response.text() == "token.thumbprint"


async def test_a_renewed_certificate_is_used_after_a_reload(gateway: Gateway) -> None:
    def presented() -> str:
        return ssl.get_server_certificate(("127.0.0.1", gateway.port))

    before = await asyncio.to_thread(presented)
    await asyncio.to_thread(certificate, gateway.folder / "certificates")
    assert await asyncio.to_thread(presented) == before
    os.kill(int((gateway.folder / "pid").read_text()), signal.SIGHUP)  # as `nginx -s reload`
    async with asyncio.timeout(60):
        while await asyncio.to_thread(presented) == before:
            await asyncio.sleep(0.1)


async def test_the_pages_receive_recordings_of_200_megabytes(gateway: Gateway) -> None:
    for size in (199, 201):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", gateway.port, ssl=gateway.context, server_hostname=UI
        )
        lines = f"Host: {UI}\r\nContent-Length: {size * 1024 * 1024}\r\n"
        writer.write(f"PUT /_stcore/upload_file/a/b HTTP/1.1\r\n{lines}\r\n".encode())
        if size < 200:
            with pytest.raises(TimeoutError):  # nginx waits for the body
                await asyncio.wait_for(reader.readline(), 2)
        else:
            assert (await asyncio.wait_for(reader.readline(), 10)).startswith(b"HTTP/1.1 413")
        writer.close()


@pytest.mark.parametrize("gateway", [False, True], ids=["open", "with a password"], indirect=True)
async def test_the_pages_and_their_websocket_pass_through(
    gateway: Gateway, request: pytest.FixtureRequest
) -> None:
    asked = request.node.callspec.params["gateway"]
    options = {
        "ssl": gateway.context,
        "server_hostname": UI,
        "headers": {"Host": UI, "Origin": f"https://{UI}"},
    }
    known = options["headers"] | (
        {"Authorization": aiohttp.encode_basic_auth("you", "open sesame")} if asked else {}
    )
    who = options | {"headers": known}
    async with asyncio.timeout(60):
        while True:
            async with gateway.session.get(gateway.url("/_stcore/health"), **who) as response:
                if response.status == 200:
                    break
            await asyncio.sleep(0.3)
    if asked:
        async with gateway.session.get(gateway.url("/"), **options) as response:
            assert response.status == 401
            assert response.headers.getall("X-Frame-Options") == ["DENY"]
    async with gateway.session.get(gateway.url("/"), **who) as response:
        assert response.status == 200
        assert "<html" in await response.text()
        assert response.headers.getall("X-Frame-Options") == ["DENY"]
        assert response.headers.getall("Content-Security-Policy") == ["frame-ancestors 'none'"]
        assert response.headers["Strict-Transport-Security"]
    async with gateway.session.ws_connect(gateway.url("/_stcore/stream"), **who) as socket:
        assert not socket.closed
