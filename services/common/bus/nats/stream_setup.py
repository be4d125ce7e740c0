"""Creates and checks the streams, key-value buckets and object stores of the topology."""

import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import nats.js.errors
import structlog
from nats.js import api

from services.common.bus.config_drift import Difference, differences, stream_limits
from services.common.bus.nats.errors import translated
from services.common.bus.nats.jetstream import JetStreamOperations
from services.common.bus.topology import (
    DUPLICATE_WINDOW_S,
    Bucket,
    Stream,
    Topology,
    stream_names,
)
from services.common.wire.failures import BusUnavailable

log = structlog.get_logger()

# Without an explicit limit, nats-server 2.15 and later cap a stream at 1,000 consumers.
_MAX_CONSUMERS: Final = 20_000
_CHANGE_S: Final = 10.0  # a change of replicas is decided by the cluster


class StreamSetup(JetStreamOperations):
    """Operations that set up a server."""

    async def establish(self, topology: Topology) -> None:
        """Create what does not exist. An existing stream keeps its settings, which are the operator's.

        Retries until servers that just started are ready. Raises BusUnavailable.
        """
        for stream in topology.streams:
            config = stream_config(stream, topology.replicas)
            await self._create(stream.name, partial(self._jetstream.add_stream, config))

        for bucket in topology.buckets:
            values = _bucket_config(bucket, topology.replicas)
            await self._create(
                f"KV_{bucket.name}", partial(self._jetstream.create_key_value, values)
            )

        for store in topology.stores:
            objects = api.ObjectStoreConfig(
                ttl=store.max_age_s, max_bytes=store.max_bytes, replicas=topology.replicas
            )
            await self._create(
                f"OBJ_{store.name}",
                partial(self._jetstream.create_object_store, store.name, objects),
            )

        await self._log_differences(topology)

    async def require(self, topology: Topology) -> None:
        """Check that everything exists. Raises BusUnavailable with the command that creates it."""
        for name in stream_names(topology):
            if not await self._retry_until_ready(partial(self._exists, name)):
                raise BusUnavailable(
                    f"{name} does not exist; run `python -m services.admin streams` as the operator"
                )

        await self._log_differences(topology)

    async def drift(self, topology: Topology) -> list[Difference]:
        """Return each limit or rule of an existing stream that differs from the settings. Raises BusUnavailable."""
        drifted = []
        for name, wanted in stream_limits(topology).items():
            async with translated():
                config = (await self._jetstream.stream_info(name)).config

            for limit, (found, expected) in differences(wanted, config).items():
                drifted.append(Difference(name, limit, found, expected))
        return drifted

    async def change_limit(self, change: Difference) -> None:
        """Set a limit of an existing stream to the wanted value. Raises BusUnavailable with the server's reason.

        Every other setting is sent as the server returned it, including those that this client does not know.
        """
        info = await self._stream_api("INFO", change.stream, b"")
        wanted = float(change.wanted)
        value = round(wanted * 1e9 if change.limit == "max_age" else wanted)

        config = info["config"] | {change.limit: value}
        await self._stream_api("UPDATE", change.stream, json.dumps(config).encode())

    async def _stream_api(self, verb: str, stream: str, payload: bytes) -> dict[str, Any]:
        subject = f"$JS.API.STREAM.{verb}.{stream}"
        async with translated():
            reply = await self._client.request(subject, payload, timeout=_CHANGE_S)

        content: dict[str, Any] = json.loads(reply.data)
        if "error" in content:
            raise BusUnavailable(f"{stream}: {content['error'].get('description', 'refused')}")
        return content

    async def _log_differences(self, topology: Topology) -> None:
        for stream, limit, found, expected in await self.drift(topology):
            log.warning(
                "stream_differs", stream=stream, limit=limit, found=found, expected=expected
            )

    async def _create(self, stream: str, create: Callable[[], Awaitable[object]]) -> None:
        """Call `create` unless the stream exists."""

        async def create_if_missing() -> bool:
            if await self._exists(stream):
                return False
            await create()
            return True

        if await self._retry_until_ready(create_if_missing):
            log.info("stream_created", stream=stream)

    async def _exists(self, stream: str) -> bool:
        try:
            await self._jetstream.stream_info(stream)
        except nats.js.errors.NotFoundError:
            return False
        return True


def stream_config(stream: Stream, replicas: int) -> api.StreamConfig:
    """Return the JetStream configuration of a stream."""
    work_queue = stream.retention == "workqueue"
    discard_new = stream.discard == "new"
    return api.StreamConfig(
        name=stream.name,
        subjects=list(stream.subjects),
        retention=api.RetentionPolicy.WORK_QUEUE if work_queue else api.RetentionPolicy.LIMITS,
        discard=api.DiscardPolicy.NEW if discard_new else api.DiscardPolicy.OLD,
        discard_new_per_subject=discard_new and stream.max_messages_per_subject > 0,
        max_age=stream.max_age_s,
        max_bytes=stream.max_bytes,
        max_msgs=stream.max_messages,
        max_msgs_per_subject=stream.max_messages_per_subject,
        max_consumers=_MAX_CONSUMERS,
        duplicate_window=DUPLICATE_WINDOW_S,
        allow_direct=True,
        allow_msg_ttl=stream.message_lifetimes or None,
        storage=api.StorageType.FILE,
        num_replicas=replicas,
    )


def _bucket_config(bucket: Bucket, replicas: int) -> api.KeyValueConfig:
    return api.KeyValueConfig(
        bucket=bucket.name,
        ttl=bucket.max_age_s,
        max_bytes=bucket.max_bytes,
        replicas=replicas,
        direct=True,
    )
