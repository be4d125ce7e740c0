"""Measures the work queues and the storage of all streams, for autoscaling and alerts."""

from typing import Final

from services.common.bus import topology
from services.common.bus.ports import Bus
from services.common.wire.failures import BusUnavailable
from services.http_edge.metrics import Metrics

_STREAMS: Final = (topology.REQUESTS, topology.SENTENCES, topology.JOBS, topology.DEAD)


async def measure_queues(bus: Bus, engine: str, metrics: Metrics) -> None:
    """Set the gauges of the queues, or clear them while NATS is unavailable, as unknown is not zero.

    `labels()` creates a series at 0, so it is called only once its value was read: a series without a value would
    report that NATS answers and that the queue is empty.
    """
    consumers = (
        topology.requests_consumer(),
        topology.jobs_consumer(),
        topology.sentences_consumer(engine, "express"),
        topology.sentences_consumer(engine, "standard"),
    )
    try:
        for stream in _STREAMS:
            waiting = await bus.message_count(stream)
            metrics.queue_depth.labels(stream).set(waiting)
        for consumer in consumers:
            lag = await bus.lag(consumer)
            metrics.consumer_waiting.labels(consumer.stream, consumer.name).set(lag.pending)
            metrics.consumer_in_progress.labels(consumer.stream, consumer.name).set(lag.ack_pending)
            metrics.consumer_repeated.labels(consumer.stream, consumer.name).set(lag.redelivered)
            metrics.queue_age.labels(consumer.stream).set(lag.oldest_s)
    except BusUnavailable:
        for gauge in metrics.of_queues:
            gauge.clear()


async def measure_storage(bus: Bus, metrics: Metrics) -> None:
    """Set the gauges of every stream, bucket and store, or clear them while NATS is unavailable."""
    try:
        for stream in topology.stream_names(topology.topology()):
            use = await bus.storage_use(stream)
            metrics.stream_bytes.labels(stream).set(use.used)
            metrics.stream_limit.labels(stream).set(use.most)
            metrics.replica_lag.labels(stream).set(use.replica_lag)
            metrics.replicas_behind.labels(stream).set(use.replicas_behind)
    except BusUnavailable:
        for gauge in metrics.of_storage:
            gauge.clear()
