"""What an engine is: a resident model that turns sentences into samples, step by step.

Every method is called on one thread, the worker's model thread, so an engine needs no locks and must not touch
the event loop. `tests/contract/test_engines.py` is the conformance suite: any engine must pass it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from services.common.audio.clip import Clip, Samples
from services.common.wire.failures import PipelineError
from services.common.wire.messages import AS_USUAL, Parameters

VoiceT = TypeVar("VoiceT")
SequenceT = TypeVar("SequenceT")


@dataclass(frozen=True)
class Level:
    """What an engine says of the level of its audio, so that a sentence can be levelled while it is being made."""

    usual_lufs: float  # of a sentence
    spread_lu: float  # standard deviation of that over sentences, voices and languages
    ahead_ms: int  # audio that is there with a sentence's first chunk, at least, less the quiet before it
    whole_ms: int = 0  # a sentence of this length comes in one chunk


@dataclass(frozen=True)
class EngineDescription:
    """What an engine says of itself, before and after it is loaded."""

    name: str  # a subject token, such as "embedded"
    version: str  # changes whenever a stored voice, or the audio of a seed, would
    languages: tuple[str, ...]  # ISO 639-1
    max_characters: Mapping[str, int]  # language -> the longest sentence that `open` takes
    licence: str
    sample_rate_hz: int
    device: str  # "cpu", "cuda:0"
    max_batch: int  # how many sequences one `step` may advance
    level: Level | None  # of the audio, whose edges and loudness are made equal; None: it is published as it is
    parameters: Mapping[str, float] = field(default_factory=dict)  # that it takes, of `Parameters`, with their defaults
    progress: str = ""  # of loading, for people; empty before and after


@dataclass(frozen=True)
class Utterance:
    """One sentence to speak."""

    text: str
    language: str  # ISO 639-1
    seed: int  # equal utterances with equal seeds and voices give equal samples, whatever shares their batch
    parameters: Parameters = AS_USUAL


@dataclass(frozen=True, eq=False)
class Step:
    """What one step made of one sequence."""

    samples: Samples  # float32 [n], mono, at the engine's rate; n may be 0
    done: bool  # nothing follows, and the sequence is gone
    failure: PipelineError | None = None  # why this sequence ends here, and only this one; then `done` is set too
    redrawn: bool = False  # the sentence was going wrong, and what nobody had heard of it is made again


class Engine(Protocol[VoiceT, SequenceT]):
    """A model that is loaded once and speaks many sentences at a time."""

    def describe(self) -> EngineDescription:
        """Say what this engine is; cheap, and right before `load`."""

    def load(self) -> None:
        """Make the model resident. Raises PipelineError where that cannot be, saying what to do."""

    def condition(self, clips: Sequence[Clip], parameters: Parameters = AS_USUAL) -> bytes:
        """Compute a voice from one or more reference clips of one speaker, serialised for other workers.

        Of the parameters only those that shape a voice are set: `gpt_cond_len`, seconds of the clips that the style
        is taken from. Raises UnusableReference where the clips hold no voice.
        """

    def restore(self, voice: bytes) -> VoiceT:
        """Turn a serialised voice back into what `open` takes."""

    def open(self, utterance: Utterance, voice: VoiceT) -> SequenceT:
        """Begin a sentence. Raises UnspeakableText for text that this engine can never speak."""

    def step(self, batch: Sequence[SequenceT]) -> list[Step]:
        """Advance 1..max_batch sequences; the answers are in the order of the batch."""

    def discard(self, sequence: SequenceT) -> None:
        """Give up a sequence that is not done, and free what it holds."""

    def close(self) -> None:
        """Free the model."""
