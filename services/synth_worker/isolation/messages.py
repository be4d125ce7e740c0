"""What a worker and its engine's process say to each other: MessagePack, each message behind its length."""

import asyncio
from typing import Final, TypeVar

import msgspec
import numpy as np

from services.common.audio.clip import Clip
from services.common.wire import failures
from services.common.wire.failures import PipelineError, SynthesisFailed
from services.common.wire.messages import Parameters
from services.synth_worker.engines.protocol import EngineDescription, Utterance
from services.synth_worker.settings import Settings

T = TypeVar("T")
_LENGTH_BYTES: Final = 4


class Message(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """One message, of either direction."""


class Begin(Message, frozen=True, kw_only=True):
    """Build the engine."""

    call: int
    settings: Settings


class Load(Message, frozen=True, kw_only=True):
    """Make the model resident."""

    call: int


class Condition(Message, frozen=True, kw_only=True):
    """Compute a voice; the answer is its bytes."""

    call: int
    clips: tuple[tuple[bytes, int], ...]  # float32 samples, rate in Hz
    parameters: Parameters


class Restore(Message, frozen=True, kw_only=True):
    """Keep a voice under a number."""

    call: int
    voice: int
    content: bytes


class Release(Message, frozen=True, kw_only=True):
    """Forget a voice."""

    voice: int


class Speak(Message, frozen=True, kw_only=True):
    """Begin a sentence."""

    speech: int
    utterance: Utterance
    voice: int
    urgent: bool
    alone: bool = False  # share no step: it was there when an engine crashed


class Cancel(Message, frozen=True, kw_only=True):
    """Stop a sentence."""

    speech: int


class Close(Message, frozen=True, kw_only=True):
    """End, after the step that runs."""


class Failure(msgspec.Struct, frozen=True):
    """A PipelineError on its way through the socket."""

    code: str
    detail: str
    retryable: bool


class Described(Message, frozen=True, kw_only=True):
    """What the engine says of itself now."""

    description: EngineDescription


class Answered(Message, frozen=True, kw_only=True):
    """A call is done."""

    call: int
    content: bytes = b""


class Refused(Message, frozen=True, kw_only=True):
    """A call failed."""

    call: int
    failure: Failure


class Sounded(Message, frozen=True, kw_only=True):
    """The next samples of a sentence, float32."""

    speech: int
    samples: bytes


class Ended(Message, frozen=True, kw_only=True):
    """Nothing more comes of a sentence."""

    speech: int
    busy_s: float
    orphaned_s: float
    redrawn: int
    failure: Failure | None = None


ToEngine = Begin | Load | Condition | Restore | Release | Speak | Cancel | Close
FromEngine = Described | Answered | Refused | Sounded | Ended


def frame(message: Message) -> bytes:
    """Return a message as it goes over the socket."""
    content = msgspec.msgpack.encode(message)
    return len(content).to_bytes(_LENGTH_BYTES, "little") + content


async def read(reader: asyncio.StreamReader, kind: type[T]) -> T:
    """Return the next message. Raises EOFError where the other side is gone."""
    try:
        length = int.from_bytes(await reader.readexactly(_LENGTH_BYTES), "little")
        return msgspec.msgpack.decode(await reader.readexactly(length), type=kind)
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        raise EOFError from error


def packed(clip: Clip) -> tuple[bytes, int]:
    """Return a clip as it travels."""
    return np.ascontiguousarray(clip.samples, np.float32).tobytes(), clip.sample_rate_hz


def unpacked(clip: tuple[bytes, int]) -> Clip:
    """Return a clip that travelled."""
    return Clip(np.frombuffer(clip[0], np.float32), clip[1])


def failure_of(error: Exception) -> Failure:
    """Return an exception as it travels; of one that nobody foresaw only its kind does."""
    if isinstance(error, PipelineError):
        return Failure(error.code, str(error), error.retryable)
    return Failure(SynthesisFailed.code, f"an internal error of the engine ({type(error).__name__})", retryable=True)


def error_of(failure: Failure) -> PipelineError:
    """Return the exception that travelled, of the type that its code names."""
    error = _BY_CODE.get(failure.code, SynthesisFailed)(failure.detail)
    error.retryable = failure.retryable
    return error


_BY_CODE: Final = {
    kind.code: kind
    for kind in vars(failures).values()
    if isinstance(kind, type) and issubclass(kind, PipelineError) and kind is not PipelineError
}
