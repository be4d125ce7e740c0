"""Ports: an engine as the worker uses it, on a thread (`engine_thread`) or in a separate process (`isolation`)."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

from services.common.audio.clip import Clip, Samples
from services.common.wire.failures import SynthesisFailed
from services.common.wire.options import AS_USUAL, Parameters
from services.synth_worker.engines.protocol import EngineDescription, TimedSpan, Utterance


class EngineStuck(SynthesisFailed):
    """The engine hangs or cannot be started again; the worker has to be replaced."""

    retryable = True


class EngineClosed(SynthesisFailed):
    """The worker stops with this sentence in flight; another worker synthesizes it."""

    retryable = True


class AttemptLost(SynthesisFailed):
    """The engine process ended within a sentence that cannot be continued; it is synthesized again as a whole."""

    retryable = True


class SentenceAudio(Protocol):
    """One sentence in flight."""

    busy_s: float  # spent in steps that advanced it
    orphaned_s: float  # of these, in steps that ended after it was cancelled
    redrawn: int  # times that the engine synthesized a part of it again
    fault: str  # why it is faulty or ends early, when the stream has ended; empty: it does not
    times: tuple[
        TimedSpan, ...
    ]  # of its words, when the stream has ended; none if the engine does not know

    def cancel(self) -> None:
        """Stop before the next step; `stream` then raises SpeechCancelled."""

    def stream(self) -> AsyncIterator[Samples]:
        """Yield the samples (float32 [n], mono), in order. Raises the engine's error, or SpeechCancelled."""


class SpeakingEngine(Protocol):
    """A resident engine. Every method is called from the event loop and never blocks it."""

    stuck: asyncio.Event  # set when the worker has to be replaced
    crashes: int  # times that the engine process crashed and was restarted

    def describe(self) -> EngineDescription:
        """Return the engine's description, which is complete once it is loaded."""

    async def load(self) -> None:
        """Make the model resident. Raises PipelineError."""

    async def condition(self, clips: Sequence[Clip], parameters: Parameters = AS_USUAL) -> bytes:
        """Compute a serialised voice, between two steps. Raises UnusableReference."""

    async def built_in(self, name: str) -> bytes:
        """Return a built-in voice, serialised. Raises UnknownVoice."""

    async def restore(self, voice: bytes) -> Any:  # opaque; for `speak`
        """Turn a serialised voice into what `speak` takes. Raises MalformedMessage."""

    def speak(self, utterance: Utterance, voice: Any, *, urgent: bool) -> SentenceAudio:
        """Begin a sentence; urgent ones are stepped first."""

    async def close(self) -> None:
        """End the engine after the current step."""
