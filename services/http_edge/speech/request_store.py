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
    """One tenant's records in one bucket. Every method raises BusUnavailable; those that write, QueueFull."""

    bus: Bus
    bucket: str
    tenant: str

    async def keep(self, request: SpeechRequest) -> bool:
        """Store a request under its id; return False if the id is in use."""
        return await self.bus.create_value(
            self.bucket, self._key("request", request.request), codec.encode(request)
        )

    async def hold(self, request: SpeechRequest) -> bool:
        """Reserve the id of a request that is never resumed, without its text; return False if it is in use."""
        return await self.bus.create_value(
            self.bucket, self._key("request", request.request), _digest(request)
        )

    async def holds(self, request: SpeechRequest) -> bool:
        """Return whether the id is reserved by a request with exactly this content."""
        return await self._get("request", request.request) == _digest(request)

    async def request(self, request: str) -> SpeechRequest | None:
        """Return a stored request; None for an entry that only reserves its id."""
        value = await self._get("request", request)
        stored = (
            None
            if value is None or len(value) == _DIGEST_BYTES
            else codec.decode(value, SpeechRequest)
        )
        return (
            stored
            if stored is not None and (stored.tenant, stored.request) == (self.tenant, request)
            else None
        )

    async def known(self, request: str) -> bool:
        """Return whether a request is stored under this id."""
        return await self._get("request", request) is not None

    async def forget(self, request: str) -> None:
        """Release the id of a request that was never published."""
        await self.bus.drop_value(self.bucket, self._key("request", request))

    async def runs(self, request: str) -> list[str]:
        """Return the ids of the later attempts of this request, oldest first."""
        value = await self._get("runs", request)
        return value.decode().split(",") if value else []

    async def add_attempt(self, request: str, attempt: str) -> None:
        """Add an attempt. Of two concurrent additions one can be lost: that costs synthesis twice, but no audio."""
        runs = [*await self.runs(request), attempt][-_MOST_ATTEMPTS:]
        await self._put("runs", request, ",".join(runs).encode())

    async def renew(self, request: str) -> None:
        """Restart the retention of a request that still has a listener."""
        if (value := await self._get("request", request)) is not None:
            await self._put("request", request, value)

    async def store_offsets(self, request: str, offsets: list[tuple[int, int]]) -> None:
        """Store offsets of sentences: their index, and their first byte in the request's PCM."""
        await self._put("places", request, msgspec.msgpack.encode(offsets))

    async def offsets(self, request: str) -> list[tuple[int, int]]:
        """Return the stored offsets: sentence index and byte of the PCM."""
        value = await self._get("places", request)
        return msgspec.msgpack.decode(value, type=list[tuple[int, int]]) if value else []

    async def cancel(self, request: str) -> None:
        """Mark the request as cancelled, so that it is not resumed."""
        await self._put("cancelled", request, b"yes")

    async def cancelled(self, request: str) -> bool:
        """Return whether the request was cancelled."""
        return await self._get("cancelled", request) is not None

    async def delete(self, request: str) -> None:
        """Mark the data under this id as deleted; the id stays in use."""
        await self._put("deleted", request, b"yes")

    async def deleted(self, request: str) -> bool:
        """Return whether the data under this id was deleted."""
        return await self._get("deleted", request) is not None

    async def refresh_listener(self, request: str) -> None:
        """Refresh the mark of a listener."""
        await self._put("listening", request, secrets.token_bytes(8))

    async def listening(self, request: str) -> bytes | None:
        """Return the latest mark of a listener; it changes while the request has listeners."""
        return await self._get("listening", request)

    async def claimed(self, key: str) -> bool:
        """Return whether an idempotency key is in use."""
        return await self._get("key", key) is not None

    async def claim(self, key: str, value: bytes) -> bytes | None:
        """Store a value under an idempotency key; return the existing one if the key is in use."""
        while not await self.bus.create_value(self.bucket, self._key("key", key), value):
            existing = await self._get("key", key)
            if existing is not None:  # None: it was released in the meantime
                return existing
        return None

    async def release(self, key: str) -> None:
        """Release an idempotency key whose request was never published."""
        await self.bus.drop_value(self.bucket, self._key("key", key))

    async def _get(self, kind: str, name: str) -> bytes | None:
        return await self.bus.get_value(self.bucket, self._key(kind, name))

    async def _put(self, kind: str, name: str, value: bytes) -> None:
        await self.bus.put_value(self.bucket, self._key(kind, name), value)

    def _key(self, kind: str, name: str) -> str:
        return tenant_key(self.tenant, kind, name)


def _digest(request: SpeechRequest) -> bytes:
    """Return a digest of the request's content; all portions of one request have the same."""
    if request.portion_s is not UNSET:
        request = msgspec.structs.replace(
            request, first_sentence=0, portion_s=UNSET, first_lane=UNSET, deadline_unix_ms=0
        )
    return sha256(codec.encode(request)).digest()
