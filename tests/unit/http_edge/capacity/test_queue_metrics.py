"""The gauges of queues and stores exist only while NATS answers; a failed worker is counted once."""

import msgspec
import pytest
from prometheus_client import generate_latest

from services.common.bus import topology
from services.common.bus.memory.bus import MemoryBus
from services.common.bus.ports import StorageUse
from services.common.wire import subjects
from services.common.wire.failures import BusUnavailable
from services.common.wire.messages import WorkerState
from services.http_edge.capacity.fleet import Fleet
from services.http_edge.capacity.queue_metrics import measure_queues, measure_storage
from services.http_edge.metrics import Metrics
from tests.support.buses import memory_bus
from tests.support.messages import EXAMPLES


class DeadBus(MemoryBus):
    """A bus that answers the first few queries about its queues, and then fails."""

    answers = 0

    async def message_count(self, stream: str) -> int:
        self.answers -= 1
        if self.answers < 0:
            raise BusUnavailable("NATS does not answer")
        return 7


def queue_series(metrics: Metrics) -> list[str]:
    lines = generate_latest(metrics.registry).decode().splitlines()
    return [line for line in lines if line.startswith(("tts_queue_", "tts_consumer_"))]


@pytest.mark.parametrize("answers", [0, 1, 3])
async def test_no_queue_is_shown_once_nats_stops_answering(answers: int) -> None:
    metrics, dead = Metrics(), DeadBus()
    await measure_queues(await memory_bus(), "tone", metrics)
    assert 'tts_queue_depth{stream="TTS_DEAD"} 0.0' in queue_series(metrics)
    for _ in range(3):
        dead.answers = answers
        await measure_queues(dead, "tone", metrics)
        assert queue_series(metrics) == []


async def test_queues_and_stores_vanish_as_soon_as_the_connection_is_lost() -> None:
    metrics, bus = Metrics(), await memory_bus()
    metrics.bus.follow(bus)
    await measure_queues(bus, "tone", metrics)
    await measure_storage(bus, metrics)
    assert queue_series(metrics)
    assert storage_series(metrics)
    bus.connected = False  # no measurement has failed yet
    assert queue_series(metrics) == storage_series(metrics) == []
    bus.connected = True
    assert queue_series(metrics)
    assert storage_series(metrics)


async def test_no_series_is_made_before_its_value_is_known() -> None:
    metrics, seen = Metrics(), list[list[str]]()

    class Watched(DeadBus):
        async def message_count(self, stream: str) -> int:
            seen.append(queue_series(metrics))
            return await super().message_count(stream)

    await measure_queues(Watched(), "tone", metrics)
    assert seen == [[]]


def storage_series(metrics: Metrics) -> list[str]:
    lines = generate_latest(metrics.registry).decode().splitlines()
    return [
        line
        for line in lines
        if line.startswith("tts_stream_") and not line.startswith("tts_stream_stall")
    ]


async def test_the_size_of_every_store_is_shown_while_nats_answers() -> None:
    class Away(MemoryBus):
        async def storage_use(self, stream: str) -> StorageUse:
            raise BusUnavailable("NATS does not answer")

    metrics, bus = Metrics(), await memory_bus()
    await bus.publish(subjects.dead("tts.v1.job.acme"), b"1234", message_id="1")
    await measure_storage(bus, metrics)
    shown = storage_series(metrics)
    assert 'tts_stream_bytes{stream="TTS_DEAD"} 4.0' in shown
    assert 'tts_stream_limit_bytes{stream="TTS_DEAD"} 2.68435456e+08' in shown
    for stream in topology.stream_names(topology.topology()):
        assert f'tts_stream_replica_lag{{stream="{stream}"}} 0.0' in shown
    await measure_storage(Away(), metrics)
    assert storage_series(metrics) == []


async def test_a_worker_that_cannot_start_is_counted_once_at_each_start() -> None:
    class Alive:
        def __init__(self, *states: WorkerState) -> None:
            self.states = states

        def alive(self) -> tuple[WorkerState, ...]:
            return self.states

    def started(*workers: WorkerState) -> float | None:
        Fleet("xtts", Alive(*workers), Alive(), counted).measure(metrics)  # type: ignore[arg-type]
        return metrics.registry.get_sample_value(
            "tts_worker_failed_starts_total", {"engine": "xtts"}
        )

    metrics, counted = Metrics(), set[str]()
    [example] = [message for message in EXAMPLES if isinstance(message, WorkerState)]
    failed = msgspec.structs.replace(example, engine="xtts", state="failed")
    assert started() == 0
    assert started(failed) == 1
    assert started(failed) == 1
    assert started() == 1
    assert started(failed) == 2
