"""Audio books as a player reads them: with FFmpeg, title, chapters and the length of the audio."""

import io
import struct
import tempfile
from collections.abc import Callable

import av
import numpy as np
import pytest

from services.http_edge.encoders.books import (
    Book,
    BookChapter,
    BookMp3Encoder,
    M4bEncoder,
    book_frames,
)
from services.http_edge.encoders.id3 import id3_tag
from services.http_edge.encoders.tags import Tags

RATE_HZ = 24_000
TITLE = "Ἰλιάς; “one” = 爱丽丝"
CHAPTERS = [BookChapter("Ⅰ. Début", 0, 1_500), BookChapter("二; #two", 1_500, 3_000)]
BOOK = Book(TITLE, CHAPTERS)
PCM = (
    (np.sin(np.arange(3 * RATE_HZ) * 0.05) * 8_000 * np.linspace(0.2, 1, 3 * RATE_HZ))
    .astype("<i2")
    .tobytes()
)


def m4b(book: Book) -> bytes:
    with tempfile.TemporaryFile() as file:
        encoder = M4bEncoder(book, file)
        assert encoder.header(RATE_HZ, None) == b""
        for begin in range(0, len(PCM), 10_001):
            assert encoder.encode(PCM[begin : begin + 10_001]) == b""
        assert encoder.end() == b""
        file.seek(0)
        return file.read()


def mp3(book: Book) -> bytes:
    encoder = BookMp3Encoder(book)
    return encoder.header(RATE_HZ, None) + encoder.encode(PCM) + encoder.end()


def chapters_of(content: bytes) -> list[tuple[str, float, float]]:
    with av.open(io.BytesIO(content)) as container:
        return [
            (
                each["metadata"]["title"],
                float(each["start"] * each["time_base"]),
                float(each["end"] * each["time_base"]),
            )
            for each in container.chapters()
        ]


@pytest.mark.parametrize("encode", [m4b, mp3])
def test_a_player_reads_title_chapters_and_all_of_the_audio(
    encode: Callable[[Book], bytes],
) -> None:
    content = encode(BOOK)
    assert chapters_of(content) == [("Ⅰ. Début", 0.0, 1.5), ("二; #two", 1.5, 3.0)]
    with av.open(io.BytesIO(content)) as container:
        assert container.metadata["title"] == TITLE
        samples = sum(frame.samples for frame in container.decode(audio=0))
        assert container.streams.audio[0].rate == RATE_HZ
    assert samples == pytest.approx(3 * RATE_HZ, abs=4_000)


@pytest.mark.parametrize("encode", [m4b, mp3])
def test_a_book_without_title_and_chapters_is_a_plain_file(encode: Callable[[Book], bytes]) -> None:
    content = encode(Book(None, []))
    assert chapters_of(content) == []
    with av.open(io.BytesIO(content)) as container:
        assert "title" not in container.metadata


def test_an_m4b_is_named_so_by_its_brand_and_is_the_same_every_time() -> None:
    assert m4b(BOOK)[4:12] == b"ftypM4B "
    assert m4b(BOOK) == m4b(BOOK)


def test_a_tag_has_more_chapters_than_one_table_of_contents_can_list() -> None:
    many = [BookChapter(f"Chapter {n}", n * 10, n * 10 + 10) for n in range(500)]
    tag = id3_tag(book_frames(Book("Long", many)))
    assert tag.count(b"CTOC") == 3
    assert tag.count(b"CHAP") == 500
    size = struct.unpack(">I", tag[6:10])[0]
    assert all(byte < 0x80 for byte in tag[6:10])
    decoded = sum(((size >> (8 * index)) & 0x7F) << (7 * index) for index in range(4))
    assert decoded == len(tag) - 10
    read = chapters_of(tag + mp3(Book(None, []))[10:])
    assert [title for title, _, _ in read] == [each.title for each in many]


@pytest.mark.parametrize("kind", ["m4b", "mp3"])
def test_a_book_is_marked_as_synthetic_in_its_metadata(kind: str) -> None:
    tags = Tags("a-job", "tone")
    with tempfile.TemporaryFile() as file:
        encoder = M4bEncoder(BOOK, file, tags) if kind == "m4b" else BookMp3Encoder(BOOK, tags)
        content = encoder.header(RATE_HZ, None) + encoder.encode(PCM) + encoder.end()
        file.seek(0)
        content += file.read()
    assert encoder.tagged
    assert chapters_of(content) == [("Ⅰ. Début", 0.0, 1.5), ("二; #two", 1.5, 3.0)]
    with av.open(io.BytesIO(content)) as container:
        found = container.metadata
    assert found["title"] == TITLE
    assert found["comment"] == tags.comment
    assert tags.software in (found.get("encoder"), found.get("encoded_by"))
