"""The messages of a decoder process, each JSON in a frame. An answer's WAV follows it."""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

FORMATS: Final = "WAV, FLAC, MP3, OGG, WebM or M4A"
INSPECTED_S: Final = 120.0  # of a recording that is looked up
MOST_WAV_BYTES: Final = 6_000_000  # 30 s take 1.44 million, INSPECTED_S 5.76
MOST_ANSWER_BYTES: Final = MOST_WAV_BYTES + 64_000
MOST_REPORT_BYTES: Final = 64_000  # of a `Ready` or an `Ended`

Warned = Annotated[str, Meta(pattern=r"^[ -~]{1,200}\Z")]  # it becomes a response header


# what to make of a file: a reference clip, or its watermark and all of its audio up to INSPECTED_S
Task = Literal["reference", "inspection"]


class FoundWatermark(Struct, frozen=True, kw_only=True):
    """The detector's result for a recording (common/audio/watermark)."""

    marked: bool
    log10_false_alarm: Annotated[float, Meta(ge=-1e6, le=0)]
    marked_s: Annotated[float, Meta(ge=0, le=INSPECTED_S)]


class Ready(Struct, frozen=True, kw_only=True):
    """The process is warmed up, and decodes files under these layers of confinement."""

    layers: tuple[str, ...]


class DecodeResult(Struct, frozen=True, kw_only=True):
    """The result of one file.

    The next frame holds an `DecodeAnswer`, a line feed, and the answer's WAV.
    """

    status: int  # 0, 70 for a bug, or the negative signal that killed it
    processor_s: float
    peak_bytes: int
    overrun: bool = False  # it was killed at its time limit


class DecodeAnswer(Struct, frozen=True, kw_only=True):
    """A refusal or a clip.

    It comes from a process that read untrusted bytes, so it is validated like them.
    """

    # the reason, and what to send instead
    refusal: Annotated[str, Meta(max_length=1_000)] | None = None
    # a traceback: the decoder has a bug
    fault: Annotated[str, Meta(max_length=4_000)] | None = None
    wav_bytes: Annotated[int, Meta(ge=0, le=MOST_WAV_BYTES)] = 0
    seconds: Annotated[float, Meta(ge=0, le=INSPECTED_S)] = 0.0
    warnings: Annotated[tuple[Warned, ...], Meta(max_length=8)] = ()
    watermark: FoundWatermark | None = None  # of an inspection
    cut: bool = False  # whether an inspected recording is longer than its audio here
