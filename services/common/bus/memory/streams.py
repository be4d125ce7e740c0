"""In-memory streams: de-duplication, limits, expiry, and the state of work queue messages."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

from services.common.bus.ports import SubjectFull
from services.common.bus.topology import DUPLICATE_WINDOW_S, Consumer, Stream
from services.common.runtime.tracing import carried
from services.common.wire.failures import BusUnavailable, QueueFull


def matches(pattern: str, subject: str) -> bool:
    """Return whether a NATS subject filter matches a subject.

    "*" matches one token, ">" at the end one or more.
    """
    wanted = pattern.split(".")
    tokens = subject.split(".")

    for index, part in enumerate(wanted):
        if part == ">":
            return len(tokens) > index
        if index >= len(tokens) or part not in ("*", tokens[index]):
            return False

    return len(wanted) == len(tokens)


def store_full() -> QueueFull:
    """Return the failure of a write to a full stream, bucket or store, worded as for NATS."""
    return QueueFull("the stream is at its message limit")


@dataclass
class StoredMessage:
    """A message in a stream, with its delivery state in a work queue."""

    sequence: int
    subject: str
    payload: bytes
    published_at_s: float
    expires_at_s: float
    headers: dict[str, str]
    attempts: int = 0
    visible_at_s: float = 0.0  # when it can be delivered (again)


@dataclass
class MemoryStream:
    """One stream."""

    config: Stream
    messages: dict[int, StoredMessage] = field(default_factory=dict)  # by sequence number
    message_ids: dict[str, float] = field(default_factory=dict)  # id -> when it expires

    def expire(self, at_s: float) -> None:
        """Drop expired messages and message ids."""
        self.messages = {
            sequence: message
            for sequence, message in self.messages.items()
            if message.expires_at_s > at_s
        }
        self.message_ids = {
            message_id: until_s
            for message_id, until_s in self.message_ids.items()
            if until_s > at_s
        }

    def make_space(self, subject: str) -> None:
        """Make space for one more message by dropping the oldest.

        Raises SubjectFull or QueueFull if the stream refuses new messages instead.
        """
        same = [
            sequence for sequence, message in self.messages.items() if message.subject == subject
        ]

        if 0 < self.config.max_messages_per_subject <= len(same):
            if self.config.discard == "new":
                raise SubjectFull("this subject is at its message limit")
            del self.messages[same[0]]

        if 0 < self.config.max_messages <= len(self.messages):
            if self.config.discard == "new":
                raise store_full()
            del self.messages[next(iter(self.messages))]


class MemoryStreams:
    """All streams of a bus. Times are of the event loop's clock."""

    def __init__(self, sequence: Iterator[int]) -> None:
        self._sequence = sequence
        self._streams: dict[str, MemoryStream] = {}
        self._changed = asyncio.Event()

    def create(self, config: Stream) -> None:
        """Create a stream that does not exist."""
        self._streams.setdefault(config.name, MemoryStream(config))

    def __contains__(self, name: str) -> bool:
        """Return whether the stream exists."""
        return name in self._streams

    def get(self, name: str) -> MemoryStream:
        """Return a stream without expired messages."""
        stream = self._streams[name]
        stream.expire(now_s())
        return stream

    def publish(
        self, subject: str, payload: bytes, message_id: str, lifetime_s: float | None
    ) -> bool:
        """Store a message; return False for a duplicate.

        Raises SubjectFull, QueueFull, and BusUnavailable if no stream has the subject.
        """
        stream = self._stream_of(subject)
        published_at_s = now_s()
        stream.expire(published_at_s)

        if message_id in stream.message_ids:
            return False

        stream.make_space(subject)
        stream.message_ids[message_id] = published_at_s + DUPLICATE_WINDOW_S
        sequence = next(self._sequence)
        stream.messages[sequence] = StoredMessage(
            sequence,
            subject,
            payload,
            published_at_s,
            published_at_s + (stream.config.max_age_s if lifetime_s is None else lifetime_s),
            carried(),
        )
        self.wake()
        return True

    def queued(self, consumer: Consumer) -> list[StoredMessage]:
        """Return a consumer's messages, pending and ack-pending, oldest first."""
        return [
            message
            for message in self.get(consumer.stream).messages.values()
            if matches(consumer.filter, message.subject)
        ]

    def remove(self, stream: str, sequence: int) -> None:
        """Remove a message, if it exists."""
        self._streams[stream].messages.pop(sequence, None)

    def wake(self) -> None:
        """Wake pulls that wait, to look for a message again."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def changed(self, timeout_s: float) -> None:
        """Wait until `wake` is called, or for the timeout."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            return

    def _stream_of(self, subject: str) -> MemoryStream:
        for stream in self._streams.values():
            if any(matches(pattern, subject) for pattern in stream.config.subjects):
                return stream
        raise BusUnavailable("NATS has no such stream, or JetStream is off")


def now_s() -> float:
    """Return the event loop's clock, in seconds."""
    return asyncio.get_running_loop().time()
