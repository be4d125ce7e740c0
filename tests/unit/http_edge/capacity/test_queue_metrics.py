"""The gauges of the queues exist only while NATS answers."""

import pytest
from prometheus_client import generate_latest

from services.common.bus.memory.bus import MemoryBus
from services.common.wire.failures import BusUnavailable
from services.http_edge.capacity.queue_metrics import measure_queues
from services.http_edge.metrics import Metrics
from tests.support.buses import memory_bus


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


async def test_no_series_is_made_before_its_value_is_known() -> None:
    metrics, seen = Metrics(), list[list[str]]()

    class Watched(DeadBus):
        async def message_count(self, stream: str) -> int:
            seen.append(queue_series(metrics))
            return await super().message_count(stream)

    await measure_queues(Watched(), "tone", metrics)
    assert seen == [[]]
