"""The bus as protocols: implemented by `nats.connection.NatsBus` and, in memory, `memory.bus.MemoryBus`.

tests/contract/test_bus.py runs the same cases against both.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from services.common.bus.topology import Consumer, Topology
from services.common.wire.failures import QueueFull

PAGE_MESSAGES: Final = 512
PAGE_BYTES: Final = 2 * 1024 * 1024
SUBSCRIPTION_BYTES: Final = 8 * 1024 * 1024  # limit of a subscription's unread messages


class SubjectFull(QueueFull):
    """The stream has reached its limit of messages on this subject."""


class Received(NamedTuple):
    """A message that a subscription received."""

    subject: str
    payload: bytes
    reply: str = ""  # the subject for a reply; empty: none is expected
    headers: Mapping[str, str] = {}  # `traceparent` names the trace of the message


class Stored(NamedTuple):
    """A message in a stream."""

    number: int  # its sequence number in the stream
    subject: str
    payload: bytes
    unix_s: float  # when it was stored


class Value(NamedTuple):
    """A value of a key-value bucket, as it was read."""

    content: bytes
    revision: int  # of this write, for `update_value`


class StorageUse(NamedTuple):
    """Usage of a stream, a bucket or an object store, in bytes, and the state of its replicas."""

    used: int
    most: int  # -1: no limit
    replica_lag: int = 0  # messages that the slowest replica still has to receive from its leader
    replicas_behind: int = 0  # replicas whose server is down, or that are not up to date


class Lag(NamedTuple):
    """Lag of a work queue's consumer."""

    pending: int  # not delivered yet
    ack_pending: int  # delivered, neither acked nor nak'ed
    redelivered: int  # of the ack-pending messages
    oldest_s: float  # age of the oldest message in the stream; 0 if it is empty


class Delivery(Protocol):
    """A message from a work queue, ended by one of `ack`, `nak` and `term`; `extend` gains time."""

    @property
    def subject(self) -> str: ...
    @property
    def payload(self) -> bytes: ...
    @property
    def headers(self) -> dict[str, str]:
        """Return the message's headers; `traceparent` names its trace."""

    @property
    def attempt(self) -> int:
        """Return the number of this delivery, from 1."""

    @property
    def age_s(self) -> float:
        """Return the message's time in the queue before this delivery, in seconds."""

    async def ack(self) -> None:
        """Ack: remove the message from the queue."""

    async def nak(self, delay_s: float) -> None:
        """Nak: redeliver the message, to any process, after the delay."""

    async def term(self) -> None:
        """Term: remove the message from the queue without success."""

    async def extend(self) -> None:
        """Restart the acknowledgement wait (NATS: in progress)."""


class Puller(Protocol):
    """One process's membership of a work queue."""

    async def next(self, timeout_s: float) -> Delivery | None:
        """Return the next message, or None after the timeout.

        If this is cancelled, a message that arrives is returned by the following call, or nak'ed by `close`.
        """

    async def close(self) -> None:
        """Pull nothing more, and nak messages that were delivered but not returned by `next`."""


class Subscription(Protocol):
    """A core subscription with a bounded queue; a full queue drops new messages."""

    async def next(self, timeout_s: float) -> Received | None:
        """Return the next message, or None after the timeout."""

    async def close(self) -> None:
        """Unsubscribe."""


class Bus(Protocol):
    """The NATS operations that the services use.

    Every method raises BusUnavailable if there is no answer in time.
    """

    @property
    def connected(self) -> bool:
        """Return whether the client is connected."""

    @property
    def certificate_expiry_unix_s(self) -> float | None:
        """Return when the certificate of the connected server expires; None without TLS."""

    @property
    def reconnects(self) -> int:
        """Return how often the connection was restored; core messages may have been lost each time."""

    @property
    def unstored(self) -> int:
        """Return how many messages were given up because they were not stored in time."""

    async def establish(self, topology: Topology) -> None:
        """Create the streams, buckets and stores that do not exist; leave the others unchanged."""

    async def publish(
        self, subject: str, payload: bytes, *, message_id: str, lifetime_s: float | None = None
    ) -> bool:
        """Store a message in the stream of its subject; return False if its id is stored already.

        Retried with the same id until it is stored or the bus gives up. `lifetime_s`, rounded up to
        a second, is when the message leaves the stream. Raises SubjectFull, QueueFull, or
        TextTooLong for a message over the server's max_payload.
        """

    async def send(self, subject: str, payload: bytes) -> None:
        """Publish to the current subscribers; the message is not stored."""

    async def request(self, subject: str, payload: bytes, *, timeout_s: float) -> bytes | None:
        """Send a request and return the first answer; None if none arrives in time."""

    async def subscribe(
        self, subject: str, *, limit: int, group: str = "", limit_bytes: int = SUBSCRIPTION_BYTES
    ) -> Subscription:
        """Subscribe; up to `limit` messages that this bus publishes later, and replies, are received.

        Within a `group`, each message reaches one subscription.
        """

    async def pull(self, consumer: Consumer) -> Puller:
        """Create the durable consumer if it does not exist, and join it."""

    async def last(self, stream: str, subject: str) -> bytes | None:
        """Return the last stored message of exactly this subject, or None."""

    async def last_stored(self, stream: str, subject: str) -> Stored | None:
        """Return the last stored message of exactly this subject with its number, or None.

        A replica may return an older one.
        """

    async def append(self, stream: str, subject: str, payload: bytes, *, after: int) -> int | None:
        """Store a message if `after` is the number of the subject's last one, or 0 if it has none.

        Return its number; None, and store nothing, if another message came first. Raises QueueFull,
        TextTooLong, and BusUnavailable, after which it may or may not have been stored.
        """

    async def page(
        self, stream: str, subject: str, *, after: int, since_unix_s: float = 0.0
    ) -> list[Stored]:
        """Return the next stored messages of this subject, which can have wildcards; empty at the end.

        Those with a higher number than `after`, or if that is 0, those stored since a time. A page
        has at most `PAGE_MESSAGES`, and not much more than `PAGE_BYTES`.
        """

    async def stored(self, stream: str, subject_filter: str, *, most: int) -> list[Stored]:
        """Return the oldest stored messages that match, oldest first, at most `most`."""

    async def remove(self, stream: str, number: int) -> None:
        """Remove one stored message, if it exists."""

    async def purge(self, stream: str, subject_filter: str) -> None:
        """Remove all stored messages that match."""

    async def message_count(self, stream: str) -> int:
        """Return how many messages a stream holds."""

    async def count_by_subject(self, stream: str, subject_filter: str) -> dict[str, int]:
        """Return how many messages a stream holds on each subject that matches and has any."""

    async def lag(self, consumer: Consumer) -> Lag:
        """Return the consumer's lag; all zero if the consumer does not exist yet."""

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
        """Set a value if it still has this revision, or with revision 0 if it does not exist.

        Return False, and change nothing, if another write came first. Raises QueueFull,
        TextTooLong, and BusUnavailable, after which the write may or may not have been stored.
        """

    async def drop_value(self, bucket: str, key: str) -> None:
        """Remove a value, so that it can be created again."""

    async def has_object(self, store: str, name: str) -> bool:
        """Return whether an object store holds this object, completely stored."""

    async def get_object(self, store: str, name: str) -> bytes | None:
        """Return an object, or None."""

    async def put_object(self, store: str, name: str, content: bytes) -> None:
        """Store an object. Raises QueueFull if the store is full."""

    async def drop_object(self, store: str, name: str) -> None:
        """Remove an object, if it exists."""

    async def erase_object(self, store: str, name: str) -> None:
        """Remove an object, if it exists, and overwrite its bytes on disk. Slower: one message at a time."""

    async def storage_use(self, stream: str) -> StorageUse:
        """Return how full a stream is; a bucket is `KV_<name>`, an object store `OBJ_<name>`."""

    async def close(self) -> None:
        """Send pending messages and disconnect."""
