"""The metrics of a connection to NATS."""

from typing import Any

import nats.errors
import pytest
from prometheus_client import CollectorRegistry

from services.common.bus.memory.bus import MemoryBus
from services.common.bus.metrics import BusMetrics
from services.common.bus.nats.jetstream import JetStreamOperations
from services.common.wire.failures import BusUnavailable

UNSTORED = "tts_bus_unstored_messages_total"


class FullDisk:
    """A client whose server is connected and acknowledges nothing."""

    def jetstream(self, **_options: float) -> "FullDisk":
        return self

    async def publish(self, *_arguments: Any, **_options: Any) -> None:
        raise nats.errors.TimeoutError


async def test_a_message_that_is_not_stored_in_time_is_counted_once() -> None:
    bus = JetStreamOperations(FullDisk(), patience_s=0.2)  # type: ignore[arg-type]
    assert bus.unstored == 0
    with pytest.raises(BusUnavailable, match="did not store"):
        await bus._publish_until_stored("tts.v1.request.public", b"", {})
    assert bus.unstored == 1


def test_the_state_of_the_bus_is_read_at_each_scrape() -> None:
    registry, bus = CollectorRegistry(), MemoryBus()
    metrics = BusMetrics(registry)
    metrics.follow(bus)
    assert registry.get_sample_value(UNSTORED) == 0.0
    assert registry.get_sample_value("tts_bus_connected") == 1.0
    bus.unstored = 3
    bus.connected = False
    assert registry.get_sample_value(UNSTORED) == 3.0
    assert registry.get_sample_value("tts_bus_connected") == 0.0
