"""Configuration drift: limits of existing streams that differ from the settings. Pure."""

import math
from typing import NamedTuple

from services.common.bus.topology import Topology

StreamLimits = dict[str, float]  # by their names in a JetStream stream's configuration


class Difference(NamedTuple):
    """A limit of an existing stream that differs from the settings."""

    stream: str
    limit: str  # as in the stream's configuration; `max_age` is in seconds
    found: float | None
    wanted: float

    @property
    def shrinks(self) -> bool:
        """Return whether the server would delete stored messages, or copies of them, to reach the wanted limit."""
        return _unlimited(self.wanted) < _unlimited(self.found)

    def __str__(self) -> str:
        """Format it as text."""
        found = "none" if self.found is None else f"{self.found:g}"
        return f"{self.stream}: {self.limit} is {found}, and the settings say {self.wanted:g}"


def _unlimited(limit: float | None) -> float:
    """Return a limit; infinity for 0, -1 and none, which mean no limit."""
    return limit if limit is not None and limit > 0 else math.inf


def stream_limits(topology: Topology) -> dict[str, StreamLimits]:
    """Return the limits that an operator can set, by stream name."""
    limits: dict[str, StreamLimits] = {}
    for stream in topology.streams:
        limits[stream.name] = {"max_age": stream.max_age_s, "max_bytes": stream.max_bytes}
    for prefix, buckets in (("KV", topology.buckets), ("OBJ", topology.stores)):
        for bucket in buckets:
            limits[f"{prefix}_{bucket.name}"] = {
                "max_age": bucket.max_age_s,
                "max_bytes": bucket.max_bytes,
            }
    return {name: limit | {"num_replicas": topology.replicas} for name, limit in limits.items()}


def differences(wanted: StreamLimits, found: object) -> dict[str, tuple[float | None, float]]:
    """Return (found, wanted) of each limit that differs; `found` has the limits as attributes."""
    pairs = {name: (getattr(found, name, None), limit) for name, limit in wanted.items()}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
