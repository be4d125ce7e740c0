"""What each key has spent today, in estimated seconds of sound: one count that all edges share.

The count is a value in NATS. Every edge hears its changes and goes on from the highest; two edges that add in the same
instant may lose the smaller of the two sums. It outlives edges.
"""

import asyncio
import struct
import time
from datetime import UTC, datetime, timedelta
from typing import Final

from services.common.bus import topology
from services.common.bus.ports import Bus
from services.common.wire.identity import tenant_key
from services.http_edge.callers import Key
from services.http_edge.errors import QuotaUsedUp

_NEWS: Final = 1024
_SECONDS: Final = struct.Struct("<d")


class Spending:
    """The counts that this edge knows. `follow` hears of what other edges add."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._spent: dict[str, float] = {}  # by the bucket's key

    async def follow(self, stop: asyncio.Event) -> None:
        """Listen until `stop` is set."""
        listener = await self._bus.listen(topology.value_subject(topology.PROGRESS, "spent.>"), limit=_NEWS)
        prefix = topology.value_subject(topology.PROGRESS, "")
        try:
            while not stop.is_set():
                heard = await listener.next(1.0)
                if heard is not None and len(heard.payload) == _SECONDS.size:
                    self._raise(heard.subject.removeprefix(prefix), _SECONDS.unpack(heard.payload)[0])
        finally:
            await listener.close()

    async def check(self, key: Key) -> None:
        """Refuse before anything of a request is read. Raises QuotaUsedUp, with when the next day begins."""
        if not key.audio_seconds_a_day:
            return
        place = _place(key)
        if place not in self._spent:
            self._forget_yesterday()
            kept = await self._bus.get_value(topology.PROGRESS, place)
            self._raise(place, _SECONDS.unpack(kept)[0] if kept else 0.0)
        if self._spent[place] >= key.audio_seconds_a_day:
            failure = QuotaUsedUp(f"this key's {key.audio_seconds_a_day:g} s of sound for today are used up")
            failure.retry_after_s = _until_midnight_s()
            raise failure

    async def add(self, key: Key, seconds: float) -> None:
        """Count a request that was let in."""
        if key.audio_seconds_a_day:
            place = _place(key)
            self._spent[place] = self._spent.get(place, 0.0) + seconds
            await self._bus.put_value(topology.PROGRESS, place, _SECONDS.pack(self._spent[place]))

    def _raise(self, place: str, seconds: float) -> None:
        self._spent[place] = max(seconds, self._spent.get(place, 0.0))

    def _forget_yesterday(self) -> None:
        today = _today()
        self._spent = {place: seconds for place, seconds in self._spent.items() if place.endswith(today)}


def _place(key: Key) -> str:
    return tenant_key(key.tenant, "spent", key.name, _today())


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def _until_midnight_s() -> float:
    midnight = datetime.combine(datetime.now(UTC).date() + timedelta(days=1), datetime.min.time(), UTC)
    return midnight.timestamp() - time.time()
