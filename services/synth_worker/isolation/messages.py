"""Messages between the supervisor and the engine process.

Each is MessagePack in a frame (`child.framing`). Both ends are the same release, so nothing is versioned.
"""

import asyncio
from typing import Final, TypeVar

import msgspec
import numpy as np

from services.common.audio.clip import Clip
from services.common.runtime.child import framing
from services.common.wire import failures
from services.common.wire.failures import PipelineError, SynthesisFailed
from services.common.wire.options import Parameters
from services.synth_worker.engines.protocol import EngineDescription, TimedSpan, Utterance
from services.synth_worker.settings import Settings

BROKEN_STATUS: Final = (
    70  # exit status of a process whose engine is broken: EX_SOFTWARE of sysexits.h
)

T = TypeVar("T")


class EngineMessage(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Base class of the messages in both directions."""


class Begin(EngineMessage, frozen=True, kw_only=True):
    """Build the engine."""

    call: int
    settings: Settings


class Load(EngineMessage, frozen=True, kw_only=True):
    """Make the model resident."""

    call: int


class Condition(EngineMessage, frozen=True, kw_only=True):
    """Compute a voice; the result is its bytes."""

    call: int
    clips: tuple[tuple[bytes, int], ...]  # float32 samples, rate in Hz
    parameters: Parameters


class BuiltIn(EngineMessage, frozen=True, kw_only=True):
    """Serialise a built-in voice; the result is its bytes."""

    call: int
    name: str


class Restore(EngineMessage, frozen=True, kw_only=True):
    """Load a serialised voice and store it under a number."""

    call: int
    voice: int
    content: bytes


class Release(EngineMessage, frozen=True, kw_only=True):
    """Release a stored voice."""

    voice: int


class Speak(EngineMessage, frozen=True, kw_only=True):
    """Begin a sentence."""

    sentence: int
    utterance: Utterance
    voice: int
    urgent: bool
    alone: bool = False  # share no step: the sentence is quarantined


class Cancel(EngineMessage, frozen=True, kw_only=True):
    """Stop a sentence before its next step."""

    sentence: int


class Close(EngineMessage, frozen=True, kw_only=True):
    """End the process after the current step."""


class Failure(msgspec.Struct, frozen=True):
    """A PipelineError as it is sent over the socket."""

    code: str
    detail: str
    retryable: bool


class Described(EngineMessage, frozen=True, kw_only=True):
    """Report the engine's changed description."""

    description: EngineDescription


class CallSucceeded(EngineMessage, frozen=True, kw_only=True):
    """Return the result of a call."""

    call: int
    content: bytes = b""


class CallFailed(EngineMessage, frozen=True, kw_only=True):
    """Return the error of a call."""

    call: int
    failure: Failure


class Produced(EngineMessage, frozen=True, kw_only=True):
    """Deliver the next samples of a sentence."""

    sentence: int
    samples: bytes  # float32, mono


class SentenceEnded(EngineMessage, frozen=True, kw_only=True):
    """Report the end of a sentence, with its counters."""

    sentence: int
    busy_s: float
    orphaned_s: float
    redrawn: int
    fault: str = ""
    failure: Failure | None = None
    times: tuple[TimedSpan, ...] = ()


EngineCall = Load | Condition | BuiltIn | Restore  # answered by its number
ToEngine = Begin | EngineCall | Release | Speak | Cancel | Close
FromEngine = Described | CallSucceeded | CallFailed | Produced | SentenceEnded


def frame(message: EngineMessage) -> bytes:
    """Return a message encoded for the socket, with its length in front."""
    return framing.frame(msgspec.msgpack.encode(message))


async def read(reader: asyncio.StreamReader, kind: type[T]) -> T:
    """Return the next message. Raises EOFError if the other end of the socket is closed."""
    return msgspec.msgpack.decode(await framing.receive_frame(reader), type=kind)


def packed(clip: Clip) -> tuple[bytes, int]:
    """Return a clip as float32 bytes and its sample rate in Hz."""
    return np.ascontiguousarray(clip.samples, np.float32).tobytes(), clip.sample_rate_hz


def unpacked(clip: tuple[bytes, int]) -> Clip:
    """Return the clip of `packed`."""
    return Clip(np.frombuffer(clip[0], np.float32), clip[1])


def failure_of(error: Exception) -> Failure:
    """Return an exception for the socket; an unexpected one is reduced to its type name."""
    if isinstance(error, PipelineError):
        return Failure(error.code, str(error), error.retryable)
    return Failure(
        SynthesisFailed.code, f"internal engine error ({type(error).__name__})", retryable=True
    )


def error_of(failure: Failure) -> PipelineError:
    """Return the exception of a failure, of the type that has its code."""
    error = _TYPE_BY_CODE.get(failure.code, SynthesisFailed)(failure.detail)
    error.retryable = failure.retryable
    return error


_TYPE_BY_CODE: Final = {
    kind.code: kind
    for kind in vars(failures).values()
    if isinstance(kind, type) and issubclass(kind, PipelineError) and kind is not PipelineError
}
