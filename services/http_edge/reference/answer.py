"""What a decoder process says about a file: one line of JSON, and then as many bytes of WAV as it names."""

from typing import Annotated, Final

from msgspec import Meta, Struct

FORMATS: Final = "WAV, FLAC, MP3, OGG, WebM or M4A"


class Answer(Struct, frozen=True, kw_only=True):
    """A refusal, or a clip."""

    refusal: str | None = None  # why not, and what to send instead
    wav_bytes: Annotated[int, Meta(ge=0, le=2_000_000)] = 0  # 30 s have 1.44 million
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()
