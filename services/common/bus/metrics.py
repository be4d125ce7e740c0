"""The metrics of a service's connection to NATS."""

import math
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.metrics_core import CounterMetricFamily
from prometheus_client.registry import Collector

from services.common.bus.ports import Bus


class BusMetrics:
    """The state of the connection: connected or not, messages that were not stored, expiry of the certificate."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._connected = Gauge("tts_bus_connected", "1 while connected to NATS", registry=registry)
        self._expiry = Gauge(
            "tts_nats_certificate_expiry_timestamp_seconds",
            "When the certificate of the NATS server expires; NaN without TLS",
            registry=registry,
        )
        self._expiry.set(math.nan)

    def follow(self, bus: Bus) -> None:
        """Read the state of this bus at each scrape. Called once."""
        self._registry.register(_Unstored(bus))
        self._connected.set_function(lambda: float(bus.connected))
        self._expiry.set_function(lambda: bus.certificate_expiry_unix_s or math.nan)


class _Unstored(Collector):
    """The bus's own count, as a counter."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def collect(self) -> Iterable[CounterMetricFamily]:
        """Yield the counter."""
        yield CounterMetricFamily(
            "tts_bus_unstored_messages_total",
            "Messages that NATS did not store in time",
            value=self._bus.unstored,
        )
