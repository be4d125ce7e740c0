"""The bus on a real NATS server (>= 2.11, JetStream on)."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import nats
import nats.errors
import nats.js.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js import JetStreamContext, api
from nats.js.object_store import ObjectStore

from services.common.bus.ports import Backlog, Heard, SubjectFull
from services.common.bus.topology import DUPLICATE_WINDOW_S, Consumer, Stream, Topology
from services.common.wire.failures import BusUnavailable, PipelineError, QueueFull

log = structlog.get_logger()

# JetStream API error codes (nats-server/server/errors.json).
_STORE_REFUSED = 10077  # a limit of the stream was reached under discard=new
_NO_ANSWER = (nats.errors.TimeoutError, nats.js.errors.NoStreamResponseError, nats.errors.NoRespondersError)
_LISTENER_BYTES = 32 * 1024 * 1024
_HAND_BACK_S = 0.2  # longer than this process still pulls


class NatsBus:
    """A connection that reconnects for ever, and the operations of `ports.Bus` on it."""

    def __init__(self, client: Client, *, patience_s: float) -> None:
        """Wrap a connected client; `patience_s` is how long an operation is tried before BusUnavailable."""
        self._client = client
        self._jetstream: JetStreamContext = client.jetstream(timeout=2.0)
        self._patience_s = patience_s
        self._object_stores: dict[str, ObjectStore] = {}

    @classmethod
    async def connect(cls, url: str, *, name: str, patience_s: float = 10.0) -> "NatsBus":
        """Connect to `url` under a name that the server's monitoring shows. Raises BusUnavailable."""

        async def on_error(error: Exception) -> None:
            log.warning("bus_error", error=type(error).__name__, detail=str(error)[:200])

        async def on_disconnect() -> None:
            log.warning("bus_disconnected")

        async def on_reconnect() -> None:
            log.info("bus_reconnected")

        connecting = nats.connect(
            url,
            name=name,
            error_cb=on_error,
            disconnected_cb=on_disconnect,
            reconnected_cb=on_reconnect,
            max_reconnect_attempts=-1,  # the client's default gives up after two minutes and stays closed
            reconnect_time_wait=0.1,
            ping_interval=2,
            max_outstanding_pings=2,
            drain_timeout=5,
        )
        try:
            client = await asyncio.wait_for(connecting, patience_s)
        except (TimeoutError, OSError, nats.errors.Error):
            message = (
                f"NATS does not answer within {patience_s:.0f} s; check NATS_URL and that nats-server runs with -js"
            )
            raise BusUnavailable(message) from None
        return cls(client, patience_s=patience_s)

    @property
    def connected(self) -> bool:
        """Say whether the connection stands now."""
        return bool(self._client.is_connected)

    async def establish(self, topology: Topology) -> None:
        """Create what does not exist. An existing stream keeps its settings: they are the operator's."""
        async with _translated():
            for stream in topology.streams:
                await self._ensure(stream.name, _stream_config(stream, topology.replicas))
            voices, clips = topology.voices, topology.clips
            await self._ensure_bucket(
                api.KeyValueConfig(
                    bucket=voices.name,
                    ttl=voices.max_age_s,
                    max_bytes=voices.max_bytes,
                    replicas=topology.replicas,
                    direct=True,
                )
            )
            await self._ensure_store(
                clips.name,
                api.ObjectStoreConfig(ttl=clips.max_age_s, max_bytes=clips.max_bytes, replicas=topology.replicas),
            )

    async def _ensure(self, name: str, config: api.StreamConfig) -> None:
        try:
            await self._jetstream.stream_info(name)
        except nats.js.errors.NotFoundError:
            await self._jetstream.add_stream(config)
            log.info("stream_created", stream=name)

    async def _ensure_bucket(self, config: api.KeyValueConfig) -> None:
        try:
            await self._jetstream.key_value(config.bucket)
        except nats.js.errors.NotFoundError:
            await self._jetstream.create_key_value(config)
            log.info("bucket_created", bucket=config.bucket)

    async def _ensure_store(self, name: str, config: api.ObjectStoreConfig) -> None:
        try:
            await self._jetstream.stream_info(f"OBJ_{name}")
        except nats.js.errors.NotFoundError:
            await self._jetstream.create_object_store(name, config)
            log.info("object_store_created", store=name)

    async def publish(self, subject: str, payload: bytes, *, message_id: str, lifetime_s: float | None = None) -> bool:
        """Store a message; a publish that was not answered is repeated under the same id, which the server folds."""
        ttl = None if lifetime_s is None else float(max(1, math.ceil(lifetime_s)))
        give_up_at = asyncio.get_running_loop().time() + self._patience_s
        while True:
            try:
                stored = await self._jetstream.publish(
                    subject, payload, headers={api.Header.MSG_ID.value: message_id}, msg_ttl=ttl
                )
            except (*_NO_ANSWER, nats.errors.OutboundBufferLimitError):
                if asyncio.get_running_loop().time() > give_up_at:
                    raise BusUnavailable("NATS did not store the message in time") from None
                await asyncio.sleep(0.1)
            except nats.js.errors.APIError as error:
                raise _refusal(error) from None
            except nats.errors.MaxPayloadError:
                raise QueueFull("the message is larger than NATS takes; raise its max_payload") from None
            else:
                return not stored.duplicate

    async def tell(self, subject: str, payload: bytes) -> None:
        """Send to whoever listens now."""
        async with _translated():
            await self._client.publish(subject, payload)

    async def listen(self, subject: str, *, limit: int) -> "NatsListener":
        """Subscribe. The server reads a connection in order, so it knows of this before anything published later."""
        async with _translated():
            subscription = await self._client.subscribe(
                subject, pending_msgs_limit=limit, pending_bytes_limit=_LISTENER_BYTES
            )
        return NatsListener(subscription)

    async def pull(self, consumer: Consumer) -> "NatsPuller":
        """Create the durable where it does not exist and bind to it."""
        config = api.ConsumerConfig(
            durable_name=consumer.name,
            filter_subject=consumer.filter,
            ack_policy=api.AckPolicy.EXPLICIT,
            ack_wait=consumer.ack_wait_s,
            max_deliver=consumer.max_deliver,
            max_ack_pending=consumer.max_in_progress,
        )
        async with _translated():
            await self._jetstream.add_consumer(consumer.stream, config)
            subscription = await self._jetstream.pull_subscribe_bind(durable=consumer.name, stream=consumer.stream)
        return NatsPuller(subscription)

    async def last(self, stream: str, subject: str) -> bytes | None:
        """Return the last stored message of exactly this subject, by direct get."""
        async with _translated():
            try:
                message = await self._jetstream.get_msg(stream, subject=subject, direct=True)
            except nats.js.errors.NotFoundError:
                return None
        return message.data

    async def purge(self, stream: str, subject_filter: str) -> None:
        """Remove all stored messages that match."""
        async with _translated():
            await self._jetstream.purge_stream(stream, subject=subject_filter)

    async def backlog(self, consumer: Consumer) -> Backlog:
        """Return what a consumer owes."""
        async with _translated():
            try:
                info = await self._jetstream.consumer_info(consumer.stream, consumer.name)
            except nats.js.errors.NotFoundError:
                return Backlog(0, 0)
        return Backlog(info.num_pending or 0, info.num_ack_pending or 0)

    async def waiting(self, stream: str) -> int:
        """Return how many messages a stream holds."""
        async with _translated():
            return (await self._jetstream.stream_info(stream)).state.messages

    async def get_value(self, bucket: str, key: str) -> bytes | None:
        """Return a value, by direct get on the bucket's stream (a bucket is a stream: ADR-8 of nats-architecture)."""
        return await self.last(f"KV_{bucket}", f"$KV.{bucket}.{key}") or None

    async def put_value(self, bucket: str, key: str, value: bytes) -> None:
        """Set a value; two workers that set the same key set the same value."""
        async with _translated():
            await self._jetstream.publish(f"$KV.{bucket}.{key}", value)

    async def has_object(self, store: str, name: str) -> bool:
        """Say whether the object is there; its description is written after its last chunk."""
        async with _translated():
            try:
                await (await self._objects(store)).get_info(name)
            except nats.js.errors.NotFoundError:
                return False
        return True

    async def get_object(self, store: str, name: str) -> bytes | None:
        """Return an object, checked against its digest by the client."""
        async with _translated():
            try:
                return (await (await self._objects(store)).get(name)).data
            except nats.js.errors.NotFoundError:
                return None

    async def put_object(self, store: str, name: str, content: bytes) -> None:
        """Store an object in chunks of 128 KiB."""
        async with _translated():
            await (await self._objects(store)).put(name, content)

    async def _objects(self, store: str) -> ObjectStore:
        if store not in self._object_stores:
            self._object_stores[store] = await self._jetstream.object_store(store)
        return self._object_stores[store]

    async def close(self) -> None:
        """Drain: what was published is sent, subscriptions end, the connection closes."""
        if self._client.is_connected:
            try:
                await self._client.drain()
            except (nats.errors.Error, TimeoutError):
                await self._client.close()
        else:
            await self._client.close()


class NatsListener:
    """A core subscription."""

    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription

    async def next(self, timeout_s: float) -> Heard | None:
        """Return the next message, or None after the timeout."""
        try:
            message = await self._subscription.next_msg(timeout=timeout_s)
        except nats.errors.TimeoutError:
            return None
        except (nats.errors.ConnectionClosedError, nats.errors.BadSubscriptionError):
            raise BusUnavailable("the connection to NATS was closed") from None
        return Heard(message.subject, message.data)

    async def close(self) -> None:
        """Unsubscribe; a lost connection has done so already."""
        try:
            await self._subscription.unsubscribe()
        except (
            nats.errors.ConnectionClosedError,
            nats.errors.BadSubscriptionError,
            nats.errors.ConnectionDrainingError,
        ):
            return


class NatsPuller:
    """A pull subscription on a durable consumer."""

    def __init__(self, subscription: JetStreamContext.PullSubscription) -> None:
        self._subscription = subscription

    async def next(self, timeout_s: float) -> "NatsDelivery | None":
        """Fetch one message."""
        try:
            [message] = await self._subscription.fetch(1, timeout=timeout_s)
        except nats.errors.TimeoutError:
            return None
        except (nats.errors.Error, OSError) as error:
            # No stream while the server restarts, no quorum, a lost connection: all pass, or /readyz tells.
            log.warning("pull_failed", error=type(error).__name__)
            await asyncio.sleep(min(timeout_s, 0.2))
            return None
        return NatsDelivery(message)

    async def close(self) -> None:
        """Hand back what a fetch that timed out had already been sent, and pull nothing more.

        A pull here could be given a message, hand it back, and be given it again, until its deliveries are used up.
        """
        while self._subscription.pending_msgs:
            late = await self.next(timeout_s=0.02)
            if late is not None:
                await late.retry(_HAND_BACK_S)
        try:
            await self._subscription.unsubscribe()
        except (
            nats.errors.ConnectionClosedError,
            nats.errors.BadSubscriptionError,
            nats.errors.ConnectionDrainingError,
        ):
            return


class NatsDelivery:
    """A JetStream message that waits for its acknowledgement."""

    def __init__(self, message: Msg) -> None:
        self._message = message
        metadata = message.metadata
        self.subject: str = message.subject
        self.payload: bytes = message.data
        self.attempt: int = metadata.num_delivered or 1
        self.age_s: float = max(0.0, time.time() - metadata.timestamp.timestamp())

    async def ack(self) -> None:
        """Acknowledge and wait for the server's word, so that a lost ack is noticed."""
        async with _translated():
            await self._message.ack_sync(timeout=2)

    async def retry(self, delay_s: float) -> None:
        """Negative acknowledgement with a delay."""
        async with _translated():
            await self._message.nak(delay=delay_s)

    async def reject(self) -> None:
        """Terminate."""
        async with _translated():
            await self._message.term()

    async def extend(self) -> None:
        """In progress."""
        async with _translated():
            await self._message.in_progress()


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


def _refusal(error: nats.js.errors.APIError) -> PipelineError:
    """Return the failure that a refused publish stands for."""
    if error.err_code == _STORE_REFUSED and "per subject" in (error.description or ""):
        return SubjectFull("this subject holds all the messages that it takes")
    if error.err_code == _STORE_REFUSED:
        return QueueFull("the stream holds all the messages that it takes")
    return BusUnavailable(f"NATS refused: {error.description} ({error.err_code})")


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    """Turn what the client raises into the failures of the contract."""
    try:
        yield
    except nats.js.errors.NoStreamResponseError:
        raise BusUnavailable("NATS has no such stream, or JetStream is off") from None
    except nats.js.errors.APIError as error:
        raise _refusal(error) from None
    except (nats.errors.Error, TimeoutError, OSError) as error:
        raise BusUnavailable(f"NATS does not answer ({type(error).__name__})") from None
