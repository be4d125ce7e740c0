"""The daily audio quota of each API key, in seconds: one count that all edges share.

How it works. The count is a value in NATS, updated by compare-and-set, so no edge's update is lost.
A request is counted with its estimate before any work is done for it (`reserve`), and refused if
that exceeds the quota. When it ends, the difference to the audio produced is added or refunded
(`add`). `speech.usage.metering` decides what a request costs.
"""

import struct
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from services.common.bus import topology
from services.common.bus.atomic_update import update_atomically
from services.common.bus.ports import Bus
from services.common.wire.failures import QuotaUsedUp
from services.common.wire.identity import tenant_key
from services.http_edge.auth.api_keys import Key

_SECONDS: Final = struct.Struct("<d")


@dataclass(frozen=True)
class Account:
    """The count of one API key on one day."""

    name: str  # the bucket's key
    limit_s: float


def account_of(key: Key) -> Account | None:
    """Return the account of today's requests of a key; None for a key without a quota."""
    if not key.audio_seconds_a_day:
        return None
    today = datetime.now(UTC).date().isoformat()
    return Account(tenant_key(key.tenant, "spent", key.name, today), key.audio_seconds_a_day)


@dataclass(frozen=True)
class Quota:
    """The counts of all keys. Every method raises BusUnavailable; those that write, QueueFull."""

    bus: Bus

    async def left_s(self, account: Account) -> float:
        """Return how much audio is left; negative if speech was longer than its estimate."""
        return account.limit_s - _read(
            await self.bus.get_value(topology.PROGRESS, account.name) or b""
        )

    async def check(self, key: Key) -> None:
        """Check the quota before a request is read.

        Raises QuotaUsedUp, with the time until the next day.
        """
        account = account_of(key)
        if account is not None and (left_s := await self.left_s(account)) <= 0:
            raise used_up(account, left_s)

    async def reserve(self, account: Account, seconds: float) -> float:
        """Count audio and return what was left before. Raises QuotaUsedUp if less is left."""
        left_s = 0.0

        async def reserved(content: bytes) -> bytes:
            nonlocal left_s
            used_s = _read(content)
            left_s = account.limit_s - used_s
            if left_s <= 0 or seconds > left_s:
                raise used_up(account, left_s, seconds)
            return _SECONDS.pack(used_s + seconds)

        await update_atomically(self.bus, topology.PROGRESS, account.name, reserved)
        return left_s

    async def add(self, account: Account, seconds: float) -> None:
        """Count audio beyond an estimate; negative refunds audio that was not produced."""

        async def added(content: bytes) -> bytes:
            return _SECONDS.pack(max(0.0, _read(content) + seconds))

        if seconds:
            await update_atomically(self.bus, topology.PROGRESS, account.name, added)


def used_up(account: Account, left_s: float, requested_s: float = 0.0) -> QuotaUsedUp:
    """Return the error for a request over the quota, with the time to retry after."""
    limit = f"this key's daily quota of {account.limit_s:g} s of audio"
    if left_s <= 0:
        failure = QuotaUsedUp(f"{limit} is used up; retry after midnight UTC")
    else:
        failure = QuotaUsedUp(
            f"the text is about {requested_s:.0f} s of audio, and {left_s:.0f} s are left of {limit}; "
            "send a shorter text, or retry after midnight UTC"
        )
    failure.retry_after_s = until_midnight_s()
    return failure


def until_midnight_s() -> float:
    """Return the seconds until midnight UTC."""
    midnight = datetime.combine(
        datetime.now(UTC).date() + timedelta(days=1), datetime.min.time(), UTC
    )
    return midnight.timestamp() - time.time()


def _read(content: bytes) -> float:
    return _SECONDS.unpack(content)[0] if len(content) == _SECONDS.size else 0.0
