"""Who may do what on NATS: the least that each role needs, from the topology and the subjects of the contract.

All users are in one account. `$JS.API` is how JetStream is asked (docs.nats.io, "NATS API Reference"). Answers come to
inboxes under a prefix of the role's own, so that nobody hears what another role is told.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from services.common.bus import topology
from services.common.bus.topology import Consumer
from services.common.wire import subjects
from services.common.wire.messages import Lane

ACCOUNT: Final = "TTS"
ENGINES: Final = ("embedded", "xtts")

_API: Final = "$JS.API"
_TENANT: Final = re.compile(r"[A-Za-z0-9_-]{1,57}")
_LANES: Final[tuple[Lane, ...]] = ("express", "standard")


@dataclass(frozen=True)
class Role:
    """What the connections of one user may do, as subject filters."""

    name: str
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    answers: bool = False  # whether it may reply, once, to a request that it hears

    @property
    def inbox_prefix(self) -> str:
        """Return the `NATS_INBOX_PREFIX` of its connections; it may hear nothing under another one."""
        return f"_INBOX_{self.name}"


def service_roles(engines: Iterable[str] = ENGINES) -> list[Role]:
    """Return the roles of the three services, with workers of these engines, and of the operator."""
    return [
        _edge(),
        _splitter(),
        _worker(engines),
        _role("operator", [f"{_API}.>", "$JS.>", "$O.>", "$KV.>", "tts.>"], ["tts.>"]),
    ]


def tenant_role(tenant: str) -> Role:
    """Return the role of somebody who speaks and listens on NATS: `tenant-...`. Raises ValueError for a bad name.

    It writes clips, but lists and reads none; whoever has a clip's sound knows its name, which is its hash.
    """
    if not _TENANT.fullmatch(tenant):
        raise ValueError(f"{tenant!r} is no tenant: 1 to 57 letters, digits, - and _")
    return _role(
        f"tenant-{tenant}",
        [
            subjects.request(tenant),
            subjects.cancel(tenant, "*"),
            subjects.normalize(tenant),
            f"{_API}.DIRECT.GET.{topology.AUDIO}.{subjects.request_events(tenant, '*')}",
            *_writes_objects(topology.CLIPS),
        ],
        [subjects.request_events(tenant, "*"), subjects.WORKERS],
    )


def _edge() -> Role:
    return _role(
        "edge",
        [
            subjects.REQUESTS,
            *(subjects.JOBS, subjects.CANCELS, subjects.DEAD, subjects.NORMALIZE),
            *_pulls(topology.jobs_consumer()),
            *(f"{_API}.CONSUMER.INFO.{stream}.*" for stream in (topology.REQUESTS, topology.SENTENCES, topology.JOBS)),
            f"{_API}.DIRECT.GET.{topology.AUDIO}.{subjects.AUDIO}",
            *_values(topology.KEPT),
            *_values(topology.PROGRESS),
            *_objects(topology.CLIPS),
            *_objects(topology.RESULTS),
        ],
        [subjects.AUDIO, subjects.WORKERS, subjects.SPLITTERS, topology.value_subject(topology.PROGRESS, ">")],
    )


def _splitter() -> Role:
    return _role(
        "splitter",
        [
            subjects.text_split("*", "*"),
            subjects.request_failed("*", "*"),
            *(subjects.SENTENCES, subjects.CANCELS, subjects.SPLITTERS, subjects.DEAD),
            *_pulls(topology.requests_consumer()),
            f"{_API}.STREAM.PURGE.{topology.SENTENCES}",
            f"{_API}.DIRECT.GET.{topology.AUDIO}.{subjects.AUDIO}",
        ],
        [subjects.request_ends("*", "*"), subjects.CANCELS, subjects.WORKERS, subjects.NORMALIZE],
        answers=True,
    )


def _worker(engines: Iterable[str]) -> Role:
    consumers = [topology.sentences_consumer(engine, lane) for engine in engines for lane in _LANES]
    return _role(
        "worker",
        [
            "tts.v1.audio.*.*.*.*",  # chunks and ends of sentences
            *(subjects.WORKERS, subjects.DEAD),
            *(subject for consumer in consumers for subject in _pulls(consumer)),
            f"{_API}.DIRECT.GET.{topology.AUDIO}.{subjects.request_ends('*', '*')}",
            *_values(topology.VOICES),
            *_reads_objects(topology.CLIPS),
        ],
        [subjects.CANCELS],
    )


def _role(name: str, publish: list[str], subscribe: list[str], *, answers: bool = False) -> Role:
    known = [] if name.startswith("tenant-") else [f"{_API}.STREAM.INFO.*"]  # a service sees that the streams are there
    role = Role(name, (*publish, *known), tuple(subscribe))
    return Role(name, role.publish, (*role.subscribe, f"{role.inbox_prefix}.>"), answers)


def _pulls(consumer: Consumer) -> list[str]:
    place = f"{consumer.stream}.{consumer.name}"
    return [f"{_API}.CONSUMER.DURABLE.CREATE.{place}", f"{_API}.CONSUMER.MSG.NEXT.{place}", f"$JS.ACK.{place}.>"]


def _values(bucket: str) -> list[str]:
    own = topology.value_subject(bucket, ">")
    return [own, f"{_API}.DIRECT.GET.KV_{bucket}.{own}", f"{_API}.STREAM.PURGE.KV_{bucket}"]


def _writes_objects(store: str) -> list[str]:
    return [f"$O.{store}.C.*", f"$O.{store}.M.*"]


def _reads_objects(store: str) -> list[str]:
    stream = f"OBJ_{store}"
    return [
        f"{_API}.STREAM.MSG.GET.{stream}",
        f"{_API}.STREAM.NAMES",
        f"{_API}.CONSUMER.CREATE.{stream}",
        f"{_API}.CONSUMER.DELETE.{stream}.*",
        f"$JS.FC.{stream}.>",
    ]


def _objects(store: str) -> list[str]:
    return [*_writes_objects(store), *_reads_objects(store), f"{_API}.STREAM.PURGE.OBJ_{store}"]
