"""Audio as a client receives it: formats, WAV headers, and the value of `speak`."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from voice_cloning_client.errors import InvalidInput

WAV_HEADER_BYTES: Final = 44
_RIFF_MAX: Final = 0xFFFFFFFF
_SIZE_AT: Final = 4  # offset of the RIFF chunk's size
_DATA_SIZE_AT: Final = 40


@dataclass(frozen=True)
class Format:
    """An output format of the service."""

    name: str  # `response_format`
    extensions: tuple[str, ...]
    exact_bytes: bool = False  # its bytes correspond to samples, so it can be resumed at any byte


FORMATS: Final[Mapping[str, Format]] = {
    format_.name: format_
    for format_ in (
        Format("wav", (".wav", ".wave"), exact_bytes=True),
        Format("mp3", (".mp3",)),
        Format("opus", (".ogg", ".opus", ".oga")),
        Format("aac", (".aac",)),
        Format("flac", (".flac",)),
        Format("pcm", (".pcm", ".raw"), exact_bytes=True),
        Format("mulaw", (".ulaw", ".mulaw", ".ul")),
        Format("alaw", (".alaw", ".al")),
    )
}


def format_named(name: str) -> Format:
    """Return a format by its name. Raises InvalidInput."""
    found = FORMATS.get(name.lower())
    if found is None:
        raise InvalidInput(f"format {name!r} is unknown; send one of {', '.join(FORMATS)}")
    return found


def format_of_file(path: str | Path) -> Format:
    """Return the format that a file name's extension stands for. Raises InvalidInput."""
    extension = Path(path).suffix.lower()

    for format_ in FORMATS.values():
        if extension in format_.extensions:
            return format_

    known = ", ".join(format_.extensions[0] for format_ in FORMATS.values())
    raise InvalidInput(
        f"the extension {extension!r} of the output file is unknown; use one of {known}, "
        "or set the format"
    )


def wav_header(sample_rate_hz: int, data_bytes: int | None) -> bytes:
    """Return the header of mono 16-bit PCM; `data_bytes` is None for a stream of unknown length."""
    data = _RIFF_MAX if data_bytes is None else min(data_bytes, _RIFF_MAX - 36)
    riff = _RIFF_MAX if data_bytes is None else 36 + data
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", riff, b"WAVE", b"fmt ", 16, 1, 1, sample_rate_hz),
        *(2 * sample_rate_hz, 2, 16, b"data", data),
    )


def wav_sizes(header: bytes, total_bytes: int) -> list[tuple[int, bytes]]:
    """Return what has to be overwritten in a streamed WAV of this size: offsets and bytes.

    `header`: the first 44 bytes. Empty if they are not the header of a WAV with one data chunk of unknown size.
    """
    if header[:4] != b"RIFF" or header[36:44] != b"data" + struct.pack("<I", _RIFF_MAX):
        return []

    data = min(total_bytes - WAV_HEADER_BYTES, _RIFF_MAX - 36)
    return [
        (_SIZE_AT, struct.pack("<I", 36 + data)),
        (_DATA_SIZE_AT, struct.pack("<I", data)),
    ]


def with_wav_sizes(wav: bytes) -> bytes:
    """Return a streamed WAV with its actual sizes in the header."""
    sized = bytearray(wav)
    for offset, content in wav_sizes(wav[:WAV_HEADER_BYTES], len(wav)):
        sized[offset : offset + len(content)] = content
    return bytes(sized)


@dataclass(frozen=True)
class AudioInfo:
    """Properties of the audio of a response; empty or None if the service does not send them."""

    request_id: str = ""
    sample_rate_hz: int | None = None
    seed: int | None = None
    language: str = ""
    engine: str = ""
    voice: str = ""
    warnings: str = ""  # quality problems of the reference audio
    left_out: str = ""  # letters of the text that are not spoken


@dataclass(frozen=True)
class Audio:
    """Complete audio. `bytes(audio)` and `audio.data` are its content."""

    data: bytes = field(repr=False)
    format: str
    info: AudioInfo

    def __bytes__(self) -> bytes:
        return self.data

    def save(self, path: str | Path) -> None:
        """Write it to a file."""
        Path(path).write_bytes(self.data)
