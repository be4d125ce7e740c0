"""The request store: requests, their attempts and idempotency keys, in a key-value bucket."""

import secrets
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import msgspec
from msgspec import UNSET

from services.common.bus.ports import Bus
from services.common.wire import codec
from services.common.wire.identity import tenant_key
from services.common.wire.messages import SpeechRequest

_MOST_ATTEMPTS: Final = 16  # the latest; audio of older ones has usually expired

# the length of an entry that only reserves its id; an encoded request is longer
_DIGEST_BYTES: Final = 32


@dataclass(frozen=True)
class RequestStore:
    """The requests of all tenants in one bucket: an id names a request only together with its tenant.

    Every method raises BusUnavailable; those that write, QueueFull.
    """

    bus: Bus
    bucket: str

    async def keep(self, request: SpeechRequest) -> bool:
        """Store a request under its id; return False if the id is in use."""
        return await self.bus.create_value(
            self.bucket,
            tenant_key(request.tenant, "request", request.request),
            codec.encode(request),
        )

    async def hold(self, request: SpeechRequest) -> bool:
        """Reserve the id of a request that is never resumed, without its text; return False if it is in use."""
        return await self.bus.create_value(
            self.bucket, tenant_key(request.tenant, "request", request.request), _digest(request)
        )

    async def holds(self, request: SpeechRequest) -> bool:
        """Return whether the id is reserved by a request with exactly this content."""
        return await self._get(request.tenant, "request", request.request) == _digest(request)

    async def request(self, tenant: str, request: str) -> SpeechRequest | None:
        """Return a stored request; None for an entry that only reserves its id."""
        value = await self._get(tenant, "request", request)
        stored = (
            None
            if value is None or len(value) == _DIGEST_BYTES
            else codec.decode(value, SpeechRequest)
        )
        return (
            stored
            if stored is not None and (stored.tenant, stored.request) == (tenant, request)
            else None
        )

    async def known(self, tenant: str, request: str) -> bool:
        """Return whether a request is stored under this id."""
        return await self._get(tenant, "request", request) is not None

    async def forget(self, tenant: str, request: str) -> None:
        """Release the id of a request that was never published."""
        await self.bus.drop_value(self.bucket, tenant_key(tenant, "request", request))

    async def attempts(self, tenant: str, request: str) -> list[str]:
        """Return the ids of the later attempts of this request, oldest first."""
        value = await self._get(tenant, "runs", request)
        return value.decode().split(",") if value else []

    async def add_attempt(self, tenant: str, request: str, attempt: str) -> None:
        """Add an attempt. Of two concurrent additions one can be lost: that costs synthesis twice, but no audio."""
        attempts = [*await self.attempts(tenant, request), attempt][-_MOST_ATTEMPTS:]
        await self._put(tenant, "runs", request, ",".join(attempts).encode())

    async def renew(self, tenant: str, request: str) -> None:
        """Restart the retention of a request that still has a listener."""
        if (value := await self._get(tenant, "request", request)) is not None:
            await self._put(tenant, "request", request, value)

    async def store_offsets(
        self, tenant: str, request: str, offsets: list[tuple[int, int]]
    ) -> None:
        """Store offsets of sentences: their index, and their first byte in the request's PCM."""
        await self._put(tenant, "places", request, msgspec.msgpack.encode(offsets))

    async def offsets(self, tenant: str, request: str) -> list[tuple[int, int]]:
        """Return the stored offsets: sentence index and byte of the PCM."""
        value = await self._get(tenant, "places", request)
        return msgspec.msgpack.decode(value, type=list[tuple[int, int]]) if value else []

    async def cancel(self, tenant: str, request: str) -> None:
        """Mark the request as cancelled, so that it is not resumed."""
        await self._put(tenant, "cancelled", request, b"yes")

    async def cancelled(self, tenant: str, request: str) -> bool:
        """Return whether the request was cancelled."""
        return await self._get(tenant, "cancelled", request) is not None

    async def delete(self, tenant: str, request: str) -> None:
        """Mark the data under this id as deleted; the id stays in use."""
        await self._put(tenant, "deleted", request, b"yes")

    async def deleted(self, tenant: str, request: str) -> bool:
        """Return whether the data under this id was deleted."""
        return await self._get(tenant, "deleted", request) is not None

    async def refresh_listener(self, tenant: str, request: str) -> None:
        """Refresh the mark of a listener."""
        await self._put(tenant, "listening", request, secrets.token_bytes(8))

    async def listening(self, tenant: str, request: str) -> bytes | None:
        """Return the latest mark of a listener; it changes while the request has listeners."""
        return await self._get(tenant, "listening", request)

    async def claimed(self, tenant: str, key: str) -> bool:
        """Return whether an idempotency key is in use."""
        return await self._get(tenant, "key", key) is not None

    async def claim(self, tenant: str, key: str, value: bytes) -> bytes | None:
        """Store a value under an idempotency key; return the existing one if the key is in use."""
        while not await self.bus.create_value(self.bucket, tenant_key(tenant, "key", key), value):
            existing = await self._get(tenant, "key", key)
            if existing is not None:  # None: it was released in the meantime
                return existing
        return None

    async def release(self, tenant: str, key: str) -> None:
        """Release an idempotency key whose request was never published."""
        await self.bus.drop_value(self.bucket, tenant_key(tenant, "key", key))

    async def _get(self, tenant: str, kind: str, name: str) -> bytes | None:
        return await self.bus.get_value(self.bucket, tenant_key(tenant, kind, name))

    async def _put(self, tenant: str, kind: str, name: str, value: bytes) -> None:
        await self.bus.put_value(self.bucket, tenant_key(tenant, kind, name), value)


def _digest(request: SpeechRequest) -> bytes:
    """Return a digest of the request's content; all portions of one request have the same."""
    if request.portion_s is not UNSET:
        request = msgspec.structs.replace(
            request, first_sentence=0, portion_s=UNSET, first_lane=UNSET, deadline_unix_ms=0
        )
    return sha256(codec.encode(request)).digest()
