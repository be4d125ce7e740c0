"""One sentence in flight, and a voice, as the worker holds them while the engine's processes come and go."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Protocol

from services.common.audio.clip import Samples
from services.synth_worker.isolation import messages
from services.synth_worker.isolation.messages import Ended


class Keeper(Protocol):
    """Who keeps the engine's process."""

    step_timeout_s: float

    def send(self, message: messages.Message) -> None:
        """Send something to the process."""

    def lose_patience(self) -> None:
        """A sentence has waited longer than a step may take."""

    def forget(self, speech: "InFlightSentence") -> None:
        """A sentence has nobody any more who listens."""


class Voice:
    """A voice that the engine's process keeps, and this one too, for the engine's successor."""

    def __init__(self, number: int, content: bytes) -> None:
        self.number = number
        self.content = content


@dataclass(eq=False)
class InFlightSentence:
    """One sentence in flight. Made by `parent.EngineSupervisor.speak`."""

    model: Keeper
    order: messages.Speak
    voice: Voice
    made: asyncio.Queue[Samples | Exception | None] = field(default_factory=asyncio.Queue)  # None: the end
    passed_on: int = 0  # samples, of this engine's process and those before it
    repeated: int = 0  # samples that this process has to make again before anything is new
    cancelled: bool = False
    suspected: bool = False  # it was alone in work when the process was killed
    busy_s: float = 0.0
    orphaned_s: float = 0.0
    redrawn: int = 0

    def cancel(self) -> None:
        """Stop before the next step; `pieces` then raises SpeechCancelled."""
        if not self.cancelled:
            self.cancelled = True
            self.model.send(messages.Cancel(speech=self.order.speech))

    async def pieces(self) -> AsyncIterator[Samples]:
        """Yield the samples (float32 [n], mono), in order. Raises what the engine raised, or SpeechCancelled."""
        try:
            while True:
                try:
                    made = await asyncio.wait_for(self.made.get(), self.model.step_timeout_s)
                except TimeoutError:
                    self.model.lose_patience()
                    continue
                if made is None:
                    return
                if isinstance(made, Exception):
                    raise made
                yield made
        finally:
            self.cancel()
            self.model.forget(self)

    def take(self, samples: Samples) -> None:
        """Note what the engine made, and pass on what is new of it."""
        known = min(self.repeated, len(samples))
        self.repeated -= known
        if known < len(samples):
            self.passed_on += len(samples) - known
            self.made.put_nowait(samples[known:])

    def end(self, ended: Ended) -> None:
        """Note how it ended."""
        self.busy_s += ended.busy_s
        self.orphaned_s += ended.orphaned_s
        self.redrawn += ended.redrawn
        self.made.put_nowait(None if ended.failure is None else messages.error_of(ended.failure))
