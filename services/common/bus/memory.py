"""The bus in one process: the twin of `connection.NatsBus` for tests, held to the same cases.

It keeps what JetStream keeps: work queues with acknowledgement waits, redelivery and delays, de-duplication by
message id, limits by stream and subject, last message by subject, and core subscriptions that hear stored messages.
"""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from services.common.bus.ports import (
    SUBSCRIPTION_BYTES,
    Lag,
    Received,
    StorageUse,
    Stored,
    SubjectFull,
    Value,
)
from services.common.bus.topology import (
    DUPLICATE_WINDOW_S,
    Consumer,
    Stream,
    Topology,
    value_subject,
)
from services.common.runtime.tracing import carried
from services.common.wire.failures import BusUnavailable, QueueFull


def matches(pattern: str, subject: str) -> bool:
    """Return whether a NATS subject filter matches a subject: "*" is one token, a last ">" one or more."""
    wanted, given = pattern.split("."), subject.split(".")
    for place, part in enumerate(wanted):
        if part == ">":
            return len(given) > place
        if place >= len(given) or part not in ("*", given[place]):
            return False
    return len(wanted) == len(given)


@dataclass
class _Stored:
    """A message in a stream, and where it is in its work queue."""

    sequence: int
    subject: str
    payload: bytes
    published_at_s: float
    expires_at_s: float
    headers: dict[str, str]
    attempts: int = 0
    visible_at_s: float = 0.0  # when it may be delivered (again)


@dataclass
class _MemoryStream:
    config: Stream
    messages: dict[int, _Stored] = field(default_factory=dict)
    seen: dict[str, float] = field(default_factory=dict)  # message id -> when it is forgotten

    def forget(self, now_s: float) -> None:
        """Drop what has outlived its time."""
        for sequence in [
            key for key, stored in self.messages.items() if stored.expires_at_s <= now_s
        ]:
            del self.messages[sequence]
        for message_id in [key for key, until_s in self.seen.items() if until_s <= now_s]:
            del self.seen[message_id]

    def admit(self, subject: str) -> None:
        """Make space for one more message, or refuse."""
        same = [sequence for sequence, stored in self.messages.items() if stored.subject == subject]
        if 0 < self.config.max_messages_per_subject <= len(same):
            if self.config.discard == "new":
                raise SubjectFull("this subject holds all the messages that it takes")
            del self.messages[same[0]]
        if 0 < self.config.max_messages <= len(self.messages):
            if self.config.discard == "new":
                raise QueueFull("the stream holds all the messages that it takes")
            del self.messages[next(iter(self.messages))]


class MemoryBus:
    """All of `ports.Bus`, for the services of one process. Nothing survives it."""

    def __init__(self) -> None:
        self._sequence = itertools.count(1)
        self._streams: dict[str, _MemoryStream] = {}
        self._listeners: list[MemorySubscription] = []
        self._buckets: dict[str, dict[str, bytes]] = {}
        self._revisions: dict[tuple[str, str], int] = {}  # of the values, by bucket and key
        self._most: dict[str, int] = {}  # bytes that a store or bucket takes
        self._changed = asyncio.Event()
        self.connected = True

    async def establish(self, topology: Topology) -> None:
        """Create what does not exist."""
        for stream in topology.streams:
            self._streams.setdefault(stream.name, _MemoryStream(stream))
        for bucket in (*topology.buckets, *topology.stores):
            self._buckets.setdefault(bucket.name, {})
            self._most.setdefault(bucket.name, bucket.max_bytes)

    async def publish(
        self, subject: str, payload: bytes, *, message_id: str, lifetime_s: float | None = None
    ) -> bool:
        """Store a message in the stream of its subject, and let listeners hear it."""
        self._hear(subject, payload)  # as on NATS, whether or not the stream takes it
        stream = self._stream_of(subject)
        now_s = self.now_s()
        stream.forget(now_s)
        if message_id in stream.seen:
            return False
        stream.admit(subject)
        stream.seen[message_id] = now_s + DUPLICATE_WINDOW_S
        lives_s = stream.config.max_age_s if lifetime_s is None else lifetime_s
        sequence = next(self._sequence)
        stream.messages[sequence] = _Stored(
            sequence, subject, payload, now_s, now_s + lives_s, carried()
        )
        self.wake()
        return True

    async def send(self, subject: str, payload: bytes) -> None:
        """Publish to the current subscribers; the message is not stored."""
        self._hear(subject, payload)

    async def request(self, subject: str, payload: bytes, *, timeout_s: float) -> bytes | None:
        """Send to one that listens now, and return its answer."""
        inbox = f"_INBOX.{next(self._sequence)}"
        listener = await self.subscribe(inbox, limit=1)
        try:
            self._hear(subject, payload, reply=inbox)
            answer = await listener.next(timeout_s)
        finally:
            await listener.close()
        return None if answer is None else answer.payload

    async def subscribe(
        self,
        subject: str,
        *,
        limit: int,
        group: str = "",
        limit_bytes: int = SUBSCRIPTION_BYTES,  # noqa: ARG002
    ) -> "MemorySubscription":
        """Subscribe; only the real bus counts bytes."""
        listener = MemorySubscription(self, subject, limit, group)
        self._listeners.append(listener)
        return listener

    async def pull(self, consumer: Consumer) -> "MemoryPuller":
        """Join a work queue."""
        return MemoryPuller(self, consumer)

    async def last(self, stream: str, subject: str) -> bytes | None:
        """Return the last stored message of exactly this subject."""
        kept = self._streams[stream]
        kept.forget(self.now_s())
        found = [stored.payload for stored in kept.messages.values() if stored.subject == subject]
        return found[-1] if found else None

    async def stored(self, stream: str, subject_filter: str, *, most: int) -> list[Stored]:
        """Return the oldest stored messages that match."""
        kept = self._streams[stream]
        kept.forget(self.now_s())
        found = [
            message
            for message in kept.messages.values()
            if matches(subject_filter, message.subject)
        ]
        began_unix_s = time.time() - self.now_s()
        return [
            Stored(
                message.sequence,
                message.subject,
                message.payload,
                began_unix_s + message.published_at_s,
            )
            for message in found[:most]
        ]

    async def remove(self, stream: str, number: int) -> None:
        """Remove one stored message."""
        self._streams[stream].messages.pop(number, None)

    async def purge(self, stream: str, subject_filter: str) -> None:
        """Remove all stored messages that match; a bucket's values are messages as well."""
        if stream.startswith("KV_"):
            for subject in await self.count_by_subject(stream, subject_filter):
                await self.drop_value(stream[3:], subject[len(value_subject(stream[3:], "")) :])
            return
        kept = self._streams[stream]
        kept.messages = {
            key: stored
            for key, stored in kept.messages.items()
            if not matches(subject_filter, stored.subject)
        }

    async def message_count(self, stream: str) -> int:
        """Return how many messages a stream holds."""
        self._streams[stream].forget(self.now_s())
        return len(self._streams[stream].messages)

    async def count_by_subject(self, stream: str, subject_filter: str) -> dict[str, int]:
        """Return how many messages a stream holds on each subject; a bucket's values are messages as well."""
        if stream.startswith("KV_"):
            bucket = stream.removeprefix("KV_")
            held = [value_subject(bucket, key) for key in self._buckets[bucket]]
        else:
            self._streams[stream].forget(self.now_s())
            held = [stored.subject for stored in self._streams[stream].messages.values()]
        return dict(Counter(subject for subject in held if matches(subject_filter, subject)))

    async def lag(self, consumer: Consumer) -> Lag:
        """Return how far the consumer is behind."""
        now_s, queued = self.now_s(), list(self.queued(consumer))
        out = [stored for stored in queued if stored.attempts]
        everything = self._streams[consumer.stream].messages.values()
        return Lag(
            waiting=len(queued) - len(out),
            in_progress=len(out),
            repeated=sum(stored.attempts > 1 for stored in out),
            oldest_s=max((now_s - stored.published_at_s for stored in everything), default=0.0),
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
        self._hear(value_subject(bucket, key), value)

    async def create_value(self, bucket: str, key: str, value: bytes) -> bool:
        """Set a value that is not set."""
        return await self.update_value(bucket, key, value, 0)

    async def get_revision(self, bucket: str, key: str) -> Value | None:
        """Return a value of a bucket and its revision."""
        content = self._buckets[bucket].get(key)
        return None if content is None else Value(content, self._revisions[bucket, key])

    async def update_value(self, bucket: str, key: str, value: bytes, revision: int) -> bool:
        """Set a value that has this revision."""
        now = self._revisions[bucket, key] if key in self._buckets[bucket] else 0
        if now != revision:
            return False
        await self.put_value(bucket, key, value)
        return True

    async def drop_value(self, bucket: str, key: str) -> None:
        """Forget a value."""
        self._buckets[bucket].pop(key, None)

    async def has_object(self, store: str, name: str) -> bool:
        """Return whether an object store holds this object."""
        return name in self._buckets[store]

    async def get_object(self, store: str, name: str) -> bytes | None:
        """Return an object."""
        return self._buckets[store].get(name)

    async def put_object(self, store: str, name: str, content: bytes) -> None:
        """Store an object."""
        used, most = await self.storage_use(f"OBJ_{store}")
        if 0 <= most < used - len(self._buckets[store].get(name, b"")) + len(content):
            raise QueueFull("the stream holds all the messages that it takes")
        self._buckets[store][name] = content

    async def drop_object(self, store: str, name: str) -> None:
        """Forget an object."""
        self._buckets[store].pop(name, None)

    async def storage_use(self, stream: str) -> StorageUse:
        """Return how full a stream is; of messages it counts the payloads."""
        if stream in self._streams:
            kept = self._streams[stream]
            kept.forget(self.now_s())
            return StorageUse(
                sum(len(stored.payload) for stored in kept.messages.values()), kept.config.max_bytes
            )
        name = stream.partition("_")[2]
        return StorageUse(sum(map(len, self._buckets[name].values())), self._most[name])

    async def close(self) -> None:
        """Disconnect."""
        self.connected = False

    def now_s(self) -> float:
        """Return the event loop's clock, in seconds."""
        return asyncio.get_running_loop().time()

    def queued(self, consumer: Consumer) -> list[_Stored]:
        """Return what is stored for a consumer, oldest first."""
        stream = self._streams[consumer.stream]
        stream.forget(self.now_s())
        return [
            stored
            for stored in stream.messages.values()
            if matches(consumer.filter, stored.subject)
        ]

    def take_out(self, consumer: Consumer, sequence: int) -> None:
        """Take a message out of its work queue."""
        self._streams[consumer.stream].messages.pop(sequence, None)

    def wake(self) -> None:
        """Let waiting pulls look again."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def changed(self, timeout_s: float) -> None:
        """Wait until something changed, at most so long."""
        try:
            await asyncio.wait_for(self._changed.wait(), timeout_s)
        except TimeoutError:
            return

    def unsubscribe(self, listener: "MemorySubscription") -> None:
        """Forget a listener."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    @property
    def listeners(self) -> int:
        """Return how many subscriptions are open, so that a test can ask for none."""
        return len(self._listeners)

    def _stream_of(self, subject: str) -> _MemoryStream:
        for stream in self._streams.values():
            if any(matches(pattern, subject) for pattern in stream.config.subjects):
                return stream
        raise BusUnavailable("NATS has no such stream, or JetStream is off")

    def _hear(self, subject: str, payload: bytes, reply: str = "") -> None:
        served: set[str] = set()  # groups: the listener that is longest there hears all
        for listener in self._listeners:
            if matches(listener.subject, subject) and listener.group not in served:
                listener.offer(Received(subject, payload, reply))
                served |= {listener.group} - {""}


class MemorySubscription:
    """A subscription with a bounded queue."""

    def __init__(self, bus: MemoryBus, subject: str, limit: int, group: str = "") -> None:
        self._bus = bus
        self.subject = subject
        self.group = group
        self._queue: asyncio.Queue[Received] = asyncio.Queue(limit)

    def offer(self, heard: Received) -> None:
        """Queue a message, if there is space."""
        if not self._queue.full():
            self._queue.put_nowait(heard)

    async def next(self, timeout_s: float) -> Received | None:
        """Return the next message, or None after the timeout."""
        try:
            return await asyncio.wait_for(self._queue.get(), timeout_s)
        except TimeoutError:
            return None

    async def close(self) -> None:
        """Unsubscribe."""
        self._bus.unsubscribe(self)


class MemoryPuller:
    """One process's membership of a work queue."""

    def __init__(self, bus: MemoryBus, consumer: Consumer) -> None:
        self._bus = bus
        self._consumer = consumer

    async def next(self, timeout_s: float) -> "MemoryDelivery | None":
        """Return the next message that is visible, or None after the timeout."""
        give_up_at_s = self._bus.now_s() + timeout_s
        while True:
            now_s = self._bus.now_s()
            waiting = [
                stored
                for stored in self._bus.queued(self._consumer)
                if stored.attempts < self._consumer.max_deliver
            ]
            for stored in waiting:
                if stored.visible_at_s <= now_s:
                    return self._deliver(stored, now_s)
            if now_s >= give_up_at_s:
                return None
            next_s = min([stored.visible_at_s for stored in waiting], default=give_up_at_s)
            await self._bus.changed(max(0.0, min(next_s, give_up_at_s) - now_s))

    def _deliver(self, stored: _Stored, now_s: float) -> "MemoryDelivery":
        stored.attempts += 1
        stored.visible_at_s = now_s + self._consumer.ack_wait_s
        return MemoryDelivery(self._bus, self._consumer, stored, now_s)

    async def close(self) -> None:
        """Do nothing: every message that was fetched was returned."""


class MemoryDelivery:
    """A message that waits for its acknowledgement."""

    def __init__(self, bus: MemoryBus, consumer: Consumer, stored: _Stored, now_s: float) -> None:
        self._bus = bus
        self._consumer = consumer
        self._stored = stored
        self.subject = stored.subject
        self.payload = stored.payload
        self.headers = stored.headers
        self.attempt = stored.attempts
        self.age_s = now_s - stored.published_at_s

    async def ack(self) -> None:
        """Remove the message from the queue."""
        self._bus.take_out(self._consumer, self._stored.sequence)

    async def reject(self) -> None:
        """Remove the message from the queue."""
        self._bus.take_out(self._consumer, self._stored.sequence)

    async def retry(self, delay_s: float) -> None:
        """Deliver it again after the delay."""
        self._stored.visible_at_s = self._bus.now_s() + delay_s
        self._bus.wake()

    async def extend(self) -> None:
        """Restart the acknowledgement wait."""
        self._stored.visible_at_s = self._bus.now_s() + self._consumer.ack_wait_s
