"""Usage metering: a key is charged for the audio of its requests, each sentence once over all retries.

How it works

A request of a key with a quota has a `Charge` in the same bucket: how much is reserved for it in the
day's count (`quota`), and how many sentences have been charged. The edge reserves its estimate before it works
(`open`), and limits the request to what is left with `max_audio_s`. The splitter, which has all words and pauses,
refuses longer texts, and publishes its own estimate, which replaces the edge's (`Meter.observe`). When a listener
leaves, the sentences synthesized since the last settlement are charged, by their end markers (`Meter.settle`), and the
reservation for the rest is released if the request ends. A retry or resumption finds the charge, and reserves the
sentences that are not synthesized yet (`resume`). The charge is updated before the day's count: a crash in between
loses seconds of usage, but charges none twice.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import msgspec

from services.common.bus.ports import Bus
from services.http_edge.auth.api_keys import Key
from services.http_edge.auth.quota import Account, Quota, account_of
from services.http_edge.speech.request_store import RequestStore
from services.http_edge.speech.usage.charges import Charge, ChargeStore
from services.http_edge.speech.usage.meter import Meter

_OPENING_LOOKS: Final = 100
_OPENING_LOOK_S: Final = 0.02


@dataclass(frozen=True)
class UsageCharges:
    """The charges of requests, or of jobs, of all tenants."""

    store: ChargeStore
    quota: Quota

    @classmethod
    def of(cls, bus: Bus, records: RequestStore, quota: Quota) -> "UsageCharges":
        """Return the charges of the requests in a store."""
        return cls(ChargeStore(bus, records), quota)

    async def open(self, key: Key, request_id: str, asked_s: float) -> Meter | None:
        """Reserve a new request's estimate; None for a key without a quota. Raises QuotaUsedUp."""
        account = account_of(key)
        if account is None:
            return None

        charge = Charge(account.name, account.limit_s, asked_s, opening=True)
        for _ in range(_OPENING_LOOKS):
            if await self.store.create(key.tenant, request_id, charge):
                break
            found = await self.find(key.tenant, request_id)
            if found is not None and not found.charge.opening:
                return found  # a retry, or another request, has this id
            # an edge that is still opening after all looks has crashed
            await asyncio.sleep(_OPENING_LOOK_S)
        return await self._reserved(key.tenant, request_id, charge)

    async def begin(self, key: Key, request_id: str, asked_s: float) -> Meter | None:
        """Reserve a request that is published although its id was found in use before. Raises QuotaUsedUp."""
        account = account_of(key)
        found = await self.find(key.tenant, request_id)

        if account is None or found is None or found.charge.reserved_s or found.charge.charged_s:
            meter = await self.resume(key.tenant, request_id) or await self.open(
                key, request_id, asked_s
            )
        else:
            meter = await self._reserved(
                key.tenant, request_id, Charge(account.name, account.limit_s, asked_s)
            )
        if meter is not None:
            meter.first = True
        return meter

    async def _reserved(self, tenant: str, request_id: str, charge: Charge) -> Meter:
        """Reserve the whole estimate of a request that has no charged audio. Raises QuotaUsedUp."""
        account = Account(charge.account, charge.limit_s)
        opened = msgspec.structs.replace(charge, opening=False)

        async def put(_content: bytes) -> bytes:
            return msgspec.msgpack.encode(opened)

        try:
            left_s = await self.quota.reserve(account, charge.asked_s)
            opened = msgspec.structs.replace(opened, reserved_s=charge.asked_s)
        finally:
            await self.store.update(tenant, request_id, put)
        return Meter(self.store, self.quota, tenant, request_id, opened, left_s, first=True)

    async def resume(self, tenant: str, request_id: str) -> Meter | None:
        """Reserve the remaining audio of a resumed request, unless it is reserved already.

        Return None for a request that is not charged. Raises QuotaUsedUp.
        """
        meter = await self.find(tenant, request_id)
        if meter is None or meter.charge.reserved_s or meter.charge.whole:
            return meter

        missing_s = meter.charge.asked_s - meter.charge.charged_s
        if missing_s > 0:
            meter.left_s = await self.quota.reserve(meter.account, missing_s)
            await self.store.change(tenant, request_id, meter.charge, reserved_by_s=missing_s)
            meter.reserved = True
        return meter

    @asynccontextmanager
    async def resuming(self, tenant: str, request_id: str) -> AsyncIterator[Meter | None]:
        """Reserve like `resume`, and charge the synthesized audio when the block ends. Raises QuotaUsedUp."""
        meter = await self.resume(tenant, request_id)
        try:
            yield meter
        finally:
            if meter is not None:
                await asyncio.shield(meter.settle())

    async def find(self, tenant: str, request_id: str) -> Meter | None:
        """Return a meter of an existing charge without reserving anything; None if there is no charge."""
        charge = await self.store.read(tenant, request_id)
        if charge is None:
            return None

        left_s = (
            await self.quota.left_s(Account(charge.account, charge.limit_s)) + charge.reserved_s
        )
        return Meter(self.store, self.quota, tenant, request_id, charge, max(0.0, left_s))
