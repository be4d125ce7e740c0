"""What a worker asks of a model, wherever its engine runs: on a thread (`model`) or in a process (`isolation`)."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

from services.common.audio.clip import Clip, Samples
from services.common.wire.failures import SynthesisFailed
from services.common.wire.messages import AS_USUAL, Parameters
from services.synth_worker.engines.protocol import EngineDescription, Utterance


class EngineStuck(SynthesisFailed):
    """The engine makes nothing any more and cannot be started again; the worker has to be replaced."""

    retryable = True


class EngineClosed(SynthesisFailed):
    """The worker stops with this sentence in flight; another one speaks it."""

    retryable = True


class SentenceAudio(Protocol):
    """One sentence in flight."""

    busy_s: float  # spent in steps that advanced it
    orphaned_s: float  # of these, in steps that ended after it was cancelled
    redrawn: int  # times that the engine made a part of it again

    def cancel(self) -> None:
        """Stop before the next step; `pieces` then raises SpeechCancelled."""

    def pieces(self) -> AsyncIterator[Samples]:
        """Yield the samples (float32 [n], mono), in order. Raises what the engine raised, or SpeechCancelled."""


class SpeakingEngine(Protocol):
    """A resident engine. Every method may be called from the event loop and blocks it never."""

    stuck: asyncio.Event  # set when only another worker helps
    crashes: int  # times that the engine died and was followed by another

    def describe(self) -> EngineDescription:
        """Return what the engine says of itself, which is more once it is loaded."""

    async def load(self) -> None:
        """Make the model resident. Raises PipelineError."""

    async def condition(self, clips: Sequence[Clip], parameters: Parameters = AS_USUAL) -> bytes:
        """Compute a serialised voice, between two steps. Raises UnusableReference."""

    async def restore(self, voice: bytes) -> Any:  # passed back to `speak` unseen
        """Turn a serialised voice into what `speak` takes. Raises MalformedMessage."""

    def speak(self, utterance: Utterance, voice: Any, *, urgent: bool) -> SentenceAudio:
        """Begin a sentence; urgent ones are stepped first."""

    async def close(self) -> None:
        """End the engine, after the step that runs."""
