"""RIFF WAVE, mono 16-bit PCM (IBM and Microsoft, Multimedia Programming Interface and Data Specifications, 1991)."""

import io
import struct
import wave
from collections.abc import Mapping
from typing import Final

from services.common.audio.clip import Clip
from services.common.audio.pcm import from_pcm16, to_pcm16

HEADER_BYTES: Final = 44
_UNKNOWN: Final = 0xFFFFFFFF  # the length field of a stream of unknown length


def wav_header(*, sample_rate_hz: int, data_bytes: int | None, after_bytes: int = 0) -> bytes:
    """Return the 44 bytes before mono 16-bit PCM of so many bytes; None for a stream of unknown length.

    `after_bytes`: of the chunks after the PCM, if its length is known.
    """
    riff_bytes = _UNKNOWN if data_bytes is None else data_bytes + after_bytes + HEADER_BYTES - 8
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        riff_bytes,
        b"WAVE",
        b"fmt ",
        16,
        1,  # PCM
        1,  # mono
        sample_rate_hz,
        2 * sample_rate_hz,
        2,
        16,
        b"data",
        _UNKNOWN if data_bytes is None else data_bytes,
    )


def info_chunk(entries: Mapping[str, str]) -> bytes:
    """Return a chunk with metadata, LIST of the kind INFO.

    `entries`: texts by their identifiers of four letters, such as ICMT.
    """
    content = b"INFO" + b"".join(
        _chunk(name.encode(), text.encode() + b"\x00") for name, text in entries.items()
    )
    return _chunk(b"LIST", content)


def with_chunk_after(wav: bytes, chunk: bytes) -> bytes:
    """Return a WAV file with one more chunk at its end."""
    riff_bytes = len(wav) + len(chunk) - 8
    return wav[:4] + struct.pack("<I", riff_bytes) + wav[8:] + chunk


def _chunk(name: bytes, content: bytes) -> bytes:
    """Return a chunk, filled up to an even size."""
    return name + struct.pack("<I", len(content)) + content + b"\x00" * (len(content) % 2)


def write_wav(clip: Clip) -> bytes:
    """Return the clip as a WAV file, mono 16-bit."""
    pcm = to_pcm16(clip.samples)
    return wav_header(sample_rate_hz=clip.sample_rate_hz, data_bytes=len(pcm)) + pcm


def read_wav(content: bytes) -> Clip:
    """Return the clip in a mono 16-bit WAV file. Raises ValueError for anything else."""
    try:
        with wave.open(io.BytesIO(content)) as file:
            if (file.getnchannels(), file.getsampwidth()) != (1, 2):
                raise ValueError("not a mono 16-bit WAV file")
            return Clip(from_pcm16(file.readframes(file.getnframes())), file.getframerate())
    except (wave.Error, EOFError) as error:
        raise ValueError(f"not a WAV file: {error}") from None
