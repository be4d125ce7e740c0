"""Audio books: MP3 with chapters in an ID3 tag, and M4B (AAC in MP4 with chapters)."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import IO, ClassVar, Final, NamedTuple

import av

from services.http_edge.encoders.ffmpeg import FfmpegEncoder, Mp3Encoder
from services.http_edge.encoders.id3 import frame, text_frame
from services.http_edge.encoders.tags import Tags

GENRE: Final = "Audiobook"
M4B_BIT_RATE: Final = 64_000
_MOST_CHILDREN: Final = 255  # of a table of contents
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


def book_frames(book: Book) -> list[bytes]:
    """Return the frames of an ID3v2.3 tag with title and chapters (https://id3.org/id3v2-chapters-1.0)."""
    frames = [text_frame("TCON", GENRE)]
    if book.title is not None:
        frames.insert(0, text_frame("TIT2", book.title))
    return frames + _chapter_frames(book.chapters)


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
    return frame("CTOC", name + b"\x00" + bytes((flags, len(children))) + listed)


def _chapter(name: bytes, chapter: BookChapter) -> bytes:
    times = struct.pack(">4I", chapter.first_ms, chapter.end_ms, _NO_OFFSET, _NO_OFFSET)
    return frame("CHAP", name + b"\x00" + times + text_frame("TIT2", chapter.title))


class BookMp3Encoder(Mp3Encoder):
    """MP3 with title and chapters."""

    def __init__(self, book: Book, tags: Tags | None = None) -> None:
        super().__init__(tags)
        self._book = book

    def _frames(self) -> list[bytes]:
        return book_frames(self._book) + super()._frames()


class M4bEncoder(FfmpegEncoder):
    """AAC-LC in MP4 with chapters, written to a file: its index, at the end, is known last."""

    content_type: ClassVar[str] = "audio/mp4"
    container: ClassVar[str] = "ipod"
    codec: ClassVar[str] = "aac"
    bit_rate: ClassVar[int] = M4B_BIT_RATE
    low_rate_bit_rate: ClassVar[int] = 48_000
    container_options: ClassVar[dict[str, str]] = {"brand": "M4B "}
    can_be_tagged: ClassVar[bool] = True

    def __init__(self, book: Book, file: IO[bytes], tags: Tags | None = None) -> None:
        """`file`: that it is written to, from its beginning."""
        super().__init__(tags)
        self._book = book
        self._file = file

    def _target(self) -> IO[bytes]:
        return self._file

    def _metadata(self, tags: Tags) -> dict[str, str]:
        return tags.mp4_items()

    def _opened(self, container: av.container.OutputContainer) -> None:
        super()._opened(container)
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
