"""Stored messages of streams: read, remove, purge, count; consumer lag and storage use."""

import asyncio
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final, TypeVar

import msgspec
import nats.js.errors
from nats.js import api

from services.common.bus.nats.batch_get import next_messages
from services.common.bus.nats.errors import WRONG_LAST_SEQUENCE, refusal, translated
from services.common.bus.nats.jetstream import JetStreamOperations
from services.common.bus.ports import Lag, StorageUse, Stored
from services.common.bus.topology import Consumer
from services.common.wire.failures import BusUnavailable

# Error codes of nats-server/server/errors.json.
_NO_SUCH_MESSAGE: Final = 10043
_DELETE_FAILED: Final = 10057
_REMOVED_MEANWHILE: Final = ("no message found", "deleted message")  # reasons of a failed delete
_INFO_TIMEOUT_S: Final = 2.0
_STALE_READS: Final = 5
_STALE_READ_S: Final = 0.1


class _StreamState(msgspec.Struct, frozen=True):
    messages: int = 0
    bytes: int = 0
    first_ts: datetime = datetime.fromtimestamp(0, UTC)


class _StreamConfig(msgspec.Struct, frozen=True):
    max_bytes: int = -1


class _Replica(msgspec.Struct, frozen=True):
    """A follower of a stream's Raft group."""

    current: bool = (
        True  # false where the server is down: `offline` is only set once it was removed
    )
    lag: int = 0


class _Cluster(msgspec.Struct, frozen=True):
    replicas: tuple[_Replica, ...] = ()


class _StreamInfo(msgspec.Struct, frozen=True):
    """The part of JetStream's STREAM.INFO reply that is read; empty if the stream does not exist."""

    state: _StreamState = _StreamState()
    config: _StreamConfig = _StreamConfig()
    cluster: _Cluster = _Cluster()  # absent on a single server


class _ConsumerInfo(msgspec.Struct, frozen=True):
    """The part of JetStream's CONSUMER.INFO reply that is read; zeros if there is no such consumer."""

    num_pending: int = 0
    num_ack_pending: int = 0
    num_redelivered: int = 0


class _Error(msgspec.Struct, frozen=True):
    """An error of the JetStream API."""

    err_code: int = 0
    description: str = ""


class _Counted(msgspec.Struct, frozen=True):
    """Messages by subject."""

    subjects: dict[str, int] | None = None


class _SubjectsPage(msgspec.Struct, frozen=True):
    """The part of a STREAM.INFO reply with subjects that is read; the server sends up to 100,000 in one reply."""

    state: _Counted = _Counted()
    total: int = 0  # subjects of all pages
    error: _Error | None = None


_InfoT = TypeVar("_InfoT", _StreamInfo, _ConsumerInfo, _SubjectsPage)


class StreamOperations(JetStreamOperations):
    """Operations on the stored messages of streams."""

    async def last(self, stream: str, subject: str) -> bytes | None:
        """Return the last stored message of exactly this subject, by direct get."""
        async with translated():
            try:
                message = await self._jetstream.get_msg(stream, subject=subject, direct=True)
            except nats.js.errors.NotFoundError:
                return None
        return message.data

    async def last_stored(self, stream: str, subject: str) -> Stored | None:
        """Return the last stored message of exactly this subject, by direct get."""
        async with translated():
            try:
                message = await self._jetstream.get_msg(stream, subject=subject, direct=True)
            except nats.js.errors.NotFoundError:
                return None
        return _stored(message)

    async def append(self, stream: str, subject: str, payload: bytes, *, after: int) -> int | None:
        """Store a message if the subject's last one has this number; the server decides.

        A publish without an answer is repeated. If the server stored it before it crashed, the
        repeat may be refused because of its own first copy; the message id distinguishes the two
        cases.
        """
        message_id = secrets.token_hex(16)
        headers = {
            api.Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value: str(after),
            api.Header.MSG_ID.value: message_id,
        }

        try:
            stored = await self._publish_until_stored(subject, payload, headers)
        except nats.js.errors.APIError as error:
            if error.err_code != WRONG_LAST_SEQUENCE:
                raise refusal(error) from None
            return await self._own_copy(stream, subject, after=after, message_id=message_id)

        return stored.seq

    async def _own_copy(
        self, stream: str, subject: str, *, after: int, message_id: str
    ) -> int | None:
        """Return the number of the subject's last message, if newer than `after` and with this id.

        By direct get, as a service's NATS user has no permission for more. A replica that answers
        with an older message is behind the leader, so the read is repeated.
        """
        for _ in range(_STALE_READS):
            async with translated():
                with suppress(nats.js.errors.NotFoundError):
                    message = await self._jetstream.get_msg(stream, subject=subject, direct=True)
                    if (message.seq or 0) > after:
                        headers = message.headers or {}
                        own = headers.get(api.Header.MSG_ID.value) == message_id
                        return message.seq if own else None

            await asyncio.sleep(_STALE_READ_S)

        return None

    async def page(
        self, stream: str, subject: str, *, after: int, since_unix_s: float = 0.0
    ) -> list[Stored]:
        """Return the next stored messages of a subject, by one direct get."""
        async with translated():
            return await next_messages(
                self._client, stream, subject, after=after, since_unix_s=since_unix_s
            )

    async def stored(self, stream: str, subject_filter: str, *, most: int) -> list[Stored]:
        """Return the oldest stored messages that match, at most `most`; one request for each."""
        found: list[Stored] = []
        next_sequence = 1

        async with translated():
            with suppress(nats.js.errors.NotFoundError):
                while len(found) < most:
                    message = await self._jetstream.get_msg(
                        stream, seq=next_sequence, subject=subject_filter, next=True
                    )
                    found.append(_stored(message))
                    next_sequence = found[-1].number + 1

        return found

    async def remove(self, stream: str, number: int) -> None:
        """Remove one stored message."""
        async with translated():
            try:
                await self._jetstream.delete_msg(stream, number)
            except nats.js.errors.APIError as error:
                if not _is_removed(error):
                    raise

    async def purge(self, stream: str, subject_filter: str) -> None:
        """Remove all stored messages that match."""
        async with translated():
            await self._jetstream.purge_stream(stream, subject=subject_filter)

    async def message_count(self, stream: str) -> int:
        """Return how many messages a stream holds."""
        async with translated():
            return (await self._jetstream.stream_info(stream)).state.messages

    async def count_by_subject(self, stream: str, subject_filter: str) -> dict[str, int]:
        """Return how many messages a stream holds on each subject that matches."""
        counted: dict[str, int] = {}
        offset = 0
        while True:
            query = {"subjects_filter": subject_filter, "offset": offset}
            page = await self._info(f"STREAM.INFO.{stream}", _SubjectsPage, query)
            if page.error is not None:
                raise BusUnavailable(
                    f"NATS refused: {page.error.description} ({page.error.err_code})"
                )

            subjects = page.state.subjects or {}
            counted |= subjects
            offset += len(subjects)
            if not subjects or offset >= page.total:
                return counted

    async def lag(self, consumer: Consumer) -> Lag:
        """Return the consumer's lag; the age is measured with this machine's clock."""
        stream = await self._info(f"STREAM.INFO.{consumer.stream}", _StreamInfo)
        info = await self._info(f"CONSUMER.INFO.{consumer.stream}.{consumer.name}", _ConsumerInfo)
        oldest_s = time.time() - stream.state.first_ts.timestamp() if stream.state.messages else 0.0
        return Lag(
            pending=info.num_pending,
            ack_pending=info.num_ack_pending,
            redelivered=info.num_redelivered,
            oldest_s=max(0.0, oldest_s),
        )

    async def storage_use(self, stream: str) -> StorageUse:
        """Return how full a stream is, and the state of its replicas."""
        info = await self._info(f"STREAM.INFO.{stream}", _StreamInfo)
        replicas = info.cluster.replicas
        return StorageUse(
            info.state.bytes,
            info.config.max_bytes or -1,
            replica_lag=max((replica.lag for replica in replicas if replica.current), default=0),
            replicas_behind=sum(not replica.current for replica in replicas),
        )

    async def _info(
        self, api_name: str, kind: type[_InfoT], query: Mapping[str, object] | None = None
    ) -> _InfoT:
        """Request information from the JetStream API; nats-py omits some of these fields."""
        async with translated():
            reply = await self._client.request(
                f"$JS.API.{api_name}",
                b"" if query is None else msgspec.json.encode(query),
                timeout=_INFO_TIMEOUT_S,
            )
        return msgspec.json.decode(reply.data, type=kind)


def _is_removed(error: nats.js.errors.APIError) -> bool:
    """Return whether a message could not be deleted because it no longer exists."""
    if error.err_code == _DELETE_FAILED:
        return error.description in _REMOVED_MEANWHILE
    return error.err_code == _NO_SUCH_MESSAGE


def _stored(message: api.RawStreamMsg) -> Stored:
    stored_at = message.time
    return Stored(
        number=message.seq or 0,
        subject=message.subject or "",
        payload=message.data or b"",
        unix_s=0.0 if stored_at is None else stored_at.timestamp(),
    )
