"""Multipart forms, split into blocks of every size, and forms with more framing than content."""

import asyncio
from collections.abc import Sequence

import aiohttp
import pytest
from aiohttp import web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.streams import StreamReader
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from services.http_edge.errors import BadRequest, UnsupportedEncoding
from services.http_edge.transport.multipart import FormPart, MultipartBody

NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters='\r\n"\\\0', exclude_categories=["Cc"]),
    max_size=20,
)
CONTENTS = st.lists(
    st.sampled_from([b"\r\n", b"--", b"--x", b"x", b"\r", b"\n", b"-", b"\0"]), max_size=30
).map(b"".join)
LINE = b"\r\n"


def request_of(blocks: Sequence[bytes], boundary: str = "x") -> web.Request:
    loop = asyncio.get_running_loop()
    content = StreamReader(BaseProtocol(loop), 2**26, loop=loop)
    for block in blocks:
        content.feed_data(block)
    content.feed_eof()
    kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    return make_mocked_request("POST", "/synthesize", headers=kind, payload=content)


async def read(blocks: Sequence[bytes], boundary: str = "x") -> list[tuple[str, bytes]]:
    body = MultipartBody(
        request_of(blocks, boundary), turn=asyncio.Lock(), idle_s=5, received=lambda _count: None
    )
    parts: list[tuple[str, bytes]] = []
    while (found := await body.next()) is not None:
        if isinstance(found, FormPart):
            parts.append((found.name, b""))
        else:
            parts[-1] = (parts[-1][0], parts[-1][1] + found)
    return parts


def form(parts: Sequence[tuple[str, bytes]], boundary: str) -> bytes:
    written = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode()
        + content
        + LINE
        for name, content in parts
    ]
    return b"".join(written) + f"--{boundary}--\r\n".encode()


def part(*lines: str) -> bytes:
    head = "".join(
        f"{line}\r\n" for line in ("--x", 'Content-Disposition: form-data; name="text"', *lines)
    )
    return head.encode() + b"\r\nhello\r\n--x--\r\n"


@given(parts=st.lists(st.tuples(NAMES, CONTENTS), min_size=1, max_size=8), size=st.integers(1, 80))
def test_a_form_is_parsed_the_same_for_any_block_size(
    parts: list[tuple[str, bytes]], size: int
) -> None:
    boundary = "----a-boundary-that-is-in-no-content"
    whole = form(parts, boundary)
    blocks = [whole[at : at + size] for at in range(0, len(whole), size)]
    assert asyncio.run(read(blocks, boundary)) == parts


@pytest.mark.parametrize(
    "content", [b"", b"a", b"a" * 100_000, b"\r\n" * 50_000, b"\r\n--" * 40_000]
)
async def test_a_form_of_the_aiohttp_client_is_parsed(content: bytes) -> None:
    made = aiohttp.FormData()
    made.add_field("reference_audio", content, filename="\u00e9t\u00e9.wav")
    payload = made()
    written = bytearray()

    class Sink:
        async def write(self, block: bytes) -> None:
            written.extend(block)

    await payload.write(Sink())  # type: ignore[arg-type]
    boundary = payload.headers["Content-Type"].partition("boundary=")[2]
    assert await read([bytes(written)], boundary) == [("reference_audio", content)]


BROKEN = {
    "no boundary at all": b"a text",
    "a preamble": b"a text\r\n" + part(),
    "newlines without end": b"\r\n" * 1000 + part(),
    "an epilogue": part() + b"a" * 40_000,
    "no last boundary": part().removesuffix(b"--\r\n"),
    "nothing": b"",
    "more than 64 parts": b"--x\r\nA: b\r\n\r\n\r\n" * 65 + b"--x--\r\n",
    "more than 8 headers": part(*(f"X-{number}: a" for number in range(8))),
    "a long header": part("X: " + "a" * 3000),
    "a long name of a header": part("X" * 3000 + ": a"),
    "a header without a colon": part("nonsense"),
    "a multipart part": part("Content-Type: multipart/mixed; boundary=y"),
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.parametrize("size", [7, 100_000])
async def test_an_invalid_form_or_one_with_little_content_is_refused(
    content: bytes, size: int
) -> None:
    if content.startswith(b"\r\n"):
        content = content.replace(b"\r\n--x", b"\r\n" * 10_000 + b"\r\n--x", 1)
    with pytest.raises(BadRequest):
        await read([content[at : at + size] for at in range(0, len(content), size)])


@pytest.mark.parametrize("line", ["Content-Encoding: gzip", "content-transfer-encoding: BASE64"])
async def test_an_encoded_part_is_refused(line: str) -> None:
    with pytest.raises(UnsupportedEncoding):
        await read([part(line)])


@pytest.mark.parametrize(
    "line", ["Content-Transfer-Encoding: binary", "Content-Transfer-Encoding: 8bit"]
)
async def test_a_part_can_declare_that_it_is_not_encoded(line: str) -> None:
    assert await read([part(line)]) == [("text", b"hello")]


@pytest.mark.parametrize("boundary", ["", "b" * 71, "\u00e9"])
async def test_a_boundary_has_1_to_70_ascii_characters(boundary: str) -> None:
    with pytest.raises(BadRequest):
        await read([b""], boundary)


async def test_the_event_loop_runs_between_blocks_of_a_buffered_body() -> None:
    turns = 0
    over = False

    async def count() -> None:
        nonlocal turns
        while not over:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    await asyncio.sleep(0)
    await read([form([("text", b"a" * 2**20)], "x")])
    over = True
    await counting
    assert turns >= 2**20 // (16 * 1024)
