"""What the services ask of the bus. `connection.NatsBus` is the real one, `memory.MemoryBus` its twin in one process;
tests/contract/test_bus.py holds both to the same cases."""

from collections.abc import Mapping
from typing import Final, NamedTuple, Protocol

from services.common.bus.topology import Consumer, Topology
from services.common.wire.failures import QueueFull

SUBSCRIPTION_BYTES: Final = 8 * 1024 * 1024  # of messages that a listener holds and has not returned yet


class SubjectFull(QueueFull):
    """The stream takes no more messages on this subject."""


class Received(NamedTuple):
    """A message that a listener heard."""

    subject: str
    payload: bytes
    reply: str = ""  # where its sender waits for an answer; empty: nowhere
    headers: Mapping[str, str] = {}  # of which `traceparent` names the trace that it belongs to


class Stored(NamedTuple):
    """A message in a stream."""

    number: int  # its sequence number in the stream
    subject: str
    payload: bytes
    unix_s: float  # when it was stored


class Value(NamedTuple):
    """A value of a key-value bucket, as it was read."""

    content: bytes
    revision: int  # of this write; `update_value` takes it


class StorageUse(NamedTuple):
    """How full a stream, a bucket or an object store is, in bytes."""

    used: int
    most: int  # -1: no limit


class Lag(NamedTuple):
    """How far a consumer of a work queue is behind."""

    waiting: int  # messages that nobody was given yet
    in_progress: int  # given, and neither done nor handed back
    repeated: int  # of those, given more than once
    oldest_s: float  # age of the oldest message of its stream that is still there; 0 where there is none


class Delivery(Protocol):
    """A message from a work queue. One of `ack`, `retry` and `reject` ends it; `extend` buys time."""

    @property
    def subject(self) -> str: ...
    @property
    def payload(self) -> bytes: ...
    @property
    def headers(self) -> dict[str, str]:
        """Return the message's headers, of which `traceparent` names the trace that it belongs to."""

    @property
    def attempt(self) -> int:
        """Return 1 for the first delivery."""

    @property
    def age_s(self) -> float:
        """Return how long the message had been in the queue when it was delivered, in seconds."""

    async def ack(self) -> None:
        """Done: the message leaves the queue."""

    async def retry(self, delay_s: float) -> None:
        """Not done: deliver it again, to anybody, after the delay."""

    async def reject(self) -> None:
        """Never to be done: the message leaves the queue."""

    async def extend(self) -> None:
        """Still being done: start its acknowledgement wait anew."""


class Puller(Protocol):
    """One process's seat at a work queue."""

    async def next(self, timeout_s: float) -> Delivery | None:
        """Return the next message, or None after the timeout. Never cancel this: a cancelled pull eats a message."""

    async def close(self) -> None:
        """Hand back what was delivered and not taken."""


class Subscription(Protocol):
    """A core subscription with a bounded queue; what overflows it is lost, oldest kept."""

    async def next(self, timeout_s: float) -> Received | None:
        """Return the next message, or None after the timeout."""

    async def close(self) -> None:
        """Unsubscribe."""


class Bus(Protocol):
    """NATS, as far as the services use it. Every method raises BusUnavailable when there is no answer in time."""

    @property
    def connected(self) -> bool:
        """Say whether the connection stands now."""

    async def establish(self, topology: Topology) -> None:
        """Create the streams, buckets and stores that do not exist; leave those that do."""

    async def publish(self, subject: str, payload: bytes, *, message_id: str, lifetime_s: float | None = None) -> bool:
        """Store a message in the stream of its subject; return False where this id is stored already.

        It is tried again, with the same id, until it is stored or the bus's patience is over. `lifetime_s`: the
        message leaves the stream after so long, rounded up to a second. Raises SubjectFull, QueueFull, or
        TextTooLong for more than NATS takes in one message.
        """

    async def send(self, subject: str, payload: bytes) -> None:
        """Send to whoever listens now; stored nowhere."""

    async def request(self, subject: str, payload: bytes, *, timeout_s: float) -> bytes | None:
        """Send to one that listens now, and return its answer; None where none comes in time."""

    async def subscribe(
        self, subject: str, *, limit: int, group: str = "", limit_bytes: int = SUBSCRIPTION_BYTES
    ) -> Subscription:
        """Subscribe; nothing that this bus publishes later, or that answers it, is missed, up to `limit` messages.

        Of the listeners of one `group` each message reaches one.
        """

    async def pull(self, consumer: Consumer) -> Puller:
        """Create the durable consumer where it does not exist, and take a seat at it."""

    async def last(self, stream: str, subject: str) -> bytes | None:
        """Return the last stored message of exactly this subject, or None."""

    async def stored(self, stream: str, subject_filter: str, *, most: int) -> list[Stored]:
        """Return the oldest stored messages that match, oldest first, at most so many."""

    async def remove(self, stream: str, number: int) -> None:
        """Remove one stored message; one that is gone already is no failure."""

    async def purge(self, stream: str, subject_filter: str) -> None:
        """Remove all stored messages that match."""

    async def message_count(self, stream: str) -> int:
        """Return how many messages a stream holds."""

    async def count_by_subject(self, stream: str, subject_filter: str) -> dict[str, int]:
        """Return how many messages a stream holds on each subject that matches; subjects without any are left out."""

    async def lag(self, consumer: Consumer) -> Lag:
        """Return how far the consumer is behind. All zero where nobody has ever pulled from it."""

    async def get_value(self, bucket: str, key: str) -> bytes | None:
        """Return a value of a key-value bucket, or None."""

    async def put_value(self, bucket: str, key: str, value: bytes) -> None:
        """Set a value of a key-value bucket; it is heard on `topology.value_subject`.

        Raises QueueFull where the bucket has no room, TextTooLong for more than a message holds.
        """

    async def create_value(self, bucket: str, key: str, value: bytes) -> bool:
        """Set a value that nobody has set yet; return False, and change nothing, where somebody has."""

    async def get_revision(self, bucket: str, key: str) -> Value | None:
        """Return a value with its revision, or None."""

    async def update_value(self, bucket: str, key: str, value: bytes, revision: int) -> bool:
        """Set a value that has this revision still, or with 0 one that is not set; return False, and change nothing,
        where another write came first.

        Raises QueueFull, TextTooLong, and BusUnavailable, after which the write may have been stored or not.
        """

    async def drop_value(self, bucket: str, key: str) -> None:
        """Forget a value, so that it may be created again."""

    async def has_object(self, store: str, name: str) -> bool:
        """Say whether an object store holds this object, complete."""

    async def get_object(self, store: str, name: str) -> bytes | None:
        """Return an object, or None."""

    async def put_object(self, store: str, name: str, content: bytes) -> None:
        """Store an object. Raises QueueFull where the store has no room."""

    async def drop_object(self, store: str, name: str) -> None:
        """Free an object's room; one that is not there is no failure."""

    async def storage_use(self, stream: str) -> StorageUse:
        """Return how full a stream is; a bucket is `KV_<name>`, an object store `OBJ_<name>`."""

    async def close(self) -> None:
        """Send what is pending and disconnect."""
