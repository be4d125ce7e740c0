"""The metrics of a service's connection to NATS."""

import math
from collections.abc import Callable, Iterable, Sequence

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from services.common.bus.ports import Bus


class BusMetrics:
    """The state of the connection: connected or not, messages that were not stored, expiry of the certificate."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._bus: Bus | None = None
        self._connected = Gauge("tts_bus_connected", "1 while connected to NATS", registry=registry)
        self._expiry = Gauge(
            "tts_nats_certificate_expiry_timestamp_seconds",
            "When the certificate of the NATS server expires; NaN without TLS",
            registry=registry,
        )
        self._expiry.set(math.nan)

    def follow(self, bus: Bus) -> None:
        """Read the state of this bus at each scrape. Called once."""
        self._bus = bus
        self._registry.register(_Unstored(bus))
        self._connected.set_function(lambda: float(bus.connected))
        self._expiry.set_function(lambda: bus.certificate_expiry_unix_s or math.nan)

    def hide_while_disconnected(self, gauges: Sequence[Gauge]) -> None:
        """Register gauges of what is stored in NATS; a scrape has none of them while there is no connection.

        They were measured before the connection was lost. Clearing them when the next measurement fails is too late: a
        request that was sent before fails only after its timeout.
        """
        self._registry.register(_WhileConnected(gauges, self._is_connected))

    def _is_connected(self) -> bool:
        return self._bus is None or self._bus.connected


class _WhileConnected(Collector):
    """Gauges that exist only while a condition is met."""

    def __init__(self, gauges: Sequence[Gauge], is_met: Callable[[], bool]) -> None:
        self._gauges = gauges
        self._is_met = is_met

    def describe(self) -> Iterable[Metric]:
        """Yield the names, which the registry reserves."""
        for gauge in self._gauges:
            yield from gauge.describe()

    def collect(self) -> Iterable[Metric]:
        """Yield the gauges if the condition is met."""
        if self._is_met():
            for gauge in self._gauges:
                yield from gauge.collect()


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
