"""The storage quota of a tenant's job results in `TTS_RESULTS`.

How it works. A tenant has one value in NATS, changed by compare-and-set: bytes, by the hour until which they are
counted. A job takes its estimate when it is submitted, more where it grows beyond that, and at its end what it really
has; deleting it releases all of it. A reservation that is never released (an edge died) expires with its
hour, as the objects themselves do. Another value per job holds the reservation of that job.
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

SENTENCE_BYTES: Final = 1024  # that the store adds to the PCM of each
_STEP_BYTES: Final = 4 * topology.MEBIBYTE  # that a job takes more at once where it grows
_STORE: Final = f"OBJ_{topology.RESULTS}"


class Taken(msgspec.Struct, frozen=True, array_like=True):
    """The reservation of one job, and its expiry in hours since 1970."""

    size: int  # bytes
    until: int


@dataclass(frozen=True)
class ResultsQuota:
    """The quota of one tenant. Every method raises BusUnavailable; those that write, QueueFull."""

    bus: Bus
    tenant: str
    kept_s: float  # retention of results
    most_bytes: int = 0  # for all jobs of the tenant; 0: given by `share`
    share: float = 1.0  # of the store

    async def take(self, job: str, size: int, deadline_unix_ms: int) -> None:
        """Reserve storage for a job that begins, unless it has some. Raises ResultsFull, QueueFull."""
        before = await self.taken(job)
        if before is not None and before.size:
            return
        taken = Taken(size, _hour(deadline_unix_ms / 1000 + self.kept_s))
        await self._add(size, taken.until)
        await self._note(job, taken)
        store = await self.bus.storage_use(_STORE)
        if 0 < store.most < store.used + size:
            await self.settle(job, 0)
            raise QueueFull("the store of job results is full; delete jobs (DELETE /jobs/ID), or retry later")

    async def need(self, job: str, size: int) -> int:
        """Extend the reservation of a running job to at least this; return its size. Raises ResultsFull."""
        taken = await self.taken(job) or Taken(0, _hour(time.time() + 2 * self.kept_s))
        if size > taken.size:
            more = size - taken.size + min(_STEP_BYTES, size)
            await self._add(more, taken.until)
            taken = Taken(taken.size + more, taken.until)
            await self._note(job, taken)
        return taken.size

    async def settle(self, job: str, size: int) -> None:
        """Replace the reservation by the real size of a job that ended, until it expires; 0: nothing is stored."""
        before = Taken(0, 0)
        after = Taken(size, _hour(time.time() + self.kept_s))

        async def settled(content: bytes) -> bytes | None:
            nonlocal before
            before = msgspec.msgpack.decode(content, type=Taken) if content else Taken(0, 0)
            return msgspec.msgpack.encode(after) if content else None

        await update_atomically(self.bus, topology.PROGRESS, self._key(job), settled)
        if before.size:

            async def moved(content: bytes) -> bytes:
                hours = _hours(content)
                hours[before.until] = max(0, hours.get(before.until, 0) - before.size)
                hours[after.until] = hours.get(after.until, 0) + after.size
                return _packed(hours)

            await update_atomically(self.bus, topology.PROGRESS, self._tenants_key, moved)

    async def taken(self, job: str) -> Taken | None:
        """Return what a job takes; None where nothing is counted for it."""
        content = await self.bus.get_value(topology.PROGRESS, self._key(job))
        return None if content is None else msgspec.msgpack.decode(content, type=Taken)

    async def used_bytes(self) -> int:
        """Return how much all jobs of the tenant take."""
        return sum(_hours(await self.bus.get_value(topology.PROGRESS, self._tenants_key) or b"").values())

    async def _add(self, size: int, until: int) -> None:
        """Count more. Raises ResultsFull where it does not fit."""
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

        await update_atomically(self.bus, topology.PROGRESS, self._tenants_key, added)

    async def _note(self, job: str, taken: Taken) -> None:
        await self.bus.put_value(topology.PROGRESS, self._key(job), msgspec.msgpack.encode(taken))

    def _key(self, job: str) -> str:
        return tenant_key(self.tenant, "room", job)

    @property
    def _tenants_key(self) -> str:
        return tenant_key(self.tenant, "room")


def _hours(content: bytes) -> dict[int, int]:
    """Return the bytes by hour that are counted still."""
    now = _hour(time.time()) - 1
    hours = msgspec.msgpack.decode(content, type=dict[int, int]) if content else {}
    return {hour: size for hour, size in hours.items() if hour >= now and size}


def _packed(hours: Mapping[int, int]) -> bytes:
    return msgspec.msgpack.encode({hour: size for hour, size in hours.items() if size})


def _hour(unix_s: float) -> int:
    """Return the hour that ends after this moment."""
    return math.floor(unix_s / 3600) + 1


def _mebibytes(size: int) -> str:
    return f"{size / topology.MEBIBYTE:.3g}"
