"""Every metric of the splitter."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.process_collector import ProcessCollector

from services.common.bus.metrics import BusMetrics


class Metrics:
    """The splitter's metrics, in a separate registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.bus = BusMetrics(self.registry)
        self.requests = Counter(
            "tts_splitter_requests_total",
            "Requests by outcome",
            ["language", "outcome"],
            registry=self.registry,
        )
        self.sentences = Counter(
            "tts_splitter_sentences_total", "Sentences queued", ["language"], registry=self.registry
        )
        self.held = Gauge(
            "tts_splitter_requests_held", "Requests in progress", registry=self.registry
        )
        self.queued_audio = Gauge(
            "tts_splitter_queued_audio_seconds",
            "Estimated audio of the held requests that is not synthesized yet",
            registry=self.registry,
        )
        self.split_duration = Histogram(
            "tts_splitter_split_duration_seconds",
            "Time to divide a text",
            buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3),
            registry=self.registry,
        )
