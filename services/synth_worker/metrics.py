"""Every metric of the worker."""

from collections.abc import Callable
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.process_collector import ProcessCollector

from services.common.bus.metrics import BusMetrics


class Metrics:
    """The worker's metrics, in a separate registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        counter = partial(Counter, registry=self.registry)
        gauge = partial(Gauge, registry=self.registry)
        histogram = partial(Histogram, registry=self.registry)

        self.bus = BusMetrics(self.registry)
        self.sentences = counter(
            "tts_worker_sentences_total", "Sentences by outcome", ["engine", "language", "outcome"]
        )
        self.audio = counter(
            "tts_worker_audio_seconds_total", "Seconds of audio synthesized", ["engine", "language"]
        )
        self.synthesis = counter(
            "tts_worker_synthesis_seconds_total",
            "Seconds spent in engine steps",
            ["engine", "language"],
        )
        self.orphaned = counter(
            "tts_worker_orphaned_compute_seconds_total",
            "Seconds spent in engine steps for sentences that were already cancelled",
            ["engine"],
        )
        self.crashes = counter("tts_worker_engine_crashes_total", "Crashes of the engine process")
        self.redrawn = counter(
            "tts_worker_redrawn_total",
            "Parts of sentences that were synthesized again because they were going wrong",
            ["engine", "language"],
        )
        self.faulty = counter(
            "tts_worker_faulty_sentences_total",
            "Sentences that were published although every attempt went wrong",
            ["engine", "language", "fault"],
        )
        self.real_time_factor = gauge(
            "tts_worker_real_time_factor",
            "Recent seconds of compute per second of audio",
            ["engine"],
        )
        self.busy = gauge("tts_worker_sentences_busy", "Sentences in flight")
        self.loaded = gauge("tts_worker_model_loaded", "1 when the model is loaded")
        self.queue_wait = histogram(
            "tts_worker_queue_wait_seconds",
            "Seconds from the publication of a sentence to its delivery",
            ["lane"],
            buckets=(0.002, 0.005, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100),
        )
        self.voices = counter("tts_worker_voices_total", "Voices by source", ["source"])
        self.conditioning = histogram(
            "tts_worker_conditioning_seconds",
            "Seconds to compute a voice from its clips",
            buckets=(0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2),
        )

    def add_engine_process(self, process_id: Callable[[], int]) -> None:
        """Add `tts_worker_engine_process_*`; they are absent while there is no process of this id."""
        ProcessCollector(namespace="tts_worker_engine", pid=process_id, registry=self.registry)
