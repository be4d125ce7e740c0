"""Frames: what is written is read back, and an incomplete or oversized frame is an error."""

import asyncio
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.runtime.child.framing import (
    LENGTH_BYTES,
    frame,
    read_frame,
    receive_frame,
    write_frame,
)


def stream(content: bytes) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    reader.feed_data(content)
    reader.feed_eof()
    return reader


@given(st.lists(st.binary()))
def test_frames_are_read_back_in_order(payloads: list[bytes]) -> None:
    file = io.BytesIO()
    for payload in payloads:
        write_frame(file, payload)
    file.seek(0)
    assert [read_frame(file) for _ in payloads] == payloads
    assert read_frame(file) is None


async def test_frames_are_received_in_order() -> None:
    reader = stream(frame(b"one") + frame(b"") + frame(b"x" * 100_000))
    assert [len(await receive_frame(reader)) for _ in range(3)] == [3, 0, 100_000]
    with pytest.raises(EOFError):
        await receive_frame(reader)


@pytest.mark.parametrize("length", range(1, LENGTH_BYTES + 3))
async def test_an_incomplete_frame_is_an_error(length: int) -> None:
    content = frame(b"abc")[:length]
    with pytest.raises(EOFError):
        read_frame(io.BytesIO(content))
    with pytest.raises(EOFError):
        await receive_frame(stream(content))


async def test_a_frame_over_the_limit_is_refused_before_it_is_read() -> None:
    content = frame(b"abcd")[:LENGTH_BYTES]
    with pytest.raises(ValueError, match="exceeds the limit of 3"):
        read_frame(io.BytesIO(content), max_bytes=3)
    with pytest.raises(ValueError, match="exceeds the limit of 3"):
        await receive_frame(stream(content), max_bytes=3)
