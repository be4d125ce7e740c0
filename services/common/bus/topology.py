"""Streams, consumers, buckets and stores as data. Names and settings are part of the public contract."""

from dataclasses import dataclass
from typing import Final, Literal

from services.common.wire import subjects
from services.common.wire.fields import Lane

REQUESTS: Final = "TTS_REQUESTS"
SENTENCES: Final = "TTS_SENTENCES"
AUDIO: Final = "TTS_AUDIO"
DEAD: Final = "TTS_DEAD"
VOICES: Final = "TTS_VOICES"  # key-value bucket: computed voices
JOBS: Final = "TTS_JOBS"
CLIPS: Final = "TTS_CLIPS"  # object store: reference clips by content hash
KEPT: Final = "TTS_KEPT"  # key-value bucket: requests, so that a lost response can be resumed
PROGRESS: Final = "TTS_PROGRESS"  # key-value bucket: progress of jobs
LIBRARY: Final = "TTS_LIBRARY"  # key-value bucket: the voices that tenants keep
VOICE_CLIPS: Final = "TTS_VOICE_CLIPS"  # object store: the clips of these voices
PROVENANCE: Final = "TTS_PROVENANCE"  # which sentences were synthesized
RESULTS: Final = "TTS_RESULTS"  # object store: the audio of jobs, one object per sentence

DUPLICATE_WINDOW_S: Final = 120.0
KEPT_S: Final = 2 * 3600.0  # requests in TTS_KEPT
PROVENANCE_KEPT_DAYS: Final = 180
MEBIBYTE: Final = 1024 * 1024


@dataclass(frozen=True)
class Stream:
    """One JetStream stream with file storage. -1 means no limit."""

    name: str
    subjects: tuple[str, ...]
    retention: Literal["workqueue", "limits"]
    discard: Literal["new", "old"]  # what a full stream drops: the new message, or its oldest
    max_age_s: float
    max_bytes: int
    max_messages: int = -1
    max_messages_per_subject: int = -1
    message_lifetimes: bool = False  # whether messages can have a lifetime


@dataclass(frozen=True)
class Bucket:
    """One key-value bucket (a value fits in one message) or object store (objects of any size)."""

    name: str
    max_age_s: float  # 0: until it is deleted
    max_bytes: int


@dataclass(frozen=True)
class Consumer:
    """One durable pull consumer of a work queue.

    `filter` is disjoint from the filters of the stream's other consumers.
    """

    stream: str
    name: str
    filter: str
    ack_wait_s: float = 1.2  # a busy process extends it three times in this span
    max_deliver: int = 6  # at the last delivery the work loop only publishes the failure
    max_ack_pending: int = 1024


@dataclass(frozen=True)
class Topology:
    """Everything that must exist before a request is served."""

    streams: tuple[Stream, ...]
    buckets: tuple[Bucket, ...]  # key-value
    stores: tuple[Bucket, ...]  # of objects
    replicas: int


def stream_names(topology: Topology) -> list[str]:
    """Return the names of all streams, including those of buckets and object stores."""
    return [
        *(stream.name for stream in topology.streams),
        *(f"KV_{bucket.name}" for bucket in topology.buckets),
        *(f"OBJ_{store.name}" for store in topology.stores),
    ]


def value_subject(bucket: str, key: str) -> str:
    """Return the subject of a bucket's value (ADR-8 of nats-architecture)."""
    return f"$KV.{bucket}.{key}"


def topology(
    *,
    replicas: int = 1,
    audio_max_bytes: int = 1024 * MEBIBYTE,
    audio_kept_s: float = 600,
    requests_per_tenant: int = 500,
    results_kept_s: float = 24 * 3600,
    provenance_kept_s: float = PROVENANCE_KEPT_DAYS * 24 * 3600.0,
    provenance_max_bytes: int = 1024 * MEBIBYTE,
    provenance_per_tenant: int = 0,
) -> Topology:
    """Return the streams, buckets and stores of the contract.

    The arguments are what an operator can configure.
    """
    audio = Stream(
        name=AUDIO,
        subjects=(subjects.AUDIO,),
        retention="limits",
        discard="old",
        max_age_s=audio_kept_s,
        max_bytes=audio_max_bytes,
        max_messages_per_subject=1,  # a repeated chunk replaces its equal
    )
    dead_letters = Stream(
        name=DEAD,
        subjects=(subjects.DEAD,),
        retention="limits",
        discard="old",
        max_age_s=7 * 24 * 3600,
        max_bytes=256 * MEBIBYTE,
    )
    provenance = Stream(
        name=PROVENANCE,
        subjects=(subjects.PROVENANCE,),
        retention="limits",
        discard="old",
        max_age_s=provenance_kept_s,
        max_bytes=provenance_max_bytes,
        max_messages_per_subject=provenance_per_tenant or -1,
    )
    return Topology(
        streams=(*_work_queues(requests_per_tenant), audio, dead_letters, provenance),
        buckets=(
            Bucket(VOICES, max_age_s=7 * 24 * 3600, max_bytes=1024 * MEBIBYTE),
            Bucket(KEPT, max_age_s=KEPT_S, max_bytes=1024 * MEBIBYTE),
            Bucket(PROGRESS, max_age_s=results_kept_s, max_bytes=256 * MEBIBYTE),
            Bucket(LIBRARY, max_age_s=0, max_bytes=256 * MEBIBYTE),
        ),
        stores=(
            Bucket(CLIPS, max_age_s=24 * 3600, max_bytes=2048 * MEBIBYTE),
            Bucket(RESULTS, max_age_s=results_kept_s, max_bytes=8192 * MEBIBYTE),
            Bucket(VOICE_CLIPS, max_age_s=0, max_bytes=4096 * MEBIBYTE),
        ),
        replicas=replicas,
    )


def _work_queues(requests_per_tenant: int) -> tuple[Stream, ...]:
    """Return the streams of requests, sentences and jobs."""
    requests = Stream(
        name=REQUESTS,
        subjects=(subjects.REQUESTS,),
        retention="workqueue",
        discard="new",
        max_age_s=3600,
        max_bytes=256 * MEBIBYTE,
        max_messages=2000,
        max_messages_per_subject=requests_per_tenant,
        message_lifetimes=True,
    )
    sentences = Stream(
        name=SENTENCES,
        subjects=(subjects.SENTENCES,),
        retention="workqueue",
        discard="new",
        max_age_s=3600,
        max_bytes=256 * MEBIBYTE,
        max_messages=50_000,
        max_messages_per_subject=1,  # a sentence is queued once, however often its splitter restarts
        message_lifetimes=True,
    )
    jobs = Stream(
        name=JOBS,
        subjects=(subjects.JOBS,),
        retention="workqueue",
        discard="new",
        max_age_s=24 * 3600,
        max_bytes=512 * MEBIBYTE,
        max_messages=1000,
        max_messages_per_subject=100,
        message_lifetimes=True,
    )
    return requests, sentences, jobs


def requests_consumer() -> Consumer:
    """Return the consumer that all splitters share."""
    # The request of a book is in flight for long: every splitter that stops or dies costs a delivery.
    return Consumer(stream=REQUESTS, name="splitter", filter=subjects.REQUESTS, max_deliver=20)


def jobs_consumer() -> Consumer:
    """Return the consumer that all edges share.

    A job runs for hours, and every edge that stops causes a redelivery.
    """
    return Consumer(stream=JOBS, name="jobs", filter=subjects.JOBS, max_deliver=50)


def sentences_consumer(engine: str, lane: Lane) -> Consumer:
    """Return the consumer that all workers of an engine share on one lane."""
    return Consumer(
        stream=SENTENCES,
        name=f"worker-{engine}-{lane}",
        filter=subjects.lane_sentences(engine, lane),
    )
