"""The bus on a real NATS server (2.11 or later, with JetStream).

`NatsBus` implements `ports.Bus`. Its operations are grouped by topic in base classes: `stream_setup`,
`streams`, `key_value`, `object_store`; messages and work queues are here.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Final, TypeVar

import nats
import nats.errors
import nats.js.errors
import structlog
from nats.aio.client import Client
from nats.js import api

from services.common.bus.nats.access import WITHOUT_CREDENTIALS, Access
from services.common.bus.nats.certificates import CertificateExpiry
from services.common.bus.nats.connection_events import ConnectionEvents
from services.common.bus.nats.errors import refusal, translated
from services.common.bus.nats.key_value import KeyValueOperations
from services.common.bus.nats.object_store import ObjectOperations
from services.common.bus.nats.puller import NatsPuller
from services.common.bus.nats.stream_setup import StreamSetup
from services.common.bus.nats.subscriptions import NatsSubscription
from services.common.bus.ports import SUBSCRIPTION_BYTES
from services.common.bus.topology import Consumer, Topology, topology
from services.common.runtime.deadline import Deadline
from services.common.runtime.lifecycle import result_within
from services.common.runtime.service_process import ProcessSettings
from services.common.runtime.tracing import carried
from services.common.wire.failures import BusUnavailable

log = structlog.get_logger()

_ResultT = TypeVar("_ResultT")

_DRAIN_S: Final = 5
_WAIT_S: Final = 1.0
_CLOSE_S: Final = 6.0  # after this the connection is dropped without waiting for the server


class NatsBus(StreamSetup, KeyValueOperations, ObjectOperations):
    """The operations of `ports.Bus` on a connection that reconnects for ever."""

    def __init__(
        self,
        client: Client,
        events: ConnectionEvents,
        expiry: CertificateExpiry,
        *,
        patience_s: float,
    ) -> None:
        """Wrap a connected client.

        `patience_s` is how long an operation is retried before it raises BusUnavailable.
        """
        super().__init__(client, patience_s=patience_s)
        self._events = events
        self._expiry = expiry

    @classmethod
    async def connect(
        cls, url: str, *, name: str, patience_s: float = 10.0, access: Access = WITHOUT_CREDENTIALS
    ) -> "NatsBus":
        """Connect to `url` (several are separated by commas) under a name that monitoring shows.

        Raises BusUnavailable, also if the server refuses the user or the certificate.
        """
        events = ConnectionEvents()
        connecting = nats.connect(
            url.split(","),
            name=name,
            error_cb=events.on_error,
            disconnected_cb=events.on_disconnect,
            reconnected_cb=events.on_reconnect,
            max_reconnect_attempts=-1,  # by default the client closes for good after two minutes
            reconnect_time_wait=0.1,
            ping_interval=2,
            max_outstanding_pings=2,
            drain_timeout=_DRAIN_S,
            **access.options(),
        )

        try:
            client = await result_within(patience_s, connecting)
        except (TimeoutError, OSError, nats.errors.Error):
            raise BusUnavailable(
                f"NATS does not answer within {patience_s:.0f} s, or refuses this user; check "
                "NATS_URL, NATS_NKEY_SEED_FILE, NATS_CA_FILE, and that nats-server runs with -js"
            ) from None

        return cls(client, events, access.expiry, patience_s=patience_s)

    @property
    def connected(self) -> bool:
        """Return whether the client is connected."""
        return bool(self._client.is_connected)

    @property
    def certificate_expiry_unix_s(self) -> float | None:
        """Return when the certificate of the connected server expires; None without TLS."""
        return self._expiry.unix_s

    @property
    def reconnects(self) -> int:
        """Return how often the client has reconnected."""
        return int(self._client.stats["reconnects"])

    @property
    def client(self) -> Client:
        """Return the nats-py client, for the other modules of this package."""
        return self._client

    async def publish(
        self, subject: str, payload: bytes, *, message_id: str, lifetime_s: float | None = None
    ) -> bool:
        """Store a message; a repeat has the same id, which the server de-duplicates."""
        ttl = None if lifetime_s is None else float(max(1, math.ceil(lifetime_s)))
        headers = {api.Header.MSG_ID.value: message_id, **carried()}

        try:
            stored = await self._publish_until_stored(subject, payload, headers, ttl)
        except nats.js.errors.APIError as error:
            raise refusal(error) from None

        return not stored.duplicate

    async def send(self, subject: str, payload: bytes) -> None:
        """Publish to the current subscribers; the message is not stored."""
        async with translated():
            await self._client.publish(subject, payload)

    async def request(self, subject: str, payload: bytes, *, timeout_s: float) -> bytes | None:
        """Send a request and return the first reply; None if none arrives in time."""
        try:
            async with translated():
                return (await self._client.request(subject, payload, timeout=timeout_s)).data
        except BusUnavailable:
            if not self._client.is_connected:
                raise
            return None

    async def subscribe(
        self, subject: str, *, limit: int, group: str = "", limit_bytes: int = SUBSCRIPTION_BYTES
    ) -> NatsSubscription:
        """Subscribe. The server reads a connection in order: what is published later is received."""
        async with translated():
            subscription = await self._client.subscribe(
                subject, queue=group, pending_msgs_limit=limit, pending_bytes_limit=limit_bytes
            )
        return NatsSubscription(subscription)

    async def pull(self, consumer: Consumer) -> NatsPuller:
        """Create the durable consumer if it does not exist and bind to it; retried like `establish`."""
        config = api.ConsumerConfig(
            durable_name=consumer.name,
            filter_subject=consumer.filter,
            ack_policy=api.AckPolicy.EXPLICIT,
            ack_wait=consumer.ack_wait_s,
            max_deliver=consumer.max_deliver,
            max_ack_pending=consumer.max_ack_pending,
        )

        async def bind() -> NatsPuller:
            await self._jetstream.add_consumer(consumer.stream, config)
            return await NatsPuller.bind(self._client, consumer)

        return await self._retry_until_ready(bind)

    async def close(self) -> None:
        """Drain and close: pending messages are sent and subscriptions end first."""
        self._events.closing = True
        closing = asyncio.create_task(self._drain_and_close(), name="close-nats")
        await asyncio.wait([closing], timeout=_CLOSE_S)
        closing.cancel()

    async def _drain_and_close(self) -> None:
        if self._client.is_connected:
            with suppress(nats.errors.Error, TimeoutError):
                await self._client.drain()
        await self._client.close()


async def connect(settings: ProcessSettings, *, name: str) -> NatsBus:
    """Connect with the settings of a process. Raises BusUnavailable."""
    access = Access(settings.nats_nkey_seed_file, settings.nats_ca_file, settings.nats_inbox_prefix)
    return await NatsBus.connect(settings.nats_url, name=name, access=access)


def wanted_topology(settings: ProcessSettings) -> Topology:
    """Return the topology that the settings describe."""
    return topology(
        replicas=settings.nats_replicas,
        audio_max_bytes=settings.audio_store_bytes,
        audio_kept_s=settings.audio_kept_s,
        results_kept_s=settings.job_results_kept_s,
        provenance_kept_s=settings.provenance_kept_days * 24 * 3600.0,
        provenance_max_bytes=settings.provenance_store_bytes,
        provenance_per_tenant=settings.provenance_tenant_entries,
    )


@asynccontextmanager
async def connected_bus(settings: ProcessSettings, *, name: str) -> AsyncIterator[NatsBus]:
    """Connect, create or check all streams and buckets, and close on exit.

    Waits up to `NATS_WAIT_S` for a server, and for streams that the operator creates. Raises BusUnavailable.
    """
    give_up = Deadline.after(settings.nats_wait_s)
    bus = await _patiently(partial(connect, settings, name=name), give_up)
    try:
        wanted = wanted_topology(settings)

        if settings.nats_establish:
            await bus.establish(wanted)
        else:
            await _patiently(partial(bus.require, wanted), give_up)

        yield bus
    finally:
        await bus.close()


async def _patiently(attempt: Callable[[], Awaitable[_ResultT]], give_up: Deadline) -> _ResultT:
    """Await `attempt` until it succeeds. Raises BusUnavailable, if the deadline has passed by then."""
    while True:
        try:
            return await attempt()
        except BusUnavailable as failure:
            if give_up.passed:
                raise
            log.warning("waiting_for_nats", detail=str(failure), seconds_left=round(give_up.left_s))

        await asyncio.sleep(_WAIT_S)
