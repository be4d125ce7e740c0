"""Reads the log of a tenant, page by page, and verifies its chain."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from services.common.bus import topology
from services.common.bus.ports import Bus, Stored
from services.common.wire import codec, subjects
from services.common.wire.failures import MalformedMessage
from services.common.wire.provenance import FIRST, ProvenanceEntry, entry_hash

_MOST_FAULTS: Final = 20


@dataclass(frozen=True)
class LogHead:
    """An entry that a chain has to contain: its number and hash, as `verify` returned them before."""

    number: int
    hash: str


@dataclass(frozen=True)
class ChainReport:
    """The result of a walk along the log of one tenant."""

    tenant: str
    entries: int
    sentences: int
    first_number: int  # over 0: older entries have expired
    first_unix_s: float
    head: LogHead | None  # None: the log is empty
    faults: tuple[str, ...]  # the first ones


async def entry_pages(
    bus: Bus, tenant: str, *, since_unix_s: float = 0.0
) -> AsyncIterator[list[Stored]]:
    """Yield the entries of a tenant, oldest first, by page. Raises BusUnavailable."""
    after = 0
    while page := await bus.page(
        topology.PROVENANCE, subjects.provenance(tenant), after=after, since_unix_s=since_unix_s
    ):
        yield page
        after = page[-1].number


async def logged_tenants(bus: Bus) -> list[str]:
    """Return the tenants whose logs have entries, sorted. Raises BusUnavailable."""
    held = await bus.count_by_subject(topology.PROVENANCE, subjects.PROVENANCE)
    return sorted(subject.rsplit(".", 1)[1] for subject in held)


async def verify_chain(bus: Bus, tenant: str, noted: LogHead | None = None) -> ChainReport:
    """Walk the chain of a tenant. Raises BusUnavailable.

    The first entry that is left is taken as it is: the ones before it have expired. `noted` has to be in the chain,
    unless it has expired.
    """
    chain = _Walk(tenant, noted)
    async for page in entry_pages(bus, tenant):
        for stored in page:
            chain.add(stored)
    return chain.report()


class _Walk:
    """The state of a walk along one chain."""

    def __init__(self, tenant: str, noted: LogHead | None) -> None:
        self._tenant = tenant
        self._noted = noted
        self._first: tuple[int, float] = (0, 0.0)
        self._head: LogHead | None = None
        self._entries = 0
        self._sentences = 0
        self._faults: list[str] = []

    def add(self, stored: Stored) -> None:
        """Check the next entry against the one before it."""
        self._entries += 1
        where = f"message {stored.number}"
        try:
            entry = codec.decode(stored.payload, ProvenanceEntry)
        except MalformedMessage as error:
            self._faults.append(f"{where} is not an entry: {error}")
            self._head = None
            return

        if entry.tenant != self._tenant:
            self._faults.append(f"{where} names another tenant")
        if self._entries == 1:
            self._first = (entry.number, stored.unix_s)
            if entry.number == 0 and entry.previous != FIRST:
                self._faults.append(f"{where}: the first entry names an entry before it")
        elif self._head is not None:
            self._compare(where, entry, self._head)
        self._head = LogHead(entry.number, entry_hash(stored.payload))
        self._sentences += len(entry.sentences)
        at_noted = self._noted is not None and entry.number == self._noted.number
        if at_noted and self._head != self._noted:
            self._faults.append(f"entry {entry.number} has another hash than the noted one")

    def _compare(self, where: str, entry: ProvenanceEntry, before: LogHead) -> None:
        if entry.number != before.number + 1:
            self._faults.append(
                f"{where} is entry {entry.number} and follows entry {before.number}"
            )
        elif entry.previous != before.hash:
            self._faults.append(f"{where}: entry {before.number} before it was changed")

    def report(self) -> ChainReport:
        """Return the result."""
        head = self._head
        faults = list(self._faults)
        if self._noted is not None and (head is None or head.number < self._noted.number):
            faults.append(f"the noted entry {self._noted.number} is missing at the end of the log")
        return ChainReport(
            self._tenant,
            self._entries,
            self._sentences,
            *self._first,
            head,
            tuple(faults[:_MOST_FAULTS]),
        )
