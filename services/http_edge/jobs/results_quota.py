"""The storage quota of a tenant's job results in `TTS_RESULTS`.

How it works

Each tenant has one value in NATS, updated by compare-and-set: reserved bytes by the hour at which they expire. A job
reserves its estimated size when it is submitted, extends it if its audio grows beyond that, and replaces it by its
actual size at its end; deleting the job releases the reservation. A reservation that is never released, because an edge
crashed, expires at its hour like the objects themselves. Another value per job stores the reservation of that job.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from services.common.bus import topology
from services.common.bus.atomic_update import update_atomically
from services.common.bus.ports import Bus
from services.common.wire.failures import QueueFull
from services.common.wire.identity import tenant_key
from services.http_edge.errors import ResultsFull

STORE_FULL: Final = (
    "the store of job results is full; delete jobs (DELETE /jobs/ID), or retry later"
)
SENTENCE_BYTES: Final = 1024  # overhead of the store per sentence, on top of its PCM
# maximum extra bytes that a growing job reserves at once
_STEP_BYTES: Final = 4 * topology.MEBIBYTE
_STORE: Final = f"OBJ_{topology.RESULTS}"


class Reservation(msgspec.Struct, frozen=True, array_like=True):
    """The reservation of one job, and its expiry in hours since 1970."""

    size: int  # bytes
    until: int


@dataclass(frozen=True)
class ResultsQuota:
    """The quota of each tenant. Every method raises BusUnavailable; those that write, QueueFull."""

    bus: Bus
    kept_s: float  # retention of results
    most_bytes: int = 0  # of all jobs of a tenant; 0: use `share`
    share: float = 1.0  # of the store's size

    async def reserve(self, tenant: str, job: str, size: int, deadline_unix_ms: int) -> None:
        """Reserve storage for a job that starts, unless it has a reservation. Raises ResultsFull, QueueFull."""
        before = await self.reservation(tenant, job)
        if before is not None and before.size:
            return

        reservation = Reservation(size, _hour(deadline_unix_ms / 1000 + self.kept_s))
        await self._add(tenant, size, reservation.until)
        await self._note(tenant, job, reservation)

        store = await self.bus.storage_use(_STORE)
        if 0 < store.most < store.used + size:
            await self.settle(tenant, job, 0)
            raise QueueFull(STORE_FULL)

    async def extend(self, tenant: str, job: str, size: int) -> int:
        """Extend the reservation of a running job to at least this; return its size. Raises ResultsFull."""
        reservation = await self.reservation(tenant, job) or Reservation(
            0, _hour(time.time() + 2 * self.kept_s)
        )
        if size > reservation.size:
            more = size - reservation.size + min(_STEP_BYTES, size)
            await self._add(tenant, more, reservation.until)
            reservation = Reservation(reservation.size + more, reservation.until)
            await self._note(tenant, job, reservation)
        return reservation.size

    async def settle(self, tenant: str, job: str, size: int) -> None:
        """Replace the reservation of a job that ended by its actual size in bytes; 0: nothing is stored."""
        before = Reservation(0, 0)
        after = Reservation(size, _hour(time.time() + self.kept_s))

        async def settled(content: bytes) -> bytes | None:
            nonlocal before
            before = (
                msgspec.msgpack.decode(content, type=Reservation) if content else Reservation(0, 0)
            )
            return msgspec.msgpack.encode(after) if content else None

        await update_atomically(
            self.bus, topology.PROGRESS, tenant_key(tenant, "room", job), settled
        )
        if before.size:

            async def moved(content: bytes) -> bytes:
                hours = _hours(content)
                hours[before.until] = max(0, hours.get(before.until, 0) - before.size)
                hours[after.until] = hours.get(after.until, 0) + after.size
                return _packed(hours)

            await update_atomically(self.bus, topology.PROGRESS, tenant_key(tenant, "room"), moved)

    async def reservation(self, tenant: str, job: str) -> Reservation | None:
        """Return the reservation of a job; None if it has none."""
        content = await self.bus.get_value(topology.PROGRESS, tenant_key(tenant, "room", job))
        return None if content is None else msgspec.msgpack.decode(content, type=Reservation)

    async def used_bytes(self, tenant: str) -> int:
        """Return the reserved bytes of all jobs of the tenant."""
        return sum(
            _hours(
                await self.bus.get_value(topology.PROGRESS, tenant_key(tenant, "room")) or b""
            ).values()
        )

    async def _add(self, tenant: str, size: int, until: int) -> None:
        """Add reserved bytes. Raises ResultsFull if they exceed the quota."""
        most = self.most_bytes or int(self.share * (await self.bus.storage_use(_STORE)).most)

        async def added(content: bytes) -> bytes:
            hours = _hours(content)
            used = sum(hours.values())
            if 0 < most < used + size:
                raise ResultsFull(
                    f"the results of your jobs take {_mebibytes(used)} of {_mebibytes(most)} MiB, and this job needs "
                    f"{_mebibytes(size)} MiB more; delete jobs (DELETE /jobs/ID), or send a shorter text"
                )
            hours[until] = hours.get(until, 0) + size
            return _packed(hours)

        await update_atomically(self.bus, topology.PROGRESS, tenant_key(tenant, "room"), added)

    async def _note(self, tenant: str, job: str, reservation: Reservation) -> None:
        await self.bus.put_value(
            topology.PROGRESS, tenant_key(tenant, "room", job), msgspec.msgpack.encode(reservation)
        )


def _hours(content: bytes) -> dict[int, int]:
    """Return the reserved bytes by hour, without expired hours."""
    now = _hour(time.time()) - 1
    hours = msgspec.msgpack.decode(content, type=dict[int, int]) if content else {}
    return {hour: size for hour, size in hours.items() if hour >= now and size}


def _packed(hours: Mapping[int, int]) -> bytes:
    return msgspec.msgpack.encode({hour: size for hour, size in hours.items() if size})


def _hour(unix_s: float) -> int:
    """Return the first full hour after a time, in hours since 1970."""
    return math.floor(unix_s / 3600) + 1


def _mebibytes(size: int) -> str:
    return f"{size / topology.MEBIBYTE:.3g}"
