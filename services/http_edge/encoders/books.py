"""Audio books: MP3 with chapters in an ID3 tag, and M4B (AAC in MP4 with chapters)."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import IO, ClassVar, Final, NamedTuple

import av

from services.http_edge.encoders.ffmpeg import FfmpegEncoder, Mp3Encoder

GENRE: Final = "Audiobook"
M4B_BIT_RATE: Final = 64_000
_MOST_CHILDREN: Final = 255  # of a table of contents
_UTF_16: Final = b"\x01"  # with a byte order mark
_NO_OFFSET: Final = 0xFFFFFFFF
_TOP_LEVEL: Final = 0b10
_ORDERED: Final = 0b01


class BookChapter(NamedTuple):
    """A chapter of a book."""

    title: str
    first_ms: int
    end_ms: int


@dataclass(frozen=True)
class Book:
    """The title and chapters of a book."""

    title: str | None
    chapters: Sequence[BookChapter]


def id3_tag(book: Book) -> bytes:
    """Return an ID3v2.3 tag with chapters (https://id3.org/id3v2-chapters-1.0); mutagen, which writes them, is GPL."""
    frames = [_text("TCON", GENRE)]
    if book.title is not None:
        frames.insert(0, _text("TIT2", book.title))
    frames += _chapter_frames(book.chapters)
    content = b"".join(frames)
    return b"ID3\x03\x00\x00" + _syncsafe(len(content)) + content


def _chapter_frames(chapters: Sequence[BookChapter]) -> list[bytes]:
    """Return the frames of chapters, with a table of contents, divided if it is longer than one can be."""
    names = [f"ch{index}".encode() for index in range(len(chapters))]
    begins = range(0, len(names), _MOST_CHILDREN)
    parts = [names[begin : begin + _MOST_CHILDREN] for begin in begins]
    if not parts:
        return []

    frames = []
    if len(parts) == 1:
        frames.append(_contents(b"toc", _TOP_LEVEL | _ORDERED, parts[0]))
    else:
        children = [f"toc{index}".encode() for index in range(len(parts))]
        frames.append(_contents(b"toc", _TOP_LEVEL | _ORDERED, children))
        frames += [
            _contents(name, _ORDERED, part) for name, part in zip(children, parts, strict=True)
        ]
    frames += [_chapter(name, chapter) for name, chapter in zip(names, chapters, strict=True)]
    return frames


def _contents(name: bytes, flags: int, children: Sequence[bytes]) -> bytes:
    listed = b"".join(child + b"\x00" for child in children)
    return _frame("CTOC", name + b"\x00" + bytes((flags, len(children))) + listed)


def _chapter(name: bytes, chapter: BookChapter) -> bytes:
    times = struct.pack(">4I", chapter.first_ms, chapter.end_ms, _NO_OFFSET, _NO_OFFSET)
    return _frame("CHAP", name + b"\x00" + times + _text("TIT2", chapter.title))


def _text(frame: str, text: str) -> bytes:
    return _frame(frame, _UTF_16 + text.encode("utf-16"))


def _frame(name: str, content: bytes) -> bytes:
    return name.encode() + struct.pack(">IH", len(content), 0) + content


def _syncsafe(size: int) -> bytes:
    """Return a size with seven bits in each of four bytes."""
    return bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))


class BookMp3Encoder(Mp3Encoder):
    """MP3 that begins with the tag of a book."""

    def __init__(self, book: Book) -> None:
        super().__init__()
        self._book = book

    def header(self, sample_rate_hz: int, data_bytes: int | None) -> bytes:
        """Return the tag."""
        return id3_tag(self._book) + super().header(sample_rate_hz, data_bytes)


class M4bEncoder(FfmpegEncoder):
    """AAC-LC in MP4 with chapters, written to a file: its index, at the end, is known last."""

    content_type: ClassVar[str] = "audio/mp4"
    container: ClassVar[str] = "ipod"
    codec: ClassVar[str] = "aac"
    bit_rate: ClassVar[int] = M4B_BIT_RATE
    low_rate_bit_rate: ClassVar[int] = 48_000
    container_options: ClassVar[dict[str, str]] = {"brand": "M4B "}

    def __init__(self, book: Book, file: IO[bytes]) -> None:
        """`file`: that it is written to, from its beginning."""
        super().__init__()
        self._book = book
        self._file = file

    def _target(self) -> IO[bytes]:
        return self._file

    def _opened(self, container: av.container.OutputContainer) -> None:
        container.metadata["genre"] = GENRE
        if self._book.title is not None:
            container.metadata["title"] = self._book.title
        container.set_chapters(
            [
                {
                    "id": index,
                    "start": chapter.first_ms,
                    "end": chapter.end_ms,
                    "time_base": Fraction(1, 1000),
                    "metadata": {"title": chapter.title},
                }
                for index, chapter in enumerate(self._book.chapters)
            ]
        )
