"""The bus in one process: the in-memory twin of `nats.connection.NatsBus`, for tests.

It behaves like JetStream where the services depend on it: work queues with acknowledgement waits,
redelivery and delays, de-duplication by message id, limits by stream and subject, the last message
by subject, and core subscriptions that receive stored messages. tests/contract/test_bus.py runs the
same cases against both.
"""

import itertools
import time
from collections import Counter
from collections.abc import Sequence

from services.common.bus.memory.streams import MemoryStreams, matches, now_s, store_full
from services.common.bus.memory.subscriptions import MemoryPuller, MemorySubscription
from services.common.bus.ports import (
    PAGE_MESSAGES,
    SUBSCRIPTION_BYTES,
    Lag,
    Received,
    StorageUse,
    Stored,
    Value,
)
from services.common.bus.topology import Consumer, Topology, value_subject


class MemoryBus:
    """All operations of `ports.Bus`, for the services of one process. Nothing is written to disk."""

    def __init__(self) -> None:
        self._sequence = itertools.count(1)
        self._streams = MemoryStreams(self._sequence)
        self._subscriptions: list[MemorySubscription] = []
        self._buckets: dict[str, dict[str, bytes]] = {}  # key-value buckets and object stores
        self._revisions: dict[tuple[str, str], int] = {}  # of values, by bucket and key
        self._max_bytes: dict[str, int] = {}  # of a bucket or object store
        self.connected = True
        self.certificate_expiry_unix_s: float | None = None  # there is no TLS
        self.reconnects = 0
        self.unstored = 0

    async def establish(self, topology: Topology) -> None:
        """Create what does not exist."""
        for stream in topology.streams:
            self._streams.create(stream)

        for bucket in (*topology.buckets, *topology.stores):
            self._buckets.setdefault(bucket.name, {})
            self._max_bytes.setdefault(bucket.name, bucket.max_bytes)

    async def publish(
        self, subject: str, payload: bytes, *, message_id: str, lifetime_s: float | None = None
    ) -> bool:
        """Store a message in the stream of its subject, and send it to subscribers."""
        self._dispatch(subject, payload)  # like NATS, even if the stream refuses the message
        return self._streams.publish(subject, payload, message_id, lifetime_s)

    async def send(self, subject: str, payload: bytes) -> None:
        """Publish to the current subscribers; the message is not stored."""
        self._dispatch(subject, payload)

    async def request(self, subject: str, payload: bytes, *, timeout_s: float) -> bytes | None:
        """Send a request and return the first reply; None if none arrives in time."""
        inbox = f"_INBOX.{next(self._sequence)}"
        replies = await self.subscribe(inbox, limit=1)
        try:
            self._dispatch(subject, payload, reply=inbox)
            reply = await replies.next(timeout_s)
        finally:
            await replies.close()
        return None if reply is None else reply.payload

    async def subscribe(
        self,
        subject: str,
        *,
        limit: int,
        group: str = "",
        limit_bytes: int = SUBSCRIPTION_BYTES,  # noqa: ARG002
    ) -> MemorySubscription:
        """Subscribe; only the real bus counts bytes."""
        subscription = MemorySubscription(
            subject, limit=limit, group=group, on_close=self._unsubscribe
        )
        self._subscriptions.append(subscription)
        return subscription

    async def pull(self, consumer: Consumer) -> MemoryPuller:
        """Join a work queue."""
        return MemoryPuller(self._streams, consumer)

    async def last(self, stream: str, subject: str) -> bytes | None:
        """Return the last stored message of exactly this subject."""
        found = [
            message.payload
            for message in self._streams.get(stream).messages.values()
            if message.subject == subject
        ]
        return found[-1] if found else None

    async def last_stored(self, stream: str, subject: str) -> Stored | None:
        """Return the last stored message of exactly this subject with its number."""
        found = self._matching(stream, subject)
        return found[-1] if found else None

    async def append(self, stream: str, subject: str, payload: bytes, *, after: int) -> int | None:
        """Store a message if the subject's last one has this number."""
        last = await self.last_stored(stream, subject)
        if (0 if last is None else last.number) != after:
            return None
        await self.publish(subject, payload, message_id=f"append-{next(self._sequence)}")
        stored = await self.last_stored(stream, subject)
        return None if stored is None else stored.number

    async def page(
        self, stream: str, subject: str, *, after: int, since_unix_s: float = 0.0
    ) -> list[Stored]:
        """Return the next stored messages of this subject; a bucket's values count too."""
        following = [
            message
            for message in self._held(stream, subject)
            if message.number > after and (after or message.unix_s >= since_unix_s)
        ]
        return following[:PAGE_MESSAGES]

    def _held(self, stream: str, subject_filter: str) -> list[Stored]:
        """Return the messages that match, oldest first; those of a bucket are its values."""
        if not stream.startswith("KV_"):
            return self._matching(stream, subject_filter)
        bucket = stream.removeprefix("KV_")
        values = [
            Stored(self._revisions[bucket, key], value_subject(bucket, key), value, time.time())
            for key, value in self._buckets[bucket].items()
            if matches(subject_filter, value_subject(bucket, key))
        ]
        return sorted(values, key=lambda message: message.number)

    async def stored(self, stream: str, subject_filter: str, *, most: int) -> list[Stored]:
        """Return the oldest stored messages that match, at most `most`."""
        return self._matching(stream, subject_filter)[:most]

    def _matching(self, stream: str, subject_filter: str) -> list[Stored]:
        loop_started_unix_s = time.time() - now_s()
        return [
            Stored(
                message.sequence,
                message.subject,
                message.payload,
                loop_started_unix_s + message.published_at_s,
            )
            for message in self._streams.get(stream).messages.values()
            if matches(subject_filter, message.subject)
        ]

    async def remove(self, stream: str, number: int) -> None:
        """Remove one stored message."""
        self._streams.remove(stream, number)

    async def purge(self, stream: str, subject_filter: str) -> None:
        """Remove all stored messages that match; a bucket's values are messages as well."""
        if stream.startswith("KV_"):
            await self._purge_values(stream.removeprefix("KV_"), subject_filter)
            return

        purged = self._streams.get(stream)
        purged.messages = {
            sequence: message
            for sequence, message in purged.messages.items()
            if not matches(subject_filter, message.subject)
        }

    async def _purge_values(self, bucket: str, subject_filter: str) -> None:
        for key in list(self._buckets[bucket]):
            if matches(subject_filter, value_subject(bucket, key)):
                await self.drop_value(bucket, key)

    async def message_count(self, stream: str) -> int:
        """Return how many messages a stream holds."""
        return len(self._streams.get(stream).messages)

    async def count_by_subject(self, stream: str, subject_filter: str) -> dict[str, int]:
        """Return how many messages a stream holds on each subject; a bucket's values count too."""
        if stream.startswith("KV_"):
            bucket = stream.removeprefix("KV_")
            held = [value_subject(bucket, key) for key in self._buckets[bucket]]
        else:
            held = [message.subject for message in self._streams.get(stream).messages.values()]
        return dict(Counter(subject for subject in held if matches(subject_filter, subject)))

    async def lag(self, consumer: Consumer) -> Lag:
        """Return the consumer's lag."""
        measured_at_s = now_s()
        queued = self._streams.queued(consumer)
        delivered = [message for message in queued if message.attempts]
        all_messages = self._streams.get(consumer.stream).messages.values()
        return Lag(
            pending=len(queued) - len(delivered),
            ack_pending=len(delivered),
            redelivered=sum(message.attempts > 1 for message in delivered),
            oldest_s=max(
                (measured_at_s - message.published_at_s for message in all_messages), default=0.0
            ),
        )

    async def get_value(self, bucket: str, key: str) -> bytes | None:
        """Return a value of a bucket."""
        return self._buckets[bucket].get(key)

    async def get_values(self, bucket: str, keys: Sequence[str]) -> dict[str, bytes]:
        """Return the values of these keys."""
        held = self._buckets[bucket]
        return {key: held[key] for key in keys if key in held}

    async def put_value(self, bucket: str, key: str, value: bytes) -> None:
        """Set a value of a bucket."""
        self._buckets[bucket][key] = value
        self._revisions[bucket, key] = next(self._sequence)
        self._dispatch(value_subject(bucket, key), value)

    async def create_value(self, bucket: str, key: str, value: bytes) -> bool:
        """Set a value that does not exist."""
        return await self.update_value(bucket, key, value, 0)

    async def get_revision(self, bucket: str, key: str) -> Value | None:
        """Return a value of a bucket and its revision."""
        content = self._buckets[bucket].get(key)
        return None if content is None else Value(content, self._revisions[bucket, key])

    async def update_value(self, bucket: str, key: str, value: bytes, revision: int) -> bool:
        """Set a value if it has this revision."""
        current = self._revisions[bucket, key] if key in self._buckets[bucket] else 0
        if current != revision:
            return False

        await self.put_value(bucket, key, value)
        return True

    async def drop_value(self, bucket: str, key: str) -> None:
        """Remove a value."""
        self._buckets[bucket].pop(key, None)

    async def has_object(self, store: str, name: str) -> bool:
        """Return whether an object store holds this object."""
        return name in self._buckets[store]

    async def get_object(self, store: str, name: str) -> bytes | None:
        """Return an object."""
        return self._buckets[store].get(name)

    async def put_object(self, store: str, name: str, content: bytes) -> None:
        """Store an object. Raises QueueFull if the store is full."""
        use = await self.storage_use(f"OBJ_{store}")
        replaced = len(self._buckets[store].get(name, b""))
        if 0 <= use.most < use.used - replaced + len(content):
            raise store_full()

        self._buckets[store][name] = content

    async def drop_object(self, store: str, name: str) -> None:
        """Remove an object."""
        self._buckets[store].pop(name, None)

    async def erase_object(self, store: str, name: str) -> None:
        """Remove an object."""
        await self.drop_object(store, name)

    async def storage_use(self, stream: str) -> StorageUse:
        """Return how full a stream is; of messages only the payloads count."""
        if stream in self._streams:
            counted = self._streams.get(stream)
            used = sum(len(message.payload) for message in counted.messages.values())
            return StorageUse(used, counted.config.max_bytes)

        bucket = stream.partition("_")[2]
        used = sum(len(value) for value in self._buckets[bucket].values())
        return StorageUse(used, self._max_bytes[bucket])

    async def close(self) -> None:
        """Disconnect."""
        self.connected = False

    @property
    def listeners(self) -> int:
        """Return how many subscriptions are open, so that a test can check that none is left."""
        return len(self._subscriptions)

    def _unsubscribe(self, subscription: MemorySubscription) -> None:
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)

    def _dispatch(self, subject: str, payload: bytes, reply: str = "") -> None:
        """Queue a message for its subscribers; of a group, only the oldest subscription receives it."""
        served_groups: set[str] = set()
        for subscription in self._subscriptions:
            if not matches(subscription.subject, subject) or subscription.group in served_groups:
                continue

            subscription.offer(Received(subject, payload, reply))
            if subscription.group:
                served_groups.add(subscription.group)
