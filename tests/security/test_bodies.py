"""Bodies made to hurt: compressed, endless, slow, or with more around the content than content."""

import asyncio
import gzip
import json
import re
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from tests.security.edge_process import LOOPBACK, Edge, edge_process, exchange, pulse
from tests.support.front import VOICE, form
from tests.support.service import TEXT, expected_pcm
from tests.support.wav import pcm_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

MIB = 1024 * 1024
SECONDS = 15.0  # that an attack lasts at most
HEAD = (
    "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary={boundary}\r\n"
)
TEXT_PART = b'--x\r\nContent-Disposition: form-data; name="text"\r\n\r\n'
FILE_PART = b'--x\r\nContent-Disposition: form-data; name="reference_audio"; filename="a"\r\n\r\n'


def head(*more: str, path: str = "/synthesize", boundary: str = "x") -> bytes:
    return (
        HEAD.format(path=path, boundary=boundary) + "".join(f"{line}\r\n" for line in more) + "\r\n"
    ).encode()


def times(block: bytes, size: int) -> Iterator[bytes]:
    """Yield a block again and again, some kilobytes at a time, until there are `size` bytes."""
    large = block * (64 * 1024 // len(block) + 1)
    for _ in range(size // len(large)):
        yield large


def sized(content: Callable[[], Iterator[bytes]], size: int, **options: str) -> Iterator[bytes]:
    yield head(f"Content-Length: {size}", **options)
    yield from content()


def newlines() -> Iterator[bytes]:
    return sized(lambda: times(b"\n", 180 * MIB), 180 * MIB)


def slow_preamble() -> Iterator[bytes]:
    yield head("Content-Length: 1000000")
    while True:
        time.sleep(0.1)
        yield b"\r\n"


def no_boundary() -> Iterator[bytes]:
    return sized(lambda: times(b"no boundary in here\r\n", 180 * MIB), 180 * MIB)


def near_misses() -> Iterator[bytes]:
    long = "b" * 70
    start = FILE_PART.replace(b"--x", f"--{long}".encode())

    def content() -> Iterator[bytes]:
        yield start
        yield from times(f"\r\n--{long}X".encode(), 150 * MIB)

    return sized(content, 180 * MIB, boundary=long)


def short_near_misses() -> Iterator[bytes]:
    def content() -> Iterator[bytes]:
        yield FILE_PART
        yield from times(b"\r\n--xX", 30 * MIB)

    return sized(content, 180 * MIB)


def tiny_parts() -> Iterator[bytes]:
    return sized(lambda: times(b"--x\r\nA: b\r\n\r\n\r\n", 100_000 * 15), 180 * MIB)


def long_header() -> Iterator[bytes]:
    def content() -> Iterator[bytes]:
        yield b"--x\r\nContent-Disposition: form-data; name="
        yield from times(b"a", MIB)

    return sized(content, 180 * MIB)


def many_headers() -> Iterator[bytes]:
    def content() -> Iterator[bytes]:
        yield b"--x\r\n"
        yield from times(b"A: b\r\n", MIB)

    return sized(content, 180 * MIB)


def epilogue() -> Iterator[bytes]:
    def content() -> Iterator[bytes]:
        yield TEXT_PART + b"hello\r\n--x--\r\n"
        yield from times(b"after the end ", 200 * MIB)

    return sized(content, 200 * MIB)


def tiny_chunks() -> Iterator[bytes]:
    yield head("Transfer-Encoding: chunked")
    yield b"%x\r\n%b\r\n" % (len(FILE_PART), FILE_PART)
    yield from times(b"1\r\na\r\n", 150 * MIB)


def small_chunks() -> Iterator[bytes]:
    yield head("Transfer-Encoding: chunked")
    yield b"%x\r\n%b\r\n" % (len(FILE_PART), FILE_PART)
    yield from times(b"8\r\naaaaaaaa\r\n", 60 * MIB)


def chunk_extensions() -> Iterator[bytes]:
    yield head("Transfer-Encoding: chunked")
    yield b"5;"
    yield from times(b"extension=", 150 * MIB)


def long_text() -> Iterator[bytes]:
    def content() -> Iterator[bytes]:
        yield TEXT_PART
        yield from times(b"word ", 2 * MIB)

    return sized(content, 2 * MIB)


def gzip_bomb() -> Iterator[bytes]:
    bomb = gzip.compress(b"\n" * (64 * MIB))
    yield head("Content-Encoding: gzip", f"Content-Length: {len(bomb)}")
    yield bomb


ATTACKS = [newlines, slow_preamble, no_boundary, near_misses, short_near_misses, tiny_parts, long_header, many_headers,
           epilogue, tiny_chunks, small_chunks, chunk_extensions, long_text, gzip_bomb]  # fmt: skip


def sent(port: int, blocks: Iterator[bytes]) -> tuple[int, bytes]:
    """Send blocks until they are refused or `SECONDS` are over; return how many bytes went, and what was answered."""
    count = 0
    over_s = time.monotonic() + SECONDS
    with socket.create_connection((LOOPBACK, port), timeout=2) as connection:
        try:
            for block in blocks:
                connection.sendall(block)
                count += len(block)
                if time.monotonic() > over_s:
                    break
        except OSError:
            pass
        try:
            return count, connection.recv(65536)
        except OSError:
            return count, b""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def edge(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Edge]:
    folder = tmp_path_factory.mktemp("edge")
    async with edge_process(folder, UPLOAD_IDLE_TIMEOUT_S="3") as started:
        yield started


async def test_no_body_keeps_the_edge_from_answering(edge: Edge) -> None:
    for attack in ATTACKS:
        with pulse(edge.port) as felt:
            _, answer = await asyncio.to_thread(sent, edge.port, attack())
        status = answer.partition(b"\r\n")[0].decode()
        assert felt.seconds, attack.__name__
        assert not felt.failures, (attack.__name__, felt.failures)
        assert felt.worst_s < 5, attack.__name__
        # or it is lost in the reset
        assert re.match(r"(HTTP/1.[01] 4\d\d|$)", status), (
            attack.__name__,
            status,
        )
    assert edge.temporary_files() == 0


async def test_twenty_bodies_of_tiny_chunks_at_once_do_not_either(edge: Edge) -> None:
    with pulse(edge.port) as felt:
        async with asyncio.TaskGroup() as group:
            for _ in range(20):
                group.create_task(asyncio.to_thread(sent, edge.port, tiny_chunks()))
    assert felt.seconds
    assert not felt.failures
    assert felt.worst_s < 5


CODINGS = ["gzip", "deflate", "br", "zstd", "x-gzip", "GZIP", "identity, gzip", "nonsense"]
PATHS = ["/synthesize", "/stream", "/jobs", "/normalize", "/livez", "/nowhere"]
ENCODED = [
    "Content-Encoding: gzip",
    "Content-Transfer-Encoding: base64",
    "Content-Transfer-Encoding: quoted-printable",
]


async def test_a_compressed_body_or_part_is_refused_and_never_inflated(edge: Edge) -> None:
    bomb = gzip.compress(b"\n" * MIB)
    for path in PATHS:
        for coding in CODINGS:
            lines = (
                f"Content-Encoding: {coding}",
                f"Content-Length: {len(bomb)}",
                "Connection: close",
            )
            answer = await asyncio.to_thread(exchange, edge.port, head(*lines, path=path) + bomb)
            assert answer.startswith(b"HTTP/1.1 415 "), (path, coding, answer)
            assert b"application/problem+json" in answer
            problem = json.loads(answer.partition(b"\r\n\r\n")[2])
            assert problem["code"] == "unsupported_encoding"
            assert "without Content-Encoding" in problem["detail"]
    for line in ENCODED:
        part = (
            TEXT_PART.replace(b"\r\n\r\n", f"\r\n{line}\r\n\r\n".encode()) + b"hello\r\n--x--\r\n"
        )
        for path in ("/synthesize", "/normalize"):
            request = head(f"Content-Length: {len(part)}", "Connection: close", path=path) + part
            answer = await asyncio.to_thread(exchange, edge.port, request)
            assert answer.startswith(b"HTTP/1.1 415 "), (path, line, answer)


async def test_a_plain_body_may_say_so(edge: Edge) -> None:
    async with aiohttp.ClientSession(edge.url, headers={"Content-Encoding": "identity"}) as session:
        async with session.post("/synthesize", data=form()) as response:
            assert pcm_of(await response.read()) == expected_pcm(TEXT)


async def dripping(port: int, count: int, *lines: str) -> list[asyncio.StreamWriter]:
    """Begin so many uploads that send 22 bytes periodically, and no useful data."""
    writers = []
    for _ in range(count):
        _, writer = await asyncio.open_connection(LOOPBACK, port)
        writer.write(head("Content-Length: 1000000", *lines) + FILE_PART)
        writers.append(writer)
    return writers


async def drip(writers: list[asyncio.StreamWriter]) -> None:
    while True:
        for writer in writers:
            if not writer.is_closing():
                writer.write(b"a" * 22)
        await asyncio.sleep(1)


async def test_uploads_that_drip_do_not_use_up_the_slots_of_others(tmp_path: Path) -> None:
    places = {"MAX_UPLOADS": "12", "MAX_UPLOADS_PER_CALLER": "8", "MAX_CONNECTIONS": "10"}
    async with edge_process(tmp_path, **places) as edge, aiohttp.ClientSession(edge.url) as session:
        writers = await dripping(edge.port, 60)
        task = asyncio.create_task(drip(writers))
        for _ in range(3):
            async with session.post("/synthesize", data=form()) as response:
                assert response.status in (200, 429), await response.text()
                if response.status == 200:
                    assert pcm_of(await response.read()) == expected_pcm(TEXT)
                    break
                assert int(response.headers["Retry-After"]) > 0
        else:
            raise AssertionError("no upload was admitted next to those that drip")
        task.cancel()
        for writer in writers:
            writer.close()


async def test_uploads_over_the_space_for_them_are_refused_until_there_is_space(
    tmp_path: Path,
) -> None:
    limits = {"TEMP_SPACE_BYTES": str(4 * MIB), "UPLOAD_IDLE_TIMEOUT_S": "3"}
    async with edge_process(tmp_path, **limits) as edge, aiohttp.ClientSession(edge.url) as session:
        for content in (VOICE + bytes(3 * MIB), chunked(3 * MIB)):
            body = form(reference_audio=content) if isinstance(content, bytes) else content
            headers = (
                {}
                if isinstance(content, bytes)
                else {"Content-Type": "multipart/form-data; boundary=x"}
            )
            async with session.post("/synthesize", data=body, headers=headers) as response:
                problem = await response.json(content_type="application/problem+json")
                assert (response.status, problem["code"]) == (503, "insufficient_storage")
                assert int(response.headers["Retry-After"]) > 0
        assert edge.temporary_files() == 0
        async with session.post("/synthesize", data=form()) as response:
            assert pcm_of(await response.read()) == expected_pcm(TEXT)


async def chunked(size: int) -> AsyncIterator[bytes]:
    """Yield a body of unknown size."""
    yield FILE_PART
    for block in times(b"a", size):
        yield block


async def test_the_files_of_an_upload_are_removed_before_its_speech_ends(edge: Edge) -> None:
    async with aiohttp.ClientSession(edge.url) as session:
        async with session.post("/stream", data=form(text=" ".join([TEXT] * 8))) as response:
            await response.content.readexactly(44)
            assert edge.temporary_files() == 0
            assert len(await response.read()) > 100_000
