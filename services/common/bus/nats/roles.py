"""NATS permissions: the least that each role needs, from the topology and the subjects of the contract.

The services' users are in one account, and trusted: permissions do not bind the reply subject of a message, nor its
headers. A tenant's user is in its own account (accounts.py). `$JS.API` is the API of JetStream (docs.nats.io,
"NATS API Reference"). Answers arrive at inboxes under a prefix per role, so that no role receives another's.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from services.common.bus import topology
from services.common.bus.nats import accounts
from services.common.bus.topology import Consumer
from services.common.wire import subjects
from services.common.wire.fields import Lane
from services.common.wire.identity import library_key

# the deployed ones; a test compares them with the worker's engine registry
ENGINES: Final = (
    "embedded",
    "xtts",
)

_API: Final = "$JS.API"
_LANES: Final[tuple[Lane, ...]] = ("express", "standard")


@dataclass(frozen=True)
class Role:
    """The permissions of one user, as subject filters."""

    name: str
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    answer_s: int = 0  # how long it can reply, once, to a request it receives; 0: never
    account: str = accounts.SERVICE

    @property
    def inbox_prefix(self) -> str:
        """Return the `NATS_INBOX_PREFIX` of its connections, the only prefix that it can subscribe to."""
        return _inbox_prefix(self.name)


def service_roles(engines: Iterable[str] = ENGINES) -> list[Role]:
    """Return the roles of the three services, with workers of these engines, and of the operator."""
    return [
        _edge(),
        _splitter(),
        _worker(engines),
        _role("operator", [f"{_API}.>", "$JS.>", "$O.>", "$KV.>", "tts.>"], ["tts.>"]),
    ]


def tenant_role(tenant: str) -> Role:
    """Return the role of a tenant that uses NATS directly: `tenant-...`. Raises ValueError for a bad name.

    It can use what its account imports, and subscribe to its own inbox.
    """
    shared = accounts.shares(tenant)
    name = f"tenant-{tenant}"
    return Role(
        name,
        publish=tuple(share.local for share in shared if share.kind == "service"),
        subscribe=(
            *(share.local for share in shared if share.kind == "stream"),
            f"{_inbox_prefix(name)}.>",
        ),
        account=accounts.tenant_account(tenant),
    )


def _edge() -> Role:
    return _role(
        "edge",
        [
            subjects.REQUESTS,
            *(subjects.JOBS, subjects.CANCELS, subjects.DEAD, subjects.NORMALIZE),
            *_pulls(topology.jobs_consumer()),
            *(
                f"{_API}.CONSUMER.INFO.{stream}.*"
                for stream in (topology.REQUESTS, topology.SENTENCES, topology.JOBS)
            ),
            f"{_API}.DIRECT.GET.{topology.AUDIO}.{subjects.AUDIO}",
            *(*_values(topology.KEPT), *_drops_values(topology.KEPT)),
            *(*_values(topology.PROGRESS), *_drops_values(topology.PROGRESS)),
            _reads_batches(topology.PROGRESS),  # lists of jobs
            *(*_values(topology.LIBRARY), *_drops_values(topology.LIBRARY)),
            _reads_batches(topology.LIBRARY),
            # previews; what is computed from a voice is erased with it
            topology.value_subject(topology.VOICES, "voice.>"),
            *(*_reads_values(topology.VOICES, "voice.>"), *_drops_values(topology.VOICES)),
            subjects.FORGETS,
            *_objects(topology.CLIPS),
            *_objects(topology.VOICE_CLIPS),
            *_objects(topology.RESULTS),
            f"{_API}.STREAM.MSG.DELETE.OBJ_{topology.VOICE_CLIPS}",  # overwrites erased clips
            f"{_API}.DIRECT.GET.{topology.PROVENANCE}",  # pages of the log
        ],
        [
            *(
                subjects.AUDIO,
                subjects.WORKERS,
                subjects.SPLITTERS,
                topology.value_subject(topology.PROGRESS, ">"),
            ),
            *(subjects.INGRESS_REQUESTS, subjects.STORE_CLIPS, subjects.VOICES),
        ],
        answer_s=120,  # a clip may wait for a decoder
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
            *_reads_values(topology.LIBRARY),
            _reads_batches(topology.LIBRARY),  # the nearest names, where a voice is unknown
        ],
        [subjects.request_ends("*", "*"), subjects.CANCELS, subjects.WORKERS, subjects.NORMALIZE],
        answer_s=60,
    )


def _worker(engines: Iterable[str]) -> Role:
    consumers = [topology.sentences_consumer(engine, lane) for engine in engines for lane in _LANES]
    return _role(
        "worker",
        [
            "tts.v1.audio.*.*.*.*",  # chunks and ends of sentences
            *(subjects.WORKERS, subjects.DEAD, subjects.PROVENANCE),
            f"{_API}.DIRECT.GET.{topology.PROVENANCE}.{subjects.PROVENANCE}",  # its last entry
            *(subject for consumer in consumers for subject in _pulls(consumer)),
            f"{_API}.DIRECT.GET.{topology.AUDIO}.{subjects.request_ends('*', '*')}",
            *_values(topology.VOICES),
            *_drops_values(topology.VOICES),  # of voices that were deleted meanwhile
            *_reads_values(topology.LIBRARY, library_key("*", "*")),
            *_reads_objects(topology.CLIPS),
            *_reads_objects(topology.VOICE_CLIPS),
        ],
        [subjects.CANCELS, subjects.FORGETS],
    )


def _role(name: str, publish: list[str], subscribe: list[str], *, answer_s: int = 0) -> Role:
    seen = f"{_API}.STREAM.INFO.*"  # every service checks that the streams exist
    return Role(name, (*publish, seen), (*subscribe, f"{_inbox_prefix(name)}.>"), answer_s)


def _inbox_prefix(name: str) -> str:
    return f"_INBOX_{name}"


def _pulls(consumer: Consumer) -> list[str]:
    durable = f"{consumer.stream}.{consumer.name}"
    return [
        f"{_API}.CONSUMER.DURABLE.CREATE.{durable}",
        f"{_API}.CONSUMER.MSG.NEXT.{durable}",
        f"$JS.ACK.{durable}.>",
    ]


def _values(bucket: str) -> list[str]:
    own = topology.value_subject(bucket, ">")
    return [own, f"{_API}.DIRECT.GET.KV_{bucket}.{own}"]


def _reads_values(bucket: str, key_filter: str = ">") -> list[str]:
    return [f"{_API}.DIRECT.GET.KV_{bucket}.{topology.value_subject(bucket, key_filter)}"]


def _drops_values(bucket: str) -> list[str]:
    return [f"{_API}.STREAM.PURGE.KV_{bucket}"]


def _reads_batches(bucket: str) -> str:
    """Return the subject of a request for many values, which does not contain their keys."""
    return f"{_API}.DIRECT.GET.KV_{bucket}"


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
