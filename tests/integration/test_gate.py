"""Authentication: API keys and their limits, CORS, and idle connections."""

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, redirect_stdout
from pathlib import Path

import aiohttp
import msgspec
import pytest
import pytest_asyncio

from services.admin import keys as api_keys
from services.common.runtime.local_nats import free_port
from services.http_edge import app as edge_app
from services.http_edge.auth.api_keys import ApiKeys
from services.http_edge.errors import CannotReadKeys
from tests.support.front import SETTINGS, VOICE, Front, front
from tests.support.service import TEXT, expected_pcm
from tests.support.wav import pcm_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


def new_key(file: Path, name: str, *limits: str) -> str:
    """Add a key to a file of keys, and return it."""
    with redirect_stdout(io.StringIO()) as output:
        api_keys.main([str(file), "--name", name, *limits])

    return output.getvalue().strip()


@pytest.fixture(scope="module")
def keys_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys") / "keys.toml"


@pytest.fixture(scope="module")
def keys(keys_file: Path) -> dict[str, str]:
    """Make a file of keys, and return them by their names."""
    limits = {
        "acme": ["--tenant", "acme"],
        "globex": ["--tenant", "globex"],
        "hasty": ["--requests-a-minute", "2"],
        "poor": ["--audio-seconds-a-day", "16"],
        "other-engine": ["--engines", "xtts"],
    }
    return {name: new_key(keys_file, name, *its) for name, its in limits.items()}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(
    tmp_path_factory: pytest.TempPathFactory, keys_file: Path, keys: dict[str, str]
) -> AsyncIterator[Front]:
    assert keys
    settings = msgspec.structs.replace(
        SETTINGS,
        api_keys_file=str(keys_file),
        cors_origins="https://pages.example, https://other.example",
    )
    async with front(tmp_path_factory.mktemp("nats"), edges=2, settings=settings) as made:
        yield made


def bearing(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


async def refused(
    service: Front, path: str, headers: dict[str, str], edge: int = 0
) -> tuple[int, str]:
    async with await service.post(path, headers=headers, edge=edge) as response:
        body = await response.json(content_type=None) if response.status != 200 else {"code": ""}
        if response.status == 200:
            await response.read()
        return response.status, body["code"]


async def test_without_a_key_that_is_known_nothing_but_the_public_pages_is_answered(
    service: Front, keys: dict[str, str]
) -> None:
    assert await refused(service, "/synthesize", {}) == (401, "key_missing")
    assert await refused(service, "/jobs", bearing("x" * 43)) == (401, "unknown_key")
    assert await refused(service, "/stream", {"X-API-Key": keys["acme"][:-1]}) == (
        401,
        "unknown_key",
    )
    async with await service.get("/requests/some-request/sentences") as response:
        assert response.status == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"
    for path in ("/", "/health", "/livez", "/readyz", "/languages", "/metrics"):
        async with await service.get(path) as response:
            assert response.status == 200, path
    for headers in (
        bearing(keys["acme"]),
        {"X-API-Key": keys["acme"]},
        {"Authorization": f"bearer {keys['acme']}"},
    ):
        async with await service.post("/synthesize", headers=headers) as response:
            assert pcm_of(await response.read()) == expected_pcm(TEXT)


async def test_a_key_that_is_not_for_this_engine_is_refused(
    service: Front, keys: dict[str, str]
) -> None:
    assert await refused(service, "/synthesize", bearing(keys["other-engine"])) == (
        403,
        "engine_not_allowed",
    )


async def test_the_limits_are_checked_before_a_byte_of_the_body_is_read(service: Front) -> None:
    host, port = service.addresses[0].removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = (
        "POST /synthesize HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    )
    writer.write(f"{head}Content-Length: 100000000\r\nExpect: 100-continue\r\n\r\n".encode())
    assert (await asyncio.wait_for(reader.readline(), 5)).startswith(b"HTTP/1.1 401")
    writer.close()
    await writer.wait_closed()


async def test_requests_over_a_keys_rate_get_a_retry_after(
    service: Front, keys: dict[str, str]
) -> None:
    answers = [await refused(service, "/synthesize", bearing(keys["hasty"])) for _ in range(3)]
    assert answers == [(200, ""), (200, ""), (429, "rate_exceeded")]
    async with await service.post("/synthesize", headers=bearing(keys["hasty"])) as response:
        assert 1 <= int(response.headers["Retry-After"]) <= 30


async def test_a_keys_daily_audio_is_counted_at_all_edges_together(
    service: Front, keys: dict[str, str]
) -> None:
    assert await refused(service, "/synthesize", bearing(keys["poor"])) == (200, "")
    assert await refused(service, "/synthesize", bearing(keys["poor"]), edge=1) == (
        429,
        "quota_used_up",
    )
    async with await service.post("/jobs", headers=bearing(keys["poor"])) as response:
        assert response.status == 429
        assert 1 <= int(response.headers["Retry-After"]) <= 86_400


async def test_a_tenant_sees_its_own_requests_and_jobs_alone(
    service: Front, keys: dict[str, str]
) -> None:
    acme, globex = bearing(keys["acme"]), bearing(keys["globex"])
    async with await service.post("/jobs", headers=acme) as response:
        assert response.status == 202, await response.text()
        job = (await response.json())["id"]
    async with asyncio.timeout(60):
        while True:
            async with await service.get(f"/jobs/{job}", headers=acme, edge=1) as response:
                if (await response.json())["state"] == "done":
                    break
            await asyncio.sleep(0.1)
    async with await service.get(f"/jobs/{job}/audio", headers=acme, edge=1) as response:
        assert pcm_of(await response.read()) == expected_pcm(TEXT)
    for path in (f"/jobs/{job}", f"/jobs/{job}/audio", f"/jobs/{job}/events"):
        async with await service.get(path, headers=globex) as response:
            assert response.status == 404, path
    async with await service.post(
        "/stream", headers=acme | {"Request-Name": "the-request-of-acme"}
    ) as response:
        await response.read()
    async with await service.get(
        "/requests/the-request-of-acme/audio?from=44", headers=acme
    ) as response:
        assert await response.read() == expected_pcm(TEXT)
    async with await service.get(
        "/requests/the-request-of-acme/audio?from=44", headers=globex
    ) as response:
        assert response.status == 404


@pytest_asyncio.fixture(loop_scope="module")
async def kept_keys(keys_file: Path, keys: dict[str, str], service: Front) -> AsyncIterator[None]:
    """Restore the file of keys after the test, and wait until the first edge has read it."""
    content = keys_file.read_text()
    yield
    keys_file.write_text(content)
    await until_status(service, keys["acme"], 200)


async def until_status(service: Front, secret: str, status: int) -> None:
    """Wait until requests with this key have this status."""
    async with asyncio.timeout(60):
        while (await refused(service, "/synthesize", bearing(secret)))[0] != status:
            await asyncio.sleep(0.2)


@pytest.mark.usefixtures("kept_keys")
async def test_keys_are_added_and_taken_back_while_the_edge_runs(
    service: Front, keys_file: Path
) -> None:
    late = new_key(keys_file, "late")
    await until_status(service, late, 200)
    keys_file.write_text("this is no file of keys")
    await asyncio.sleep(2.5)
    # what was known stays known
    assert await refused(service, "/synthesize", bearing(late)) == (
        200,
        "",
    )
    keys_file.write_text("keys = []")
    await until_status(service, late, 401)


async def test_a_file_of_keys_that_cannot_be_read_is_named_at_the_start(tmp_path: Path) -> None:
    for content, said in (
        (None, "No such file"),
        ("keys = 3", "API_KEYS_FILE"),
        ('[[keys]]\nname = "x"', "hash"),
    ):
        if content is not None:
            (tmp_path / "keys.toml").write_text(content)
        with pytest.raises(CannotReadKeys, match=said):
            ApiKeys(tmp_path / "keys.toml")


async def test_pages_of_other_origins_may_read_what_they_are_allowed_to(
    service: Front, keys: dict[str, str]
) -> None:
    asked = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    for origin, status in (("https://pages.example", 204), ("https://evil.example", 403)):
        async with service.session.options(
            f"{service.addresses[0]}/stream", headers=asked | {"Origin": origin}
        ) as response:
            assert response.status == status
            assert response.headers.get("Access-Control-Allow-Origin") == (
                origin if status == 204 else None
            )
    for origin in ("https://pages.example", "https://evil.example"):
        async with await service.post(
            "/synthesize", headers=bearing(keys["acme"]) | {"Origin": origin}
        ) as response:
            await response.read()
            allowed = response.headers.get("Access-Control-Allow-Origin")
            assert allowed == (origin if origin == "https://pages.example" else None)
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert "default-src 'none'" in response.headers["Content-Security-Policy"]
            assert "aiohttp" not in response.headers["Server"]


@asynccontextmanager
async def listening(service: Front, **settings: float) -> AsyncIterator[int]:
    """Run one more edge as its own process would, without keys, and yield its port."""
    port, stop = free_port(), asyncio.Event()
    own = msgspec.structs.replace(SETTINGS, http_port=port, **settings)
    serving = asyncio.create_task(edge_app.serve(service.bus, own, stop))
    try:
        async with asyncio.timeout(60):
            while not await _ready(service, port):
                await asyncio.sleep(0.05)
        yield port
    finally:
        stop.set()
        await serving


async def _ready(service: Front, port: int) -> bool:
    try:
        async with service.session.get(f"http://127.0.0.1:{port}/readyz") as response:
            return response.status == 200
    except aiohttp.ClientConnectionError:
        return False


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()  # it wrote into a closed connection


async def test_a_connection_on_which_no_request_comes_is_closed_however_its_head_drips(
    service: Front,
) -> None:
    async with listening(service, connection_idle_timeout_s=1.0) as port:
        silent = await asyncio.open_connection("127.0.0.1", port)
        dripping = await asyncio.open_connection("127.0.0.1", port)

        async def drip() -> None:
            for byte in b"GET /livez HTTP/1.1\r\nX-Slow: " + b"a" * 200:
                dripping[1].write(bytes([byte]))
                await asyncio.sleep(0.1)

        task = asyncio.create_task(drip())
        for reader, writer in (silent, dripping):
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await asyncio.wait_for(reader.readexactly(1), 8)
            writer.close()
        await _ended(task)


async def test_a_body_that_comes_steadily_but_for_ever_is_let_go(service: Front) -> None:
    async with listening(service, upload_timeout_s=1.5) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = "POST /synthesize HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        writer.write(f"{head}Content-Length: 1000000\r\n\r\n--x\r\n".encode())
        writer.write(
            b'Content-Disposition: form-data; name="reference_audio"; filename="a"\r\n\r\n'
            + VOICE[:100]
        )

        async def drip() -> None:
            while True:
                writer.write(b"a")
                await asyncio.sleep(0.1)

        task = asyncio.create_task(drip())
        try:
            answer = await asyncio.wait_for(reader.readline(), 10)
        except ConnectionResetError:
            # it was still sending into a closed connection, and the answer is lost with it
            answer = b""
        assert answer.startswith(b"HTTP/1.1 408") or not answer
        writer.close()
        await _ended(task)
