"""The bus as the services use it: `nats.connection.NatsBus`, and its in-memory twin `memory.MemoryBus`.

tests/contract/test_bus.py runs the same cases against both."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from services.common.bus.topology import Consumer, Topology
from services.common.wire.failures import QueueFull

# of messages that a listener holds and has not returned yet
SUBSCRIPTION_BYTES: Final = 8 * 1024 * 1024


class SubjectFull(QueueFull):
    """The stream takes no more messages on this subject."""


class Received(NamedTuple):
    """A message that a subscription received."""

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
    """Usage of a stream, a bucket or an object store, in bytes."""

    used: int
    most: int  # -1: no limit


class Lag(NamedTuple):
    """Lag of a work queue's consumer."""

    waiting: int  # pending: not delivered yet
    in_progress: int  # ack-pending: delivered, neither acked nor nak'ed
    repeated: int  # of those, redelivered
    oldest_s: (
        float  # age of the oldest message of its stream that is still there; 0 where there is none
    )


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
        """Ack: remove the message from the queue."""

    async def retry(self, delay_s: float) -> None:
        """Nak: redeliver it, to any process, after the delay."""

    async def reject(self) -> None:
        """Term: remove the message from the queue without success."""

    async def extend(self) -> None:
        """Restart the acknowledgement wait (NATS: in progress)."""


class Puller(Protocol):
    """One process's membership of a work queue."""

    async def next(self, timeout_s: float) -> Delivery | None:
        """Return the next message, or None after the timeout. Never cancel this: a cancelled pull eats a message."""

    async def close(self) -> None:
        """Nak what was delivered and not returned by `next`."""


class Subscription(Protocol):
    """A core subscription with a bounded queue; when it is full, new messages are dropped."""

    async def next(self, timeout_s: float) -> Received | None:
        """Return the next message, or None after the timeout."""

    async def close(self) -> None:
        """Unsubscribe."""


class Bus(Protocol):
    """NATS, as far as the services use it. Every method raises BusUnavailable when there is no answer in time."""

    @property
    def connected(self) -> bool:
        """Return whether the client is connected."""

    async def establish(self, topology: Topology) -> None:
        """Create the streams, buckets and stores that do not exist; leave those that do."""

    async def publish(
        self, subject: str, payload: bytes, *, message_id: str, lifetime_s: float | None = None
    ) -> bool:
        """Store a message in the stream of its subject; return False where this id is stored already.

        It is tried again, with the same id, until it is stored or the bus's patience is over. `lifetime_s`: the
        message leaves the stream after so long, rounded up to a second. Raises SubjectFull, QueueFull, or
        TextTooLong for more than NATS takes in one message.
        """

    async def send(self, subject: str, payload: bytes) -> None:
        """Publish to the current subscribers; the message is not stored."""

    async def request(self, subject: str, payload: bytes, *, timeout_s: float) -> bytes | None:
        """Send a request and return the first answer; None if none arrives in time."""

    async def subscribe(
        self, subject: str, *, limit: int, group: str = "", limit_bytes: int = SUBSCRIPTION_BYTES
    ) -> Subscription:
        """Subscribe; nothing that this bus publishes later, or that answers it, is missed, up to `limit` messages.

        Of the listeners of one `group` each message reaches one.
        """

    async def pull(self, consumer: Consumer) -> Puller:
        """Create the durable consumer if it does not exist, and join it."""

    async def last(self, stream: str, subject: str) -> bytes | None:
        """Return the last stored message of exactly this subject, or None."""

    async def stored(self, stream: str, subject_filter: str, *, most: int) -> list[Stored]:
        """Return the oldest stored messages that match, oldest first, at most so many."""

    async def remove(self, stream: str, number: int) -> None:
        """Remove one stored message; a missing one is no failure."""

    async def purge(self, stream: str, subject_filter: str) -> None:
        """Remove all stored messages that match."""

    async def message_count(self, stream: str) -> int:
        """Return how many messages a stream holds."""

    async def count_by_subject(self, stream: str, subject_filter: str) -> dict[str, int]:
        """Return how many messages a stream holds on each subject that matches; subjects without any are left out."""

    async def lag(self, consumer: Consumer) -> Lag:
        """Return how far the consumer is behind. All zero if it was never pulled from."""

    async def get_value(self, bucket: str, key: str) -> bytes | None:
        """Return a value of a key-value bucket, or None."""

    async def get_values(self, bucket: str, keys: Sequence[str]) -> dict[str, bytes]:
        """Return the values of these keys; missing ones are left out."""

    async def put_value(self, bucket: str, key: str, value: bytes) -> None:
        """Set a value of a key-value bucket; the change is published on `topology.value_subject`.

        Raises QueueFull if the bucket is full, TextTooLong if the value exceeds a message.
        """

    async def create_value(self, bucket: str, key: str, value: bytes) -> bool:
        """Create a value; return False, and change nothing, if it exists."""

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
        """Return whether an object store holds this object, complete."""

    async def get_object(self, store: str, name: str) -> bytes | None:
        """Return an object, or None."""

    async def put_object(self, store: str, name: str, content: bytes) -> None:
        """Store an object. Raises QueueFull if the store is full."""

    async def drop_object(self, store: str, name: str) -> None:
        """Delete an object; a missing one is no failure."""

    async def storage_use(self, stream: str) -> StorageUse:
        """Return how full a stream is; a bucket is `KV_<name>`, an object store `OBJ_<name>`."""

    async def close(self) -> None:
        """Send what is pending and disconnect."""
