"""Every metric of the edge. Names with `xtts_` come from the original service, whose dashboards use them."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.process_collector import ProcessCollector

from services.common.bus.metrics import BusMetrics
from services.common.wire.failures import EngineUnavailable, QueueFull, TenantQueueFull

# Route names of requests whose response is audio.
AUDIO_ENDPOINTS = ("synthesize", "stream", "resume", "speech")

_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class Metrics:
    """The edge's metrics, on a separate registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)

        self._add_requests(self.registry)
        self._add_endings(self.registry)
        self._add_audio(self.registry)
        self._add_jobs(self.registry)
        self._add_queues(self.registry)
        self._add_storage()
        self._add_capacity(self.registry)
        self._add_provenance(self.registry)

    def _add_requests(self, registry: CollectorRegistry) -> None:
        """Add the metrics of speech requests."""
        self.requests = Counter(
            "xtts_synthesis_requests_total",
            "Requests by outcome: success, error or cancelled",
            ["language", "endpoint", "status"],
            registry=registry,
        )
        self.outcomes = Counter(
            "tts_speech_requests_total",
            "Speech requests by outcome: success, cancelled, refused (the client's fault), failed",
            ["endpoint", "outcome"],
            registry=registry,
        )
        for endpoint in AUDIO_ENDPOINTS:
            for outcome in ("success", "failed"):
                self.outcomes.labels(endpoint, outcome)
        self.duration = Histogram(
            "xtts_synthesis_duration_seconds",
            "Time from the request to the last byte",
            ["language"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.output = Histogram(
            "xtts_audio_output_bytes",
            "Size of the audio sent",
            buckets=tuple(
                48_000 * seconds for seconds in (0.5, 1, 2, 5, 10, 30, 60, 300, 1800, 7200)
            ),
            registry=registry,
        )
        self.first_byte = Histogram(
            "tts_time_to_first_byte_seconds",
            "Time from the complete request to the first audio",
            ["endpoint"],
            buckets=(0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 1.5, 2.5, 5, 10, 30),
            registry=registry,
        )

    def _add_endings(self, registry: CollectorRegistry) -> None:
        """Add the metrics of requests that fail, are cancelled or continue."""
        self.failures = Counter(
            "tts_failures_total", "Failed requests by reason", ["code"], registry=registry
        )
        # At 0 from the start, as those above, so that the first one is an increase: the queries of alerts and of the
        # autoscaler need them.
        for failure in (EngineUnavailable, QueueFull, TenantQueueFull):
            self.failures.labels(failure.code)
        self.in_flight = Gauge(
            "tts_requests_in_flight", "Speech requests in progress", registry=registry
        )
        self.cancelled = Counter(
            "tts_cancelled_requests_total", "Requests whose client disconnected", registry=registry
        )
        self.joined = Counter(
            "tts_requests_joined_total", "Retries that joined a request", registry=registry
        )
        self.resumed = Counter(
            "tts_requests_resumed_total", "Responses that were resumed", registry=registry
        )
        self.reference_cache = Counter(
            "tts_reference_uploads_total",
            "Reference clips by outcome",
            ["outcome"],
            registry=registry,
        )

    def _add_audio(self, registry: CollectorRegistry) -> None:
        """Add the metrics of the audio that listeners receive."""
        self.stalls = Counter(
            "tts_stream_stalls_total", "Times a listener ran out of audio", registry=registry
        )
        self.stall_time = Counter(
            "tts_stream_stall_seconds_total",
            "Time that listeners waited for audio",
            registry=registry,
        )
        self.stalled = Gauge(
            "tts_streams_stalled", "Listeners that have run out of audio now", registry=registry
        )
        self.repairs = Counter(
            "tts_chunks_fetched_again_total",
            "Missed events that were fetched by index",
            registry=registry,
        )
        self.taken_up = Counter(
            "tts_requests_taken_up_total",
            "Requests published again from a sentence",
            registry=registry,
        )
        self.spoken_again = Counter(
            "tts_audio_spoken_again_total",
            "Times that lost audio was synthesized again",
            registry=registry,
        )

    def _add_jobs(self, registry: CollectorRegistry) -> None:
        """Add the metrics of jobs."""
        self.jobs = Counter(
            "tts_jobs_total", "Finished jobs by outcome", ["outcome"], registry=registry
        )
        for outcome in ("done", "failed"):
            self.jobs.labels(outcome)
        self.jobs_running = Gauge(
            "tts_jobs_running", "Jobs that this edge is running", registry=registry
        )

    def _add_queues(self, registry: CollectorRegistry) -> None:
        """Add the metrics of the queues in NATS."""
        self.bus = BusMetrics(registry)
        self.queue_depth = Gauge(
            "tts_queue_depth", "Messages in a work stream", ["stream"], registry=None
        )
        self.queue_age = Gauge(
            "tts_queue_age_seconds",
            "Age of the oldest message in a work stream",
            ["stream"],
            registry=None,
        )
        of_consumer = ["stream", "consumer"]
        self.consumer_waiting = Gauge(
            "tts_consumer_waiting", "Pending messages", of_consumer, registry=None
        )
        self.consumer_in_progress = Gauge(
            "tts_consumer_in_progress", "Ack-pending messages", of_consumer, registry=None
        )
        self.consumer_repeated = Gauge(
            "tts_consumer_repeated",
            "Ack-pending messages that were redelivered",
            of_consumer,
            registry=None,
        )
        self.of_queues = (
            self.queue_depth,
            self.queue_age,
            self.consumer_waiting,
            self.consumer_in_progress,
            self.consumer_repeated,
        )
        self.bus.hide_while_disconnected(self.of_queues)

    def _add_storage(self) -> None:
        """Add the metrics of streams, buckets and object stores."""
        of_stream = ["stream"]
        self.stream_bytes = Gauge(
            "tts_stream_bytes",
            "Size of a stream, a bucket or an object store",
            of_stream,
            registry=None,
        )
        self.stream_limit = Gauge(
            "tts_stream_limit_bytes", "Its maximum size; -1: none", of_stream, registry=None
        )
        self.replica_lag = Gauge(
            "tts_stream_replica_lag",
            "Messages that its slowest replica still has to receive",
            of_stream,
            registry=None,
        )
        self.replicas_behind = Gauge(
            "tts_stream_replicas_behind",
            "Its replicas that are down or not up to date",
            of_stream,
            registry=None,
        )
        self.of_storage = (
            self.stream_bytes,
            self.stream_limit,
            self.replica_lag,
            self.replicas_behind,
        )
        self.bus.hide_while_disconnected(self.of_storage)

    def _add_provenance(self, registry: CollectorRegistry) -> None:
        """Add the metric of recordings that were looked up."""
        self.provenance = Counter(
            "tts_provenance_lookups_total",
            "Recordings looked up, by watermark (marked, unmarked) and log (found, not found)",
            ["watermark", "log"],
            registry=registry,
        )

    def _add_capacity(self, registry: CollectorRegistry) -> None:
        """Add the metrics of the backlog and the workers."""
        self.model_loaded = Gauge(
            "xtts_model_loaded", "1 while a worker has its model loaded", registry=registry
        )
        self.queued_audio = Gauge(
            "tts_queued_audio_seconds",
            "Backlog: estimated audio that is queued but not synthesized",
            registry=registry,
        )
        self.due_audio = Gauge(
            "tts_due_audio_seconds",
            "Near-term backlog: at most 5 s of each request",
            registry=registry,
        )
        self.due_limit = Gauge(
            "tts_due_audio_limit_seconds",
            "Near-term backlog above which requests are refused",
            registry=registry,
        )
        of_engine = ["engine"]
        self.engine_queued_audio = Gauge(
            "tts_engine_queued_audio_seconds", "Backlog of an engine", of_engine, registry=registry
        )
        self.engine_due_audio = Gauge(
            "tts_engine_due_audio_seconds",
            "Near-term backlog of an engine",
            of_engine,
            registry=registry,
        )
        self.engine_due_limit = Gauge(
            "tts_engine_due_audio_limit_seconds",
            "Near-term backlog above which requests to an engine are refused",
            of_engine,
            registry=registry,
        )
        self.of_engines = (self.engine_queued_audio, self.engine_due_audio, self.engine_due_limit)
        self.workers = Gauge("tts_workers", "Live workers", ["engine", "state"], registry=registry)
        self.failed_starts = Counter(
            "tts_worker_failed_starts_total",
            "Workers whose engine could not start or got stuck",
            ["engine"],
            registry=registry,
        )
        self.real_time_factor = Gauge(
            "tts_real_time_factor",
            "Mean processing time per second of audio of the engine's workers",
            ["engine"],
            registry=registry,
        )
        self.voices = Counter(
            "tts_voices_total",
            "Successful operations on voices of the library",
            ["operation"],
            registry=registry,
        )
