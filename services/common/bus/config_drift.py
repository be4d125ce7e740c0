"""Configuration drift: settings of existing streams that differ from those of the services. Pure."""

import math
from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

from services.common.bus.topology import Topology

# by their names in a JetStream stream's configuration: limits are numbers, rules are text
StreamLimits = dict[str, float | str]


class Difference(NamedTuple):
    """A limit or rule of an existing stream that differs from the settings."""

    stream: str
    limit: str  # as in the stream's configuration; `max_age` is in seconds
    found: float | str | None
    wanted: float | str

    @property
    def shrinks(self) -> bool:
        """Return whether the server would delete stored messages, or copies of them, to reach the wanted limit."""
        return _unlimited(self.wanted) < _unlimited(self.found)

    @property
    def is_rule(self) -> bool:
        """Return whether it is no limit: a change of it moves or drops messages, and is the operator's."""
        return isinstance(self.wanted, str)

    def __str__(self) -> str:
        """Format it as text."""
        return f"{self.stream}: {self.limit} is {_text(self.found)}, and the settings say {_text(self.wanted)}"


def _text(value: float | str | None) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else f"{value:g}"


def _unlimited(limit: float | str | None) -> float:
    """Return a limit; infinity for 0, -1 and none, which mean no limit."""
    return limit if isinstance(limit, float | int) and limit > 0 else math.inf


def stream_limits(topology: Topology) -> dict[str, StreamLimits]:
    """Return the limits and rules that settings and releases can change, by stream name."""
    limits: dict[str, StreamLimits] = {}
    for stream in topology.streams:
        limits[stream.name] = {
            "max_age": stream.max_age_s,
            "max_bytes": stream.max_bytes,
            "max_msgs": stream.max_messages,
            "max_msgs_per_subject": stream.max_messages_per_subject,
            "retention": stream.retention,
            "discard": stream.discard,
            "subjects": _listed(stream.subjects),
        }
    for prefix, buckets in (("KV", topology.buckets), ("OBJ", topology.stores)):
        for bucket in buckets:
            limits[f"{prefix}_{bucket.name}"] = {
                "max_age": bucket.max_age_s,
                "max_bytes": bucket.max_bytes,
            }
    return {name: limit | {"num_replicas": topology.replicas} for name, limit in limits.items()}


def differences(
    wanted: StreamLimits, found: object
) -> dict[str, tuple[float | str | None, float | str]]:
    """Return (found, wanted) of each value that differs; `found` has the values as attributes."""
    pairs = {name: (_value(getattr(found, name, None)), limit) for name, limit in wanted.items()}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _value(found: object) -> float | str | None:
    """Return a value of a stream's configuration, as `stream_limits` has it."""
    if isinstance(found, Enum):
        return str(found.value)
    if isinstance(found, list):
        return _listed(found)
    return found if isinstance(found, float | int | str) else None


def _listed(subjects: Iterable[str]) -> str:
    return " ".join(sorted(subjects))
