"""ID3v2.3, the metadata of MP3 (https://id3.org/id3v2.3.0); mutagen, which writes it, is GPL."""

import struct
from collections.abc import Sequence
from typing import Final

from services.http_edge.encoders.tags import SOURCE_TYPE, SOURCE_TYPE_NAME, Tags

_UTF_16: Final = b"\x01"  # with a byte order mark
_LANGUAGE: Final = b"eng"  # of the comment


def id3_tag(frames: Sequence[bytes]) -> bytes:
    """Return a tag with these frames."""
    content = b"".join(frames)
    return b"ID3\x03\x00\x00" + _syncsafe(len(content)) + content


def frames_of(tags: Tags | None) -> list[bytes]:
    """Return the frames that say what made the audio: a comment, the encoder, and the source type."""
    if tags is None:
        return []
    return [
        frame("COMM", _UTF_16 + _LANGUAGE + _utf_16("") + b"\x00\x00" + _utf_16(tags.comment)),
        text_frame("TENC", tags.software),
        frame("TXXX", _UTF_16 + _utf_16(SOURCE_TYPE_NAME) + b"\x00\x00" + _utf_16(SOURCE_TYPE)),
    ]


def text_frame(name: str, text: str) -> bytes:
    """Return a frame with a text."""
    return frame(name, _UTF_16 + _utf_16(text))


def frame(name: str, content: bytes) -> bytes:
    """Return a frame."""
    return name.encode() + struct.pack(">IH", len(content), 0) + content


def _utf_16(text: str) -> bytes:
    return text.encode("utf-16")


def _syncsafe(size: int) -> bytes:
    """Return a size with seven bits in each of four bytes."""
    return bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
