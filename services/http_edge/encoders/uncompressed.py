"""Formats whose body contains the PCM itself: WAV, and PCM without a header."""

from typing import ClassVar

from services.common.audio.wav import HEADER_BYTES, wav_header


class WavEncoder:
    """RIFF WAVE: a header, then the PCM itself."""

    content_type: ClassVar[str] = "audio/wav"
    header_bytes: ClassVar[int | None] = HEADER_BYTES
    in_thread: ClassVar[bool] = False

    def header(self, sample_rate_hz: int, data_bytes: int | None) -> bytes:
        """Return the RIFF header. `data_bytes`: size of all PCM; None writes the greatest size."""
        return wav_header(sample_rate_hz=sample_rate_hz, data_bytes=data_bytes)

    def encode(self, pcm: bytes) -> bytes:
        """Return the PCM."""
        return pcm

    def end(self) -> bytes:
        """Return nothing."""
        return b""


class PcmEncoder:
    """The PCM itself, without a header: mono, 16-bit little-endian, at the rate of `X-Sample-Rate`."""

    content_type: ClassVar[str] = "audio/pcm"
    header_bytes: ClassVar[int | None] = 0
    in_thread: ClassVar[bool] = False

    def header(self, sample_rate_hz: int, data_bytes: int | None) -> bytes:  # noqa: ARG002  # the protocol's
        """Return nothing."""
        return b""

    def encode(self, pcm: bytes) -> bytes:
        """Return the PCM."""
        return pcm

    def end(self) -> bytes:
        """Return nothing."""
        return b""
