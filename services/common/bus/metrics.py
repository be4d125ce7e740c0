"""The metrics of a service's connection to NATS."""

import math

from prometheus_client import CollectorRegistry, Gauge

from services.common.bus.ports import Bus


class BusMetrics:
    """Gauges: whether the service is connected, and when the server's certificate expires."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._connected = Gauge("tts_bus_connected", "1 while connected to NATS", registry=registry)
        self._expiry = Gauge(
            "tts_nats_certificate_expiry_timestamp_seconds",
            "When the certificate of the NATS server expires; NaN without TLS",
            registry=registry,
        )
        self._expiry.set(math.nan)

    def follow(self, bus: Bus) -> None:
        """Read the state of this bus at each scrape."""
        self._connected.set_function(lambda: float(bus.connected))
        self._expiry.set_function(lambda: bus.certificate_expiry_unix_s or math.nan)
