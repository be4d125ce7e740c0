"""Appends sentences to the log of their tenant, as one chain that all workers write.

How it works. An entry names the hash of the entry before it, so a worker has to know that one: it remembers it, or
reads it. It stores its own entry only if that one is still the last of its subject, which the server decides. If
another worker came first, it reads the last entry again and repeats the attempt. Sentences that are finished while a
worker is storing an entry wait, and share the next one. So a worker has at most one entry per tenant in flight, and
the number of attempts grows with the workers, not with the sentences.

A sentence that is redelivered after its entry was stored, and before its end marker was, is stored twice, with equal
content. Readers count it once.
"""

import asyncio
import random
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec

from services.common.bus import topology
from services.common.bus.ports import Bus
from services.common.runtime.deadline import Deadline
from services.common.wire import codec, subjects
from services.common.wire.failures import BusUnavailable, MalformedMessage
from services.common.wire.provenance import (
    FIRST,
    MOST_LOGGED,
    LoggedSentence,
    ProvenanceEntry,
    entry_hash,
)

_MOST_CHAINS: Final = 1024  # tenants whose last entry is remembered
_MOST_BYTES: Final = 512 * 1024  # of the fingerprints in an entry: below the max_payload of NATS
_PATIENCE_S: Final = 30.0  # for other workers that come first
_PAUSE_S: Final = 0.002  # before the second attempt; then up to 32 times as long
_MOST_DOUBLINGS: Final = 5


class _Head(NamedTuple):
    """The last entry of a chain."""

    sequence: int  # of its message; 0: there is none
    number: int
    hash: str


_EMPTY: Final = _Head(0, -1, FIRST)


@dataclass(eq=False)
class _Waiting:
    """A sentence on its way into the log."""

    sentence: LoggedSentence
    stored: bool = False


@dataclass
class _Chain:
    """The chain of one tenant, as one worker sees it."""

    head: _Head | None = None  # None: it has to be read
    waiting: list[_Waiting] = field(default_factory=list)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)  # held while an entry is stored


class ProvenanceWriter:
    """Writes the sentences of one worker."""

    def __init__(self, bus: Bus, worker: str) -> None:
        self._bus = bus
        self._worker = worker
        self._chains: OrderedDict[str, _Chain] = OrderedDict()

    async def add(self, tenant: str, sentence: LoggedSentence) -> None:
        """Store a sentence; on return its entry is stored.

        Raises BusUnavailable, after which it may or may not be stored.
        """
        chain = self._chain(tenant)
        own = _Waiting(sentence)
        chain.waiting.append(own)
        try:
            async with chain.lock:
                while not own.stored:
                    await self._store(tenant, chain, _batch(chain.waiting))
        finally:
            chain.waiting = [waiting for waiting in chain.waiting if waiting is not own]

    def _chain(self, tenant: str) -> _Chain:
        chain = self._chains.setdefault(tenant, _Chain())
        self._chains.move_to_end(tenant)
        if len(self._chains) > _MOST_CHAINS:
            idle = [name for name, other in self._chains.items() if not other.waiting]
            for name in idle[: len(self._chains) - _MOST_CHAINS]:
                if name != tenant:
                    del self._chains[name]
        return chain

    async def _store(self, tenant: str, chain: _Chain, batch: list[_Waiting]) -> None:
        """Store one entry with these sentences, however often other workers come first."""
        give_up = Deadline.after(_PATIENCE_S)
        attempts = 0
        while not await self._try(tenant, chain, batch):
            if give_up.passed:
                raise BusUnavailable("the provenance log is written by too many workers at once")
            longest_s = _PAUSE_S * 2 ** min(attempts, _MOST_DOUBLINGS)
            await asyncio.sleep(random.uniform(0, longest_s))  # noqa: S311  # spreads attempts
            attempts += 1

        for waiting in batch:
            waiting.stored = True
        done = set(map(id, batch))
        chain.waiting = [waiting for waiting in chain.waiting if id(waiting) not in done]

    async def _try(self, tenant: str, chain: _Chain, batch: list[_Waiting]) -> bool:
        """Store an entry after the last one that is known; return whether that was the last one."""
        head = chain.head or await self._read_head(tenant)
        chain.head = None  # unknown if the next line raises
        entry = ProvenanceEntry(
            tenant=tenant,
            number=head.number + 1,
            previous=head.hash,
            worker=self._worker,
            sentences=tuple(waiting.sentence for waiting in batch),
        )
        payload = codec.encode(entry)
        sequence = await self._bus.append(
            topology.PROVENANCE, subjects.provenance(tenant), payload, after=head.sequence
        )
        if sequence is None:
            return False
        chain.head = _Head(sequence, entry.number, entry_hash(payload))
        return True

    async def _read_head(self, tenant: str) -> _Head:
        last = await self._bus.last_stored(topology.PROVENANCE, subjects.provenance(tenant))
        if last is None:
            return _EMPTY
        try:
            number = codec.decode(last.payload, _Numbered).number
        except MalformedMessage:
            number = _EMPTY.number  # not an entry: the chain starts again, and a reader reports it
        return _Head(last.number, number, entry_hash(last.payload))


class _Numbered(msgspec.Struct):
    """The field of an entry that its successor needs."""

    number: int


def _batch(waiting: list[_Waiting]) -> list[_Waiting]:
    """Return the sentences of the next entry, oldest first, one or more."""
    batch: list[_Waiting] = []
    size = 0
    for one in waiting[:MOST_LOGGED]:
        size += len(one.sentence.fingerprint)
        if batch and size > _MOST_BYTES:
            break
        batch.append(one)
    return batch
