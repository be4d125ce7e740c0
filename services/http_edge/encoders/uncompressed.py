"""Formats whose body contains the PCM itself: WAV, and PCM without a header."""

from typing import ClassVar

from services.common.audio.wav import HEADER_BYTES, wav_header
from services.http_edge.encoders.tags import Tags


class WavEncoder:
    """RIFF WAVE: a header, the PCM itself, then the tags.

    The tags are after the audio, as many programs take byte 44 for its beginning. A stream has none: it does not know
    where its audio ends.
    """

    content_type: ClassVar[str] = "audio/wav"
    header_bytes: ClassVar[int | None] = HEADER_BYTES
    in_thread: ClassVar[bool] = False

    def __init__(self, tags: Tags | None = None, *, after: bytes = b"") -> None:
        """`after`: whole chunks, behind the tags."""
        self._tags = tags
        self._after = after
        self._trailer = b""

    @property
    def trailer_bytes(self) -> int:
        """Return the size of what is after the audio."""
        return len(self._trailer)

    @property
    def tagged(self) -> bool:
        """Return whether the body has the tags."""
        return self._tags is not None and bool(self._trailer)

    def header(self, sample_rate_hz: int, data_bytes: int | None) -> bytes:
        """Return the RIFF header. `data_bytes`: size of all PCM; None writes the greatest size."""
        if data_bytes is not None:
            tags = b"" if self._tags is None else self._tags.riff_chunk()
            self._trailer = tags + self._after
        return wav_header(
            sample_rate_hz=sample_rate_hz, data_bytes=data_bytes, after_bytes=len(self._trailer)
        )

    def encode(self, pcm: bytes) -> bytes:
        """Return the PCM."""
        return pcm

    def end(self) -> bytes:
        """Return what is after the audio."""
        return self._trailer


class PcmEncoder:
    """The PCM itself, without a header: mono, 16-bit little-endian, at the rate of `X-Sample-Rate`."""

    content_type: ClassVar[str] = "audio/pcm"
    header_bytes: ClassVar[int | None] = 0
    trailer_bytes: ClassVar[int] = 0
    tagged: ClassVar[bool] = False
    in_thread: ClassVar[bool] = False

    def __init__(self, tags: Tags | None = None) -> None:
        """Ignore the tags: there is no place for them."""

    def header(self, sample_rate_hz: int, data_bytes: int | None) -> bytes:  # noqa: ARG002  # the protocol's
        """Return nothing."""
        return b""

    def encode(self, pcm: bytes) -> bytes:
        """Return the PCM."""
        return pcm

    def end(self) -> bytes:
        """Return nothing."""
        return b""
