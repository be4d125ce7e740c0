"""What a decoder process says about a file: one line of JSON, and then as many bytes of WAV as it names."""

from typing import Final

from msgspec import Struct

FORMATS: Final = "WAV, FLAC, MP3, OGG, WebM or M4A"


class Answer(Struct, frozen=True, kw_only=True):
    """A refusal, or a clip."""

    refusal: str | None = None  # why not, and what to send instead
    wav_bytes: int = 0
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()
