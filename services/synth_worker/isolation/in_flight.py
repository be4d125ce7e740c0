"""The supervisor's state that outlives an engine process: sentences in flight, pending calls and voices."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Protocol

from services.common.audio.clip import Samples
from services.synth_worker.engines.protocol import TimedSpan
from services.synth_worker.isolation import messages
from services.synth_worker.isolation.messages import SentenceEnded


class Supervisor(Protocol):
    """The supervisor as a sentence in flight uses it."""

    step_timeout_s: float

    def send(self, message: messages.EngineMessage) -> None:
        """Send a message to the engine process."""

    def on_step_timeout(self) -> None:
        """Handle a sentence that has received nothing for longer than a step may take."""

    def forget(self, sentence: "InFlightSentence") -> None:
        """Drop a sentence that has ended or whose consumer has stopped reading."""


class RemoteVoice:
    """A voice that the engine process holds; its bytes stay here to restore it in the next engine process."""

    def __init__(self, number: int, content: bytes) -> None:
        self.number = number
        self.content = content


@dataclass(eq=False)
class PendingCall:
    """A call that the engine process has not answered; it is sent again to the next engine process."""

    message: messages.EngineCall
    result: asyncio.Future[bytes]
    alone_at_kill: bool = False  # it was the only work when an earlier engine process was killed


@dataclass(eq=False)
class InFlightSentence:
    """One sentence in flight. Made by `EngineSupervisor.speak`."""

    supervisor: Supervisor
    command: messages.Speak
    voice: RemoteVoice
    # None: the end
    received: asyncio.Queue[Samples | Exception | None] = field(default_factory=asyncio.Queue)
    delivered_samples: int = 0  # in total, from this and earlier engine processes
    samples_to_skip: int = 0  # delivered already; a new engine process synthesizes them again
    cancelled: bool = False
    alone_at_kill: bool = False  # it was the only work when an earlier engine process was killed
    busy_s: float = 0.0
    orphaned_s: float = 0.0
    redrawn: int = 0
    fault: str = ""  # of the attempt that was delivered
    times: tuple[TimedSpan, ...] = ()  # complete when `stream` has ended

    def cancel(self) -> None:
        """Stop before the next step; `stream` then raises SpeechCancelled."""
        if not self.cancelled:
            self.cancelled = True
            self.supervisor.send(messages.Cancel(sentence=self.command.sentence))

    async def stream(self) -> AsyncIterator[Samples]:
        """Yield the samples (float32 [n], mono) in order. Raises the engine's error, or SpeechCancelled."""
        try:
            while True:
                try:
                    async with asyncio.timeout(self.supervisor.step_timeout_s):
                        item = await self.received.get()
                except TimeoutError:
                    self.supervisor.on_step_timeout()
                    continue

                if item is None:
                    return
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            self.cancel()
            self.supervisor.forget(self)

    def add(self, samples: Samples) -> None:
        """Deliver the samples (float32 [n]) that the engine produced, without those that were delivered before."""
        skipped = min(self.samples_to_skip, len(samples))
        self.samples_to_skip -= skipped

        if skipped < len(samples):
            self.delivered_samples += len(samples) - skipped
            self.received.put_nowait(samples[skipped:])

    def restart(self) -> None:
        """Prepare for another engine process, which synthesizes the sentence from its first sample."""
        self.samples_to_skip = self.delivered_samples

    def end(self, ended: SentenceEnded) -> None:
        """Add the engine's counters and end the stream."""
        self.busy_s += ended.busy_s
        self.orphaned_s += ended.orphaned_s
        self.redrawn += ended.redrawn
        self.fault = ended.fault
        self.times = ended.times
        self.received.put_nowait(
            None if ended.failure is None else messages.error_of(ended.failure)
        )

    def fail(self, failure: Exception) -> None:
        """End the stream with an error."""
        self.received.put_nowait(failure)
