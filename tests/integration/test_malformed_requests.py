"""Requests that the HTTP parser refuses get the same kind of answer as all others."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.security.edge_process import edge_process

HEADS = {
    "an unknown method": (b"FOO / HTTP/1.1\r\nHost: localhost\r\n\r\n", "no known method"),
    "no method": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "no known method"),
    "an odd version": (b"GET / HTTP/9.x\r\n\r\n", "malformed"),
    "a header without a colon": (b"GET / HTTP/1.1\r\nHost\r\n\r\n", "malformed"),
    "two lengths": (
        b"POST /stream HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "malformed",
    ),
    "a long header": (b"GET / HTTP/1.1\r\nA: " + b"a" * 20_000 + b"\r\n\r\n", "too long"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("edge")


async def exchanged(port: int, head: bytes) -> bytes:
    """Send these bytes, and return the response up to the end of the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(head)
        return await asyncio.wait_for(reader.read(), 20)
    finally:
        writer.close()


async def test_a_request_that_cannot_be_parsed_gets_a_problem_with_an_id(folder: Path) -> None:
    async with edge_process(folder) as edge:
        for name, (head, reason) in HEADS.items():
            answer = await exchanged(edge.port, head)
            lines, _, body = answer.partition(b"\r\n\r\n")
            status, *fields = lines.decode().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in fields)
            content = json.loads(body)
            assert status.split()[1] == "400", name
            assert headers["content-type"] == "application/problem+json", name
            assert headers["server"] == "voice-cloning-pipeline", name
            assert headers["x-request-id"] == headers["request-name"] == content["request_id"], name
            assert content["code"] == "bad_request", name
            assert reason in content["detail"], (name, content["detail"])
