"""Playback metrics of a listener: when audio began, and whether it ever ran out."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from services.http_edge.metrics import Metrics

_TICK_S: Final = 1.0  # interval at which an ongoing stall is counted


@dataclass
class Playback:
    """Compares one stream's audio with the clock. The caller passes the time in monotonic seconds."""

    metrics: Metrics
    sample_rate_hz: int
    first_at_s: float | None = None
    sent_bytes: int = 0
    waited_s: float = 0.0  # that a player stalled without audio
    _stalled: bool = False

    @property
    def dry_at_s(self) -> float:
        """Return the time at which a player runs out of audio."""
        return (self.first_at_s or 0.0) + self.waited_s + self.sent_bytes / 2 / self.sample_rate_hz

    def record_sent(self, pcm_bytes: int, now_s: float) -> None:
        """Record that bytes of 16-bit audio were sent at this time."""
        if self.first_at_s is None:
            self.first_at_s = now_s
        self.note(now_s)
        if self._stalled:
            self._stalled = False
            self.metrics.stalled.dec()
        self.sent_bytes += pcm_bytes

    def note(self, now_s: float) -> None:
        """Count the duration of a stall up to now."""
        late_s = now_s - self.dry_at_s
        if not self.sent_bytes or late_s <= 0:
            return
        if not self._stalled:
            self._stalled = True
            self.metrics.stalls.inc()
            self.metrics.stalled.inc()
        self.waited_s += late_s
        self.metrics.stall_time.inc(late_s)

    def taken(self, now_s: float) -> None:
        """Record that the client has read everything that was sent; a slow reader had audio to play, so no stall."""
        self.waited_s += max(0.0, now_s - self.dry_at_s)

    @contextmanager
    def ticking(self) -> Iterator[None]:
        """Count a stall periodically while the block waits for audio."""
        loop = asyncio.get_running_loop()
        timer: list[asyncio.TimerHandle] = []

        def tick() -> None:
            self.note(time.monotonic())
            timer[:] = [loop.call_later(_TICK_S, tick)]

        timer.append(loop.call_later(max(_TICK_S, self.dry_at_s - time.monotonic()), tick))
        try:
            yield
        finally:
            timer[0].cancel()

    def end(self) -> None:
        """Record the end of the stream, complete or not."""
        if self._stalled:
            self._stalled = False
            self.metrics.stalled.dec()
