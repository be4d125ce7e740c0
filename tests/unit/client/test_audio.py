"""Formats by name and extension, and WAV headers whose sizes are filled in."""

import io
import wave
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.audio import wav as service_wav
from services.http_edge.encoders.registry import FORMATS as SERVICE_FORMATS
from voice_cloning_client import FORMATS, InvalidInput
from voice_cloning_client.audio import format_named, format_of_file, wav_header, with_wav_sizes
from voice_cloning_client.files import NewFile


def test_the_client_has_the_formats_of_the_service() -> None:
    assert set(FORMATS) == set(SERVICE_FORMATS)
    for name, format_ in SERVICE_FORMATS.items():
        assert FORMATS[name].exact_bytes == (format_.header_bytes is not None), name


def test_a_format_is_chosen_by_the_extension() -> None:
    assert format_of_file("a/b.MP3").name == "mp3"
    assert format_of_file(Path("x.ogg")).name == "opus"
    for name in ("x", "x.doc", ".wav", "x.wav.part"):
        with pytest.raises(InvalidInput, match="use one of"):
            format_of_file(name)
    with pytest.raises(InvalidInput, match="send one of"):
        format_named("mp4")


@pytest.mark.parametrize("size", [0, 2, 1_000_001, None])
def test_headers_are_those_of_the_service(size: int | None) -> None:
    assert wav_header(24_000, size) == service_wav.wav_header(
        sample_rate_hz=24_000, data_bytes=size
    )


@given(st.binary(max_size=200).filter(lambda pcm: len(pcm) % 2 == 0))
def test_a_streamed_wav_gets_its_sizes_in_memory_and_in_a_file(pcm: bytes) -> None:
    sized = with_wav_sizes(wav_header(24_000, None) + pcm)
    assert sized == wav_header(24_000, len(pcm)) + pcm
    with wave.open(io.BytesIO(sized)) as read:
        assert read.readframes(1000) == pcm


def test_a_file_that_is_no_wav_is_not_changed() -> None:
    for content in (b"", b"RIFF", b"x" * 100):
        assert with_wav_sizes(content) == content


def test_a_file_has_its_name_only_when_it_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "a.wav"
    target.write_bytes(b"old")

    with NewFile(target) as file:
        file.write(b"new")
    assert target.read_bytes() == b"old"

    with NewFile(target) as file:
        file.write(wav_header(24_000, None) + b"\1\2")
        file.set_wav_sizes()
        file.keep()
    assert target.read_bytes() == wav_header(24_000, 2) + b"\1\2"
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]
    assert target.stat().st_mode & 0o444 != 0

    with pytest.raises(InvalidInput, match="is a folder"):
        NewFile(tmp_path)
    with NewFile("/dev/null") as file:
        file.write(b"anything")
        file.set_wav_sizes()
        file.keep()
