"""The bus on a real NATS server (>= 2.11, JetStream on)."""

import asyncio
import math
import secrets
import ssl
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import nats
import nats.errors
import nats.js.errors
import structlog
from nats.aio.client import Client
from nats.js import JetStreamContext, api
from nats.js.object_store import ObjectStore

from services.common.bus.config_drift import differences, stream_limits
from services.common.bus.nats.batch_get import MOST_AT_ONCE, last_messages
from services.common.bus.nats.errors import WRONG_LAST_SEQUENCE, refusal, too_large, translated
from services.common.bus.nats.subscriptions import NatsPuller, NatsSubscription
from services.common.bus.ports import SUBSCRIPTION_BYTES, Lag, StorageUse, Stored, Value
from services.common.bus.topology import (
    DUPLICATE_WINDOW_S,
    Consumer,
    Stream,
    Topology,
    stream_names,
    topology,
    value_subject,
)
from services.common.runtime.lifecycle import result_within
from services.common.runtime.service_process import ProcessSettings
from services.common.runtime.tracing import carried
from services.common.wire.failures import BusUnavailable

log = structlog.get_logger()

_NO_ANSWER = (
    nats.errors.TimeoutError,
    nats.js.errors.NoStreamResponseError,
    nats.errors.NoRespondersError,
)
_NO_SUCH_MESSAGE: Final = 10043  # nats-server/server/errors.json
_DRAIN_S: Final = 5
_CLOSE_S: Final = 6.0  # a server that does not answer is left without a farewell
_PAUSE_S: Final = 0.3  # between two attempts at what a server is not ready for
_TELL_DROPPED_S = 10.0


class _StreamState(msgspec.Struct, frozen=True):
    messages: int = 0
    first_ts: datetime = datetime.fromtimestamp(0, UTC)


class _StreamTold(msgspec.Struct, frozen=True):
    """Of JetStream's answer to STREAM.INFO; where there is no such stream, it is empty."""

    state: _StreamState = _StreamState()


class _ConsumerTold(msgspec.Struct, frozen=True):
    """Of JetStream's answer to CONSUMER.INFO; where there is no such consumer, zeros."""

    num_pending: int = 0
    num_ack_pending: int = 0
    num_redelivered: int = 0


_ToldT = TypeVar("_ToldT", _StreamTold, _ConsumerTold)
_AnswerT = TypeVar("_AnswerT")


@dataclass(frozen=True)
class Access:
    """Credentials and TLS of a connection."""

    nkey_seed_file: str = ""
    ca_file: str = ""
    inbox_prefix: str = "_INBOX"

    def options(self) -> dict[str, Any]:
        """Return the client's options. Raises BusUnavailable where a file cannot be read."""
        options: dict[str, Any] = {"inbox_prefix": self.inbox_prefix.encode()}
        try:
            if self.nkey_seed_file:
                options["nkeys_seed_str"] = (
                    Path(self.nkey_seed_file).read_text(encoding="ascii").strip()
                )
            if self.ca_file:
                options["tls"] = ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ValueError) as error:
            raise BusUnavailable(
                f"NATS_NKEY_SEED_FILE or NATS_CA_FILE cannot be used ({error})"
            ) from None
        return options


class NatsBus:
    """A connection that reconnects for ever, and the operations of `ports.Bus` on it."""

    def __init__(self, client: Client, events: "_ConnectionEvents", *, patience_s: float) -> None:
        """Wrap a connected client; `patience_s` is how long an operation is tried before BusUnavailable."""
        self._client = client
        self._events = events
        self._jetstream: JetStreamContext = client.jetstream(timeout=2.0)
        self._patience_s = patience_s
        self._object_stores: dict[str, ObjectStore] = {}

    @classmethod
    async def connect(
        cls, url: str, *, name: str, patience_s: float = 10.0, access: Access = Access()
    ) -> "NatsBus":
        """Connect to `url`, or to one of several with commas between them, under a name that monitoring shows.

        Raises BusUnavailable, also for a user or a certificate that is refused.
        """
        events = _ConnectionEvents()
        connecting = nats.connect(
            url.split(","),
            name=name,
            error_cb=events.on_error,
            disconnected_cb=events.on_disconnect,
            reconnected_cb=events.on_reconnect,
            max_reconnect_attempts=-1,  # the client's default gives up after two minutes and stays closed
            reconnect_time_wait=0.1,
            ping_interval=2,
            max_outstanding_pings=2,
            drain_timeout=_DRAIN_S,
            **access.options(),
        )
        try:
            client = await result_within(patience_s, connecting)
        except (TimeoutError, OSError, nats.errors.Error):
            message = (
                f"NATS does not answer within {patience_s:.0f} s, or not to us; check NATS_URL, NATS_NKEY_SEED_FILE, "
                "NATS_CA_FILE, and that nats-server runs with -js"
            )
            raise BusUnavailable(message) from None
        return cls(client, events, patience_s=patience_s)

    @property
    def connected(self) -> bool:
        """Return whether the client is connected."""
        return bool(self._client.is_connected)

    @property
    def client(self) -> Client:
        """Return the nats-py client, for the other modules of this package."""
        return self._client

    async def establish(self, topology: Topology) -> None:
        """Create what does not exist. An existing stream keeps its settings: they are the operator's.

        Patient, as servers that have just started may still be choosing who leads. Raises BusUnavailable.
        """
        replicas = topology.replicas
        for stream in topology.streams:
            config = _stream_config(stream, replicas)
            await self._ensure(stream.name, partial(self._jetstream.add_stream, config))
        for bucket in topology.buckets:
            values = api.KeyValueConfig(
                bucket=bucket.name,
                ttl=bucket.max_age_s,
                max_bytes=bucket.max_bytes,
                replicas=replicas,
                direct=True,
            )
            await self._ensure(
                f"KV_{bucket.name}", partial(self._jetstream.create_key_value, values)
            )
        for store in topology.stores:
            objects = api.ObjectStoreConfig(
                ttl=store.max_age_s, max_bytes=store.max_bytes, replicas=replicas
            )
            await self._ensure(
                f"OBJ_{store.name}",
                partial(self._jetstream.create_object_store, store.name, objects),
            )
        await self._tell_differences(topology)

    async def require(self, topology: Topology) -> None:
        """Check that everything exists. Raises BusUnavailable with how to create it."""
        for name in stream_names(topology):
            if not await self._patiently(partial(self._exists, name)):
                raise BusUnavailable(
                    f"{name} does not exist; run `python -m services.admin streams` as the operator"
                )
        await self._tell_differences(topology)

    async def _tell_differences(self, topology: Topology) -> None:
        """Log where a stream that exists has other limits than the settings say: it keeps its own."""
        for name, wanted in stream_limits(topology).items():
            async with translated():
                is_now = (await self._jetstream.stream_info(name)).config
            for limit, (found, expected) in differences(wanted, is_now).items():
                log.warning(
                    "stream_differs", stream=name, limit=limit, found=found, expected=expected
                )

    async def _ensure(self, stream: str, create: Callable[[], Awaitable[object]]) -> None:
        async def ensure() -> bool:
            if missing := not await self._exists(stream):
                await create()
            return missing

        if await self._patiently(ensure):
            log.info("stream_created", stream=stream)

    async def _exists(self, stream: str) -> bool:
        try:
            await self._jetstream.stream_info(stream)
        except nats.js.errors.NotFoundError:
            return False
        return True

    async def _patiently(self, attempt: Callable[[], Awaitable[_AnswerT]]) -> _AnswerT:
        """Try until it succeeds, for as long as an operation is tried. Raises BusUnavailable."""
        give_up_at = asyncio.get_running_loop().time() + self._patience_s
        while True:
            try:
                async with translated():
                    return await attempt()
            except BusUnavailable as failure:
                if asyncio.get_running_loop().time() > give_up_at:
                    raise
                log.warning("bus_not_ready", detail=str(failure))
            await asyncio.sleep(_PAUSE_S)

    async def publish(
        self, subject: str, payload: bytes, *, message_id: str, lifetime_s: float | None = None
    ) -> bool:
        """Store a message; a publish that was not answered is repeated under the same id, which the server folds."""
        ttl = None if lifetime_s is None else float(max(1, math.ceil(lifetime_s)))
        try:
            stored = await self._store(
                subject, payload, {api.Header.MSG_ID.value: message_id, **carried()}, ttl
            )
        except nats.js.errors.APIError as error:
            raise refusal(error) from None
        return not stored.duplicate

    async def _store(
        self, subject: str, payload: bytes, headers: dict[str, str], ttl: float | None = None
    ) -> api.PubAck:
        """Publish until it is answered. Raises APIError for a refusal, BusUnavailable, TextTooLong."""
        give_up_at = asyncio.get_running_loop().time() + self._patience_s
        while True:
            try:
                return await self._jetstream.publish(subject, payload, headers=headers, msg_ttl=ttl)
            except (*_NO_ANSWER, nats.errors.OutboundBufferLimitError):
                if asyncio.get_running_loop().time() > give_up_at:
                    raise BusUnavailable("NATS did not store the message in time") from None
                await asyncio.sleep(0.1)
            except nats.errors.MaxPayloadError:
                raise too_large() from None

    async def send(self, subject: str, payload: bytes) -> None:
        """Publish to the current subscribers; the message is not stored."""
        async with translated():
            await self._client.publish(subject, payload)

    async def request(self, subject: str, payload: bytes, *, timeout_s: float) -> bytes | None:
        """Send to one that listens now, and return its answer."""
        try:
            async with translated():
                return (await self._client.request(subject, payload, timeout=timeout_s)).data
        except BusUnavailable:
            if not self._client.is_connected:
                raise
            return None

    async def subscribe(
        self, subject: str, *, limit: int, group: str = "", limit_bytes: int = SUBSCRIPTION_BYTES
    ) -> "NatsSubscription":
        """Subscribe. The server reads a connection in order, so the subscription precedes anything published later."""
        async with translated():
            subscription = await self._client.subscribe(
                subject, queue=group, pending_msgs_limit=limit, pending_bytes_limit=limit_bytes
            )
        return NatsSubscription(subscription)

    async def pull(self, consumer: Consumer) -> "NatsPuller":
        """Create the durable where it does not exist and bind to it; patient, as `establish` is."""
        config = api.ConsumerConfig(
            durable_name=consumer.name,
            filter_subject=consumer.filter,
            ack_policy=api.AckPolicy.EXPLICIT,
            ack_wait=consumer.ack_wait_s,
            max_deliver=consumer.max_deliver,
            max_ack_pending=consumer.max_in_progress,
        )

        async def bind() -> JetStreamContext.PullSubscription:
            await self._jetstream.add_consumer(consumer.stream, config)
            return await self._jetstream.pull_subscribe_bind(
                durable=consumer.name, stream=consumer.stream
            )

        return NatsPuller(await self._patiently(bind))

    async def last(self, stream: str, subject: str) -> bytes | None:
        """Return the last stored message of exactly this subject, by direct get."""
        async with translated():
            try:
                message = await self._jetstream.get_msg(stream, subject=subject, direct=True)
            except nats.js.errors.NotFoundError:
                return None
        return message.data

    async def stored(self, stream: str, subject_filter: str, *, most: int) -> list[Stored]:
        """Return the oldest stored messages that match, one request each."""
        found: list[Stored] = []
        async with translated():
            with suppress(nats.js.errors.NotFoundError):
                number = 1
                while len(found) < most:
                    message = await self._jetstream.get_msg(
                        stream, seq=number, subject=subject_filter, next=True
                    )
                    found.append(_stored(message))
                    number = found[-1].number + 1
        return found

    async def remove(self, stream: str, number: int) -> None:
        """Remove one stored message."""
        async with translated():
            try:
                await self._jetstream.delete_msg(stream, number)
            except nats.js.errors.APIError as error:
                if error.err_code != _NO_SUCH_MESSAGE:
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
        async with translated():
            told = await self._jetstream.stream_info(stream, subjects_filter=subject_filter)
        return dict(told.state.subjects or {})

    async def lag(self, consumer: Consumer) -> Lag:
        """Return how far the consumer is behind; the age is counted on this machine's clock."""
        stream = await self._told(f"STREAM.INFO.{consumer.stream}", _StreamTold)
        told = await self._told(f"CONSUMER.INFO.{consumer.stream}.{consumer.name}", _ConsumerTold)
        age_s = time.time() - stream.state.first_ts.timestamp() if stream.state.messages else 0.0
        return Lag(told.num_pending, told.num_ack_pending, told.num_redelivered, max(0.0, age_s))

    async def _told(self, what: str, kind: type[_ToldT]) -> _ToldT:
        """Ask JetStream what nats-py leaves out of its own answers."""
        async with translated():
            answer = await self._client.request(f"$JS.API.{what}", timeout=2.0)
        return msgspec.json.decode(answer.data, type=kind)

    async def get_value(self, bucket: str, key: str) -> bytes | None:
        """Return a value, by direct get on the bucket's stream (a bucket is a stream: ADR-8 of nats-architecture)."""
        return await self.last(f"KV_{bucket}", value_subject(bucket, key)) or None

    async def get_values(self, bucket: str, keys: Sequence[str]) -> dict[str, bytes]:
        """Return the values of these keys, by one direct get for each 512 of them."""
        found: dict[str, bytes] = {}
        prefix = len(value_subject(bucket, ""))
        for begin in range(0, len(keys), MOST_AT_ONCE):
            wanted = [value_subject(bucket, key) for key in keys[begin : begin + MOST_AT_ONCE]]
            async with translated():
                messages = await last_messages(self._client, f"KV_{bucket}", wanted)
            found |= {subject[prefix:]: value for subject, value in messages.items() if value}
        return found

    async def put_value(self, bucket: str, key: str, value: bytes) -> None:
        """Set a value; two workers that set the same key set the same value."""
        async with translated():
            await self._jetstream.publish(value_subject(bucket, key), value)

    async def create_value(self, bucket: str, key: str, value: bytes) -> bool:
        """Set a value where the subject has no message yet; the server decides, so one of many callers wins."""
        return await self.update_value(bucket, key, value, 0)

    async def get_revision(self, bucket: str, key: str) -> Value | None:
        """Return a value and the number of its message; what a follower reads late costs a failed update."""
        subject = value_subject(bucket, key)
        async with translated():
            try:
                message = await self._jetstream.get_msg(
                    f"KV_{bucket}", subject=subject, direct=True
                )
            except nats.js.errors.NotFoundError:
                return None
        return Value(message.data or b"", message.seq or 0)

    async def update_value(self, bucket: str, key: str, value: bytes, revision: int) -> bool:
        """Set a value where the last message of the subject is this one; the server decides, so one of many wins.

        A publish without an answer is repeated. If the server stored it before it crashed, the repeat may be refused
        because of its own first copy; the message id distinguishes the two cases.
        """
        message_id = secrets.token_hex(16)
        subject = value_subject(bucket, key)
        headers = {
            api.Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value: str(revision),
            api.Header.MSG_ID.value: message_id,
        }
        try:
            await self._store(subject, value, headers)
        except nats.js.errors.APIError as error:
            if error.err_code != WRONG_LAST_SEQUENCE:
                raise refusal(error) from None
            return await self._last_message_id(bucket, subject) == message_id
        return True

    async def _last_message_id(self, bucket: str, subject: str) -> str | None:
        """Return the message id of the last message of a subject; a follower may read an older one."""
        async with translated():
            try:
                message = await self._jetstream.get_last_msg(f"KV_{bucket}", subject, direct=True)
            except nats.js.errors.NotFoundError:
                return None
        return (message.headers or {}).get(api.Header.MSG_ID.value)

    async def drop_value(self, bucket: str, key: str) -> None:
        """Remove the value's messages; a marker would stand in the way of the next `create_value`."""
        await self.purge(f"KV_{bucket}", value_subject(bucket, key))

    async def has_object(self, store: str, name: str) -> bool:
        """Return whether the object exists; its description is written after its last chunk."""
        async with translated():
            try:
                await (await self._objects(store)).get_info(name)
            except nats.js.errors.NotFoundError:
                return False
        return True

    async def get_object(self, store: str, name: str) -> bytes | None:
        """Return an object, checked against its digest by the client."""
        async with translated():
            try:
                return (await (await self._objects(store)).get(name)).data
            except nats.js.errors.NotFoundError:
                return None

    async def put_object(self, store: str, name: str, content: bytes) -> None:
        """Store an object in chunks of 128 KiB."""
        async with translated():
            await (await self._objects(store)).put(name, content)

    async def drop_object(self, store: str, name: str) -> None:
        """Remove an object's messages, its description first; unlike the client's delete it leaves no marker."""
        async with translated():
            try:
                info = await (await self._objects(store)).get_info(name)
            except nats.js.errors.NotFoundError:
                return
        await self.purge(
            f"OBJ_{store}", f"$O.{store}.M.{urlsafe_b64encode(name.encode()).decode()}"
        )
        await self.purge(f"OBJ_{store}", f"$O.{store}.C.{info.nuid}")

    async def storage_use(self, stream: str) -> StorageUse:
        """Return how full a stream is."""
        async with translated():
            found = await self._jetstream.stream_info(stream)
        return StorageUse(found.state.bytes, found.config.max_bytes or -1)

    async def _objects(self, store: str) -> ObjectStore:
        if store not in self._object_stores:
            self._object_stores[store] = await self._jetstream.object_store(store)
        return self._object_stores[store]

    async def close(self) -> None:
        """Drain: what was published is sent, subscriptions end, the connection closes."""
        self._events.expected = True
        closing = asyncio.create_task(self._leave(), name="leave-nats")
        await asyncio.wait([closing], timeout=_CLOSE_S)
        closing.cancel()

    async def _leave(self) -> None:
        if self._client.is_connected:
            with suppress(nats.errors.Error, TimeoutError):
                await self._client.drain()
        await self._client.close()


async def connect(settings: ProcessSettings, *, name: str) -> NatsBus:
    """Connect as the settings say. Raises BusUnavailable."""
    access = Access(settings.nats_nkey_seed_file, settings.nats_ca_file, settings.nats_inbox_prefix)
    return await NatsBus.connect(settings.nats_url, name=name, access=access)


@asynccontextmanager
async def connected_bus(settings: ProcessSettings, *, name: str) -> AsyncIterator[NatsBus]:
    """Connect, see that all streams and buckets exist, and close at the end. Raises BusUnavailable."""
    bus = await connect(settings, name=name)
    try:
        wanted = topology(
            replicas=settings.nats_replicas,
            audio_max_bytes=settings.audio_store_bytes,
            audio_kept_s=settings.audio_kept_s,
            results_kept_s=settings.job_results_kept_s,
        )
        if settings.nats_establish:
            await bus.establish(wanted)
        else:
            await bus.require(wanted)
        yield bus
    finally:
        await bus.close()


class _ConnectionEvents:
    """Logs what happens to the connection, unless it is being closed."""

    def __init__(self) -> None:
        self.expected = False
        self._dropped = 0
        self._told_s = -math.inf

    async def on_error(self, error: Exception) -> None:
        if isinstance(error, nats.errors.SlowConsumerError):
            self._tell_dropped()
            return
        log.warning("bus_error", error=type(error).__name__, detail=str(error)[:200])

    def _tell_dropped(self) -> None:
        """A listener is slower than its messages: they are dropped one by one, which is not worth a line each."""
        self._dropped += 1
        now_s = time.monotonic()
        if now_s - self._told_s > _TELL_DROPPED_S:
            log.warning("listener_slow", dropped=self._dropped)
            self._dropped, self._told_s = 0, now_s

    async def on_disconnect(self) -> None:
        if not self.expected:
            log.warning("bus_disconnected")

    async def on_reconnect(self) -> None:
        log.info("bus_reconnected")


def _stored(message: api.RawStreamMsg) -> Stored:
    when = message.time
    return Stored(
        number=message.seq or 0,
        subject=message.subject or "",
        payload=message.data or b"",
        unix_s=when.timestamp() if when is not None else 0.0,
    )


def _stream_config(stream: Stream, replicas: int) -> api.StreamConfig:
    work_queue = stream.retention == "workqueue"
    return api.StreamConfig(
        name=stream.name,
        subjects=list(stream.subjects),
        retention=api.RetentionPolicy.WORK_QUEUE if work_queue else api.RetentionPolicy.LIMITS,
        discard=api.DiscardPolicy.NEW if stream.discard == "new" else api.DiscardPolicy.OLD,
        discard_new_per_subject=stream.discard == "new" and stream.max_messages_per_subject > 0,
        max_age=stream.max_age_s,
        max_bytes=stream.max_bytes,
        max_msgs=stream.max_messages,
        max_msgs_per_subject=stream.max_messages_per_subject,
        max_consumers=20_000,  # without one of its own a stream is capped at 1,000 from server 2.15 on
        duplicate_window=DUPLICATE_WINDOW_S,
        allow_direct=True,
        allow_msg_ttl=stream.message_lifetimes or None,
        storage=api.StorageType.FILE,
        num_replicas=replicas,
    )
