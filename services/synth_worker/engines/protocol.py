"""The engine protocol: a resident model that turns sentences into samples, step by step.

Every method is called on one thread, the engine thread, so an engine needs no locks and must not use the event loop.
`tests/contract/test_engines.py` is the conformance suite: every engine of `registry.py` must pass it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

from services.common.audio.clip import Clip, Samples
from services.common.wire.failures import PipelineError
from services.common.wire.options import AS_USUAL, Parameters
from services.common.wire.parts import BuiltInVoice

UNKNOWN_BUILT_IN: Final = (
    "the engine has no built-in voice with this name; GET /voices lists those that exist"
)


class EngineBroken(Exception):
    """The engine cannot continue: its process must be replaced. The message is for the log."""


VoiceT = TypeVar("VoiceT")
SequenceT = TypeVar("SequenceT")


@dataclass(frozen=True)
class Level:
    """Declared level of an engine's audio, so that a sentence can be levelled while it is being synthesized."""

    usual_lufs: float  # of a sentence
    spread_lu: float  # standard deviation of that over sentences, voices and languages
    ahead_ms: int  # minimum audio in a sentence's first chunk, without the quiet before it
    whole_ms: int = 0  # sentences up to this length come in one chunk
    # a sentence ends quieter than it begins: by so much its beginning is louder than all of it
    fall_lu: float = 0.4


@dataclass(frozen=True)
class EngineDescription:
    """An engine's description of itself, before and after it is loaded."""

    name: str  # a subject token, such as "embedded"
    version: str  # changes whenever stored voices or the audio of a seed change
    languages: tuple[str, ...]  # ISO 639-1
    max_characters: Mapping[str, int]  # language -> the longest sentence that `open` accepts
    licence: str
    sample_rate_hz: int
    device: str  # "cpu", "cuda:0"
    max_batch: int  # sequences that one `step` can advance
    level: Level | None  # for the finishing; None: the audio is published without it
    # accepted ones of `Parameters`, with their defaults
    parameters: Mapping[str, float] = field(default_factory=dict)
    progress: str = ""  # of loading, human-readable; empty before and after
    voices: tuple[BuiltInVoice, ...] = ()  # that `built_in` returns
    # language -> the built-in voice that speaks where a request names none; of every language, if there are any voices
    default_voices: Mapping[str, str] = field(default_factory=dict)
    # whether equal utterances, seeds and voices give equal samples in any batch and process, on workers of this version
    reproducible: bool = True


def not_described(name: str) -> EngineDescription:
    """Return the description of an engine that has not sent its own yet."""
    return EngineDescription(
        name=name,
        version="unknown",
        languages=(),
        max_characters={},
        licence="unknown",
        sample_rate_hz=24_000,
        device="unknown",
        max_batch=1,
        level=None,
    )


@dataclass(frozen=True)
class Utterance:
    """One sentence to synthesize."""

    text: str
    language: str  # ISO 639-1
    seed: int  # see `EngineDescription.reproducible`
    parameters: Parameters = AS_USUAL


@dataclass(frozen=True, order=True)
class TimedSpan:
    """The samples of a sentence in which characters [start, end) of its text are spoken; they count over all steps."""

    start: int
    end: int
    first_sample: int
    end_sample: int


@dataclass(frozen=True, eq=False)
class Step:
    """Result of one step for one sequence."""

    samples: Samples  # float32 [n], mono, at the engine's rate; n may be 0
    done: bool  # nothing follows, and the engine has discarded the sequence
    failure: PipelineError | None = None  # this sequence alone failed; `done` is set, too
    # a part that was going wrong, and was not returned yet, is synthesized again
    redrawn: bool = False
    # why the sentence is faulty or ends early, set with `done`: all attempts went wrong, and this is the last
    fault: str = ""
    # of words or parts of them, in order, in any of the steps; none if the engine does not know
    times: tuple[TimedSpan, ...] = ()


class Engine(Protocol[VoiceT, SequenceT]):
    """A model that is loaded once and synthesizes many sentences concurrently."""

    def describe(self) -> EngineDescription:
        """Return the engine's description; cheap, and valid before `load`."""

    def load(self) -> None:
        """Make the model resident. Raises PipelineError, with what to do, if that is impossible."""

    def condition(self, clips: Sequence[Clip], parameters: Parameters = AS_USUAL) -> bytes:
        """Compute a voice from one or more reference clips of one speaker, serialised for other workers.

        Of the parameters only those that shape a voice are set: `gpt_cond_len`, seconds of the clips that the style
        is taken from. Raises UnusableReference if the clips contain no voice.
        """

    def built_in(self, name: str) -> bytes:
        """Return a built-in voice, serialised as `condition` does. Raises UnknownVoice.

        Its name is one of `EngineDescription.voices`.
        """

    def restore(self, voice: bytes) -> VoiceT:
        """Turn a serialised voice into the one that `open` takes."""

    def open(self, utterance: Utterance, voice: VoiceT) -> SequenceT:
        """Begin a sentence. Raises UnspeakableText for text that this engine can never synthesize."""

    def step(self, batch: Sequence[SequenceT]) -> list[Step]:
        """Advance 1..max_batch sequences; return one result each, in the order of the batch."""

    def discard(self, sequence: SequenceT) -> None:
        """Discard a sequence that is not done, and free its memory."""

    def close(self) -> None:
        """Free the model."""
