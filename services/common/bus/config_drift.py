"""Configuration drift: limits of existing streams that differ from the settings. Pure."""

from services.common.bus.topology import Topology

Limits = dict[str, float]  # by their names in a JetStream stream's configuration


def stream_limits(topology: Topology) -> dict[str, Limits]:
    """Return the limits that an operator can set, by stream name."""
    limits: dict[str, Limits] = {}
    for stream in topology.streams:
        limits[stream.name] = {"max_age": stream.max_age_s, "max_bytes": stream.max_bytes}
    for prefix, buckets in (("KV", topology.buckets), ("OBJ", topology.stores)):
        for bucket in buckets:
            limits[f"{prefix}_{bucket.name}"] = {
                "max_age": bucket.max_age_s,
                "max_bytes": bucket.max_bytes,
            }
    return {name: limit | {"num_replicas": topology.replicas} for name, limit in limits.items()}


def differences(wanted: Limits, found: object) -> dict[str, tuple[float | None, float]]:
    """Return (found, wanted) of each limit that differs; `found` has the limits as attributes."""
    pairs = {name: (getattr(found, name, None), limit) for name, limit in wanted.items()}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
