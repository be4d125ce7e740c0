"""Every metric of the worker."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class Metrics:
    """The worker's metrics, in a separate registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.bus_connected = Gauge(
            "tts_bus_connected", "1 while connected to NATS", registry=self.registry
        )
        self.sentences = Counter(
            "tts_worker_sentences_total",
            "Sentences by outcome",
            ["engine", "language", "outcome"],
            registry=self.registry,
        )
        self.audio = Counter(
            "tts_worker_audio_seconds_total",
            "Seconds of audio synthesized",
            ["engine", "language"],
            registry=self.registry,
        )
        self.synthesis = Counter(
            "tts_worker_synthesis_seconds_total",
            "Seconds spent in engine steps",
            ["engine", "language"],
            registry=self.registry,
        )
        self.orphaned = Counter(
            "tts_worker_orphaned_compute_seconds_total",
            "Seconds spent in engine steps for sentences that were already cancelled",
            ["engine"],
            registry=self.registry,
        )
        self.crashes = Counter(
            "tts_worker_engine_crashes_total",
            "Crashes of the engine process",
            registry=self.registry,
        )
        self.redrawn = Counter(
            "tts_worker_redrawn_total",
            "Parts of sentences that were synthesized again because they were going wrong",
            ["engine", "language"],
            registry=self.registry,
        )
        self.real_time_factor = Gauge(
            "tts_worker_real_time_factor",
            "Recent seconds of compute per second of audio",
            ["engine"],
            registry=self.registry,
        )
        self.busy = Gauge(
            "tts_worker_sentences_busy", "Sentences in flight", registry=self.registry
        )
        self.loaded = Gauge(
            "tts_worker_model_loaded", "1 when the model is loaded", registry=self.registry
        )
        self.queue_wait = Histogram(
            "tts_worker_queue_wait_seconds",
            "Seconds from the publication of a sentence to its delivery",
            ["lane"],
            buckets=(0.002, 0.005, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100),
            registry=self.registry,
        )
        self.voices = Counter(
            "tts_worker_voices_total", "Voices by source", ["source"], registry=self.registry
        )
        self.conditioning = Histogram(
            "tts_worker_conditioning_seconds",
            "Seconds to compute a voice from its clips",
            buckets=(0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2),
            registry=self.registry,
        )
