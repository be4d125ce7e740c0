"""Output formats: one class per format turns PCM into the body of a response. `ENCODERS` lists them."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import ClassVar, Final, Protocol

from services.common.audio.wav import HEADER_BYTES, wav_header


class Encoder(Protocol):
    """Encodes the audio of one response, from mono 16-bit little-endian PCM. One instance per response."""

    content_type: ClassVar[str]
    # Size of the header; None if a byte offset of the body does not determine a sample.
    header_bytes: ClassVar[int | None]

    def header(self, sample_rate_hz: int, data_bytes: int | None) -> bytes:
        """Return the bytes before the audio. `data_bytes`: size of all PCM, None if unknown."""

    def encode(self, pcm: bytes) -> bytes:
        """Return the encoded bytes that are complete so far; may be empty."""

    def end(self) -> bytes:
        """Return the remaining encoded bytes."""


class WavEncoder:
    """RIFF WAVE: a header, then the PCM itself."""

    content_type: ClassVar[str] = "audio/wav"
    header_bytes: ClassVar[int | None] = HEADER_BYTES

    def header(self, sample_rate_hz: int, data_bytes: int | None) -> bytes:
        """Return the RIFF header. `data_bytes`: size of all PCM; None writes the maximum size."""
        return wav_header(sample_rate_hz=sample_rate_hz, data_bytes=data_bytes)

    def encode(self, pcm: bytes) -> bytes:
        """Return the PCM."""
        return pcm

    def end(self) -> bytes:
        """Return nothing."""
        return b""


ENCODERS: Final[Mapping[str, Callable[[], Encoder]]] = MappingProxyType({"wav": WavEncoder})
