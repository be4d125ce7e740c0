"""Listeners' waiting time when a worker falls silent, measured on NATS as by a subscriber."""

import asyncio
import time
from bisect import bisect_left
from dataclasses import dataclass, field

from services.common.bus.nats.connection import NatsBus
from services.common.wire import codec, subjects
from services.common.wire.failures import MalformedMessage
from services.common.wire.messages import AudioChunk, RequestEvent


@dataclass(frozen=True)
class TakenOver:
    """A sentence that another attempt continued."""

    silent_since_s: float  # monotonic: the last new chunk of the attempt before
    new_audio_s: float  # monotonic: the first chunk that the listener did not have


@dataclass
class Observer:
    """Notes when every sentence's new chunks came, and by which attempt."""

    taken_over: list[TakenOver] = field(default_factory=list)
    # attempt, next place, time
    _last: dict[tuple[str, int], tuple[int, int, float]] = field(default_factory=dict)

    async def follow(self, bus: NatsBus, stop: asyncio.Event) -> None:
        """Listen until `stop` is set."""
        listener = await bus.subscribe(subjects.AUDIO, limit=100_000)
        try:
            while not stop.is_set():
                heard = await listener.next(0.5)
                if heard is not None:
                    self._hear(heard.payload)
        finally:
            await listener.close()

    def _hear(self, payload: bytes) -> None:
        try:
            event = codec.decode(payload, RequestEvent)  # type: ignore[arg-type]  # a union is a type to msgspec
        except MalformedMessage:
            return
        if not isinstance(event, AudioChunk):
            return
        now_s, sentence = time.monotonic(), (event.request, event.sentence)
        attempt, place, before_s = self._last.get(sentence, (event.attempt, 0, now_s))
        if event.chunk < place:
            return
        if event.attempt > attempt:
            self.taken_over.append(TakenOver(before_s, now_s))
        self._last[sentence] = (event.attempt, event.chunk + 1, now_s)

    def waits_s(self, faults_s: list[float]) -> list[float]:
        """Return, for every sentence that was taken over in its middle, the time from the fault to new audio."""
        waits = []
        for taken in self.taken_over:
            place = bisect_left(faults_s, taken.silent_since_s - 0.05)
            if place < len(faults_s) and faults_s[place] < taken.new_audio_s:
                waits.append(taken.new_audio_s - faults_s[place])
        return waits
