"""Usage metering: a request costs its key the audio that is spoken of it, each sentence once over all retries.

How it works. A request of a key with a quota has a `Charge` in the same bucket: how much is reserved for it in the
day's count (`quota`), and how many sentences have been charged. The edge reserves its estimate before it works
(`open`), and limits the request to what is left with `max_audio_s`. The splitter, which has all words and pauses,
refuses longer texts, and publishes its own estimate, which replaces the edge's (`Meter.heard`). When a listener leaves,
the sentences spoken since the last settlement are charged, by their end markers (`Meter.settle`), and the reservation
for the rest is released if the request ends. A retry or resumption finds the charge, and reserves what is not spoken
yet (`resume`). The charge is changed before the day's count: a crash in between gives away seconds, and charges none
twice.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import msgspec
import structlog
from msgspec import UNSET

from services.common.bus import topology
from services.common.bus.atomic_update import update_atomically
from services.common.bus.inbox import decoded
from services.common.bus.ports import Bus
from services.common.wire import subjects
from services.common.wire.failures import PipelineError
from services.common.wire.identity import tenant_key
from services.common.wire.messages import SentenceSpoken, SpeechRequest
from services.http_edge.auth.api_keys import Key
from services.http_edge.auth.quota import Account, Quota, account_of, used_up
from services.http_edge.speech.assembly import Assembly
from services.http_edge.speech.request_store import RequestStore

log = structlog.get_logger()

_LONGER: Final = 2.0  # as long as estimated, and a few seconds: beyond that and the quota a speech is cut
_LONGER_S: Final = 5.0
_MOST_S: Final = 1e9  # that a message can carry; more is the same as no limit
_OPENING_LOOKS: Final = 100
_OPENING_LOOK_S: Final = 0.02


class Charge(msgspec.Struct, frozen=True):
    """The charged and reserved audio of one request."""

    account: str
    limit_s: float
    asked_s: float  # estimated audio of the whole text
    reserved_s: float = 0.0  # counted in the account, and not spoken yet
    sentences: int = 0  # charged: so many, the first of the text
    seconds: float = 0.0  # of these
    partial_s: float = 0.0  # charged of the sentence after them
    whole: bool = False  # all of it is spoken
    opening: bool = False  # an edge is about to reserve it

    @property
    def charged_s(self) -> float:
        """Return the audio that is charged."""
        return self.seconds + self.partial_s


@dataclass(frozen=True)
class UsageCharges:
    """The charges of one tenant's requests, or of its jobs."""

    bus: Bus
    records: RequestStore
    quota: Quota

    async def open(self, key: Key, request_id: str, asked_s: float) -> "Meter | None":
        """Reserve a new request's estimate; None for a key without a quota. Raises QuotaUsedUp."""
        account = account_of(key)
        if account is None:
            return None
        charge = Charge(account.name, account.limit_s, asked_s, opening=True)
        for _ in range(_OPENING_LOOKS):
            if await self.bus.create_value(self.records.bucket, self.key(request_id), msgspec.msgpack.encode(charge)):
                break
            found = await self.find(request_id)
            if found is not None and not found.charge.opening:
                return found  # a retry, or another request, has this id
            await asyncio.sleep(_OPENING_LOOK_S)  # an edge that does not come back from it has died
        return await self._reserved(request_id, charge)

    async def begin(self, key: Key, request_id: str, asked_s: float) -> "Meter | None":
        """Reserve a request that is to be published though its id was found in use before. Raises QuotaUsedUp."""
        account, found = account_of(key), await self.find(request_id)
        if account is None or found is None or found.charge.reserved_s or found.charge.charged_s:
            meter = await self.resume(request_id) or await self.open(key, request_id, asked_s)
        else:
            meter = await self._reserved(request_id, Charge(account.name, account.limit_s, asked_s))
        if meter is not None:
            meter.first = True
        return meter

    async def _reserved(self, request_id: str, charge: Charge) -> "Meter":
        """Reserve all of a request of which nothing is charged. Raises QuotaUsedUp."""
        account, opened = Account(charge.account, charge.limit_s), msgspec.structs.replace(charge, opening=False)

        async def put(_content: bytes) -> bytes:
            return msgspec.msgpack.encode(opened)

        try:
            left_s = await self.quota.reserve(account, charge.asked_s)
            opened = msgspec.structs.replace(opened, reserved_s=charge.asked_s)
        finally:
            await update_atomically(self.bus, self.records.bucket, self.key(request_id), put)
        return Meter(self, request_id, opened, left_s, first=True)

    async def resume(self, request_id: str) -> "Meter | None":
        """Reserve what is not spoken of a request that continues, unless that is reserved already; None where it costs
        nothing. Raises QuotaUsedUp."""
        meter = await self.find(request_id)
        if meter is None or meter.charge.reserved_s or meter.charge.whole:
            return meter
        missing_s = meter.charge.asked_s - meter.charge.charged_s
        if missing_s > 0:
            meter.left_s = await self.quota.reserve(meter.account, missing_s)
            await self.change(request_id, meter.charge, reserved_by_s=missing_s)
            meter.reserved = True
        return meter

    @asynccontextmanager
    async def resuming(self, request_id: str) -> AsyncIterator["Meter | None"]:
        """Reserve as `resume` does, and charge what was spoken when the block ends. Raises QuotaUsedUp."""
        meter = await self.resume(request_id)
        try:
            yield meter
        finally:
            if meter is not None:
                await asyncio.shield(meter.settle())

    async def find(self, request_id: str) -> "Meter | None":
        """Return a meter of what was opened before, without reserving anything."""
        content = await self.bus.get_value(self.records.bucket, self.key(request_id))
        if content is None:
            return None
        charge = msgspec.msgpack.decode(content, type=Charge)
        left_s = await self.quota.left_s(Account(charge.account, charge.limit_s)) + charge.reserved_s
        return Meter(self, request_id, charge, max(0.0, left_s))

    async def change(
        self, request_id: str, known: Charge, *, reserved_by_s: float, asked_s: float | None = None
    ) -> None:
        """Note that more or less is reserved."""

        async def changed(content: bytes) -> bytes:
            charge = msgspec.msgpack.decode(content, type=Charge) if content else known
            return msgspec.msgpack.encode(
                msgspec.structs.replace(
                    charge,
                    reserved_s=max(0.0, charge.reserved_s + reserved_by_s),
                    asked_s=charge.asked_s if asked_s is None else asked_s,
                )
            )

        await update_atomically(self.bus, self.records.bucket, self.key(request_id), changed)

    async def spoken_s(self, runs: list[str], sentence: int) -> float | None:
        """Return how long a sentence is by its stored end marker; None where it has none."""
        for run in runs:
            subject = subjects.end(self.records.tenant, run, sentence)
            payload = await self.bus.last(topology.AUDIO, subject)
            end = None if payload is None else decoded(subject, payload)
            if isinstance(end, SentenceSpoken):
                return end.samples / end.sample_rate_hz
        return None

    def key(self, request_id: str) -> str:
        """Return where a request's charge is."""
        return tenant_key(self.records.tenant, "charge", request_id)


@dataclass
class Meter:
    """Counts what one listener, or the edge that sees a job through, gets spoken of a request."""

    charges: UsageCharges
    request_id: str
    charge: Charge  # as it was found
    left_s: float  # that the request may take, what is reserved for it included
    first: bool = False  # its first request: all of it is spoken for this listener
    reserved: bool = False  # what was missing was reserved here
    assembly: Assembly | None = None  # what came
    _planned: bool = False

    @property
    def account(self) -> Account:
        """Return what the request is counted in."""
        return Account(self.charge.account, self.charge.limit_s)

    @property
    def over(self) -> bool:
        """Return whether no more will come."""
        return self.assembly is not None and (self.assembly.complete or self.assembly.failure is not None)

    def limited(self, request: SpeechRequest) -> SpeechRequest:
        """Return the request with what is left for it."""
        return msgspec.structs.replace(request, max_audio_s=min(self.left_s, _MOST_S))

    async def heard(self, assembly: Assembly) -> None:
        """Look at what has come. Raises QuotaUsedUp where it is too much."""
        self.assembly, split = assembly, assembly.split
        if self.first and not self._planned and split is not None and split.audio_s is not UNSET:
            self._planned = True
            await self._plan(split.audio_s)
        if assembly.sample_rate_hz:
            spoken_s = assembly.samples / assembly.sample_rate_hz
            if spoken_s > max(self.left_s, _LONGER * self.charge.asked_s + _LONGER_S):
                raise used_up(self.account, 0.0)

    async def settle(self, *, over: bool = True) -> None:
        """Charge what was spoken since the last time; if it is over, release what is reserved for the rest."""
        assembly, lengths = self.assembly, dict[int, float]()
        partial_s, place, whole = 0.0, -1, False
        if assembly is not None and assembly.sample_rate_hz:
            lengths = {end.sentence: end.samples / end.sample_rate_hz for end in assembly.spoken}
            partial_s = assembly.samples / assembly.sample_rate_hz - sum(lengths.values())
            place, whole = assembly.sentence, assembly.complete
        await self.settle_lengths(lengths, (place, max(0.0, partial_s)), over=over, whole=whole)

    async def settle_lengths(
        self,
        lengths: Mapping[int, float],
        partial: tuple[int, float] = (-1, 0.0),
        *,
        over: bool = True,
        whole: bool = False,
    ) -> None:
        """Charge sentences of these seconds, and of the partly spoken one at a place. Never raises: it is logged."""
        charges, delta_s = self.charges, 0.0

        async def settled(content: bytes) -> bytes:
            nonlocal delta_s
            before = msgspec.msgpack.decode(content, type=Charge) if content else self.charge
            sentences, seconds = await self._spoken(before, lengths, search=not whole)
            partial_s = partial[1] if partial[0] == sentences else 0.0
            if sentences == before.sentences:
                partial_s = max(partial_s, before.partial_s)
            new_s = seconds + partial_s - before.charged_s
            reserved_s = 0.0 if over else max(0.0, before.reserved_s - max(0.0, new_s))
            delta_s = new_s + reserved_s - before.reserved_s
            return msgspec.msgpack.encode(
                msgspec.structs.replace(
                    before,
                    reserved_s=reserved_s,
                    sentences=sentences,
                    seconds=seconds,
                    partial_s=partial_s,
                    whole=whole or before.whole,
                )
            )

        try:
            await update_atomically(charges.bus, charges.records.bucket, charges.key(self.request_id), settled)
            await charges.quota.add(self.account, delta_s)
        except PipelineError as failure:
            log.warning("charge_not_settled", request=self.request_id, code=failure.code, seconds=round(delta_s, 3))

    async def refund(self) -> None:
        """Release what was reserved here for a request that was not published."""
        if self.first or self.reserved:
            await self.settle()

    async def _plan(self, audio_s: float) -> None:
        """Reserve what the splitter estimates in place of what the edge did. Raises QuotaUsedUp."""
        more_s = audio_s - self.charge.asked_s
        if more_s > 0:
            await self.charges.quota.reserve(self.account, more_s)
        await self.charges.change(self.request_id, self.charge, reserved_by_s=more_s, asked_s=audio_s)
        if more_s < 0:
            await self.charges.quota.add(self.account, more_s)
        self.charge = msgspec.structs.replace(
            self.charge, asked_s=audio_s, reserved_s=max(0.0, self.charge.reserved_s + more_s)
        )

    async def _spoken(self, before: Charge, lengths: Mapping[int, float], *, search: bool) -> tuple[int, float]:
        """Return how many sentences are spoken, the first of the text, and how long they are."""
        sentences, seconds = before.sentences, before.seconds
        runs = [self.request_id, *await self.charges.records.runs(self.request_id)] if search else []
        later = sorted(place for place in lengths if place >= sentences)
        while True:
            length = lengths.get(sentences)
            if length is None:  # what was spoken ahead of its listener is charged as well
                length = await self.charges.spoken_s(runs, sentences)
            if length is not None:
                sentences, seconds = sentences + 1, seconds + length
                continue
            later = [place for place in later if place > sentences]
            if not later:
                return sentences, seconds
            sentences = later[0]  # markers of those in between have expired
