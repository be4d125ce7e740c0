"""What a listener experiences: when sound began, and whether it ever ran out."""

from dataclasses import dataclass

from services.http_edge.metrics import Metrics


@dataclass
class Listening:
    """Follows one stream's sound against the clock. Pure but for the metrics: the caller says what time it is."""

    metrics: Metrics
    sample_rate_hz: int
    first_at_s: float | None = None
    sent_bytes: int = 0
    waited_s: float = 0.0  # that a player stood still for want of sound

    def hear(self, pcm_bytes: int, now_s: float) -> None:
        """Note that so much 16-bit sound left at this time."""
        if self.first_at_s is None:
            self.first_at_s = now_s
        late_s = now_s - (self.first_at_s + self.waited_s + self.sent_bytes / 2 / self.sample_rate_hz)
        if self.sent_bytes and late_s > 0:
            self.waited_s += late_s
            self.metrics.stalls.inc()
            self.metrics.stall_time.inc(late_s)
        self.sent_bytes += pcm_bytes
