"""The protocol of output formats."""

from typing import Protocol


class Encoder(Protocol):
    """Encodes the audio of one response, from mono 16-bit little-endian PCM. One instance per response."""

    @property
    def content_type(self) -> str: ...

    @property
    def header_bytes(self) -> int | None:
        """Return the size of the header; None if a byte offset of the body does not determine a sample."""

    @property
    def trailer_bytes(self) -> int:
        """Return the size of what `end` returns, of a body of known size; valid after `header`."""

    @property
    def tagged(self) -> bool:
        """Return whether the body has metadata that mark it as synthetic; valid after `header`."""

    @property
    def in_thread(self) -> bool:
        """Return whether `encode` and `end` compute for so long that they must run on a thread."""

    def header(self, sample_rate_hz: int, data_bytes: int | None) -> bytes:
        """Return the bytes before the audio. Called once, first.

        `sample_rate_hz`: of the PCM. `data_bytes`: size of all PCM; None if unknown.
        """

    def encode(self, pcm: bytes) -> bytes:
        """Return the encoded bytes that are complete so far; may be empty."""

    def end(self) -> bytes:
        """Return the remaining encoded bytes. Called once, last."""
