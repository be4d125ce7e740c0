"""Frames on a stream between two processes: 4 bytes of length, little-endian, then the payload."""

from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:  # 50 ms of import, in processes that have no event loop
    import asyncio

LENGTH_BYTES: Final = 4
MAX_FRAME_BYTES: Final = 2 ** (8 * LENGTH_BYTES) - 1


def frame(payload: bytes) -> bytes:
    """Return the payload with its length in front. Raises OverflowError over `MAX_FRAME_BYTES`."""
    return len(payload).to_bytes(LENGTH_BYTES, "little") + payload


async def receive_frame(
    reader: "asyncio.StreamReader", *, max_bytes: int = MAX_FRAME_BYTES
) -> bytes:
    """Return the payload of the next frame.

    Raises EOFError if the stream ends before the frame does, ValueError for a frame over
    `max_bytes`.
    """
    try:
        length = _length(await reader.readexactly(LENGTH_BYTES), max_bytes)
        return await reader.readexactly(length)
    except ConnectionError as error:
        raise EOFError from error


def read_frame(file: BinaryIO, *, max_bytes: int = MAX_FRAME_BYTES) -> bytes | None:
    """Return the payload of the next frame of a blocking stream; None at the end of the stream.

    Raises EOFError if the stream ends inside a frame, ValueError for a frame over `max_bytes`.
    """
    header = file.read(LENGTH_BYTES)
    if not header:
        return None

    if len(header) < LENGTH_BYTES:
        raise EOFError
    length = _length(header, max_bytes)

    payload = file.read(length)
    if len(payload) < length:
        raise EOFError
    return payload


def write_frame(file: BinaryIO, payload: bytes) -> None:
    """Write a frame to a blocking stream and flush it."""
    file.write(frame(payload))
    file.flush()


def _length(header: bytes, max_bytes: int) -> int:
    length = int.from_bytes(header, "little")
    if length > max_bytes:
        raise ValueError(f"a frame of {length} bytes exceeds the limit of {max_bytes}")
    return length
