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

# times the estimate plus `_LONGER_S`: longer audio is cut once the quota is used up
_LONGER: Final = 2.0
_LONGER_S: Final = 5.0
_MOST_S: Final = 1e9  # maximum of a message; more is the same as no limit
_OPENING_LOOKS: Final = 100
_OPENING_LOOK_S: Final = 0.02


class Charge(msgspec.Struct, frozen=True):
    """The charged and reserved audio of one request."""

    account: str
    limit_s: float
    asked_s: float  # estimated audio of the whole text
    reserved_s: float = 0.0  # counted in the account, and not synthesized yet
    sentences: int = 0  # number of charged sentences, from the start of the text
    seconds: float = 0.0  # of the charged sentences
    partial_s: float = 0.0  # charged seconds of the sentence after them
    whole: bool = False  # the whole text is synthesized
    opening: bool = False  # an edge is about to reserve it

    @property
    def charged_s(self) -> float:
        """Return the charged seconds of audio."""
        return self.seconds + self.partial_s


@dataclass(frozen=True)
class UsageCharges:
    """The charges of requests, or of jobs, of all tenants."""

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
            if await self.bus.create_value(
                self.records.bucket,
                self.key(key.tenant, request_id),
                msgspec.msgpack.encode(charge),
            ):
                break
            found = await self.find(key.tenant, request_id)
            if found is not None and not found.charge.opening:
                return found  # a retry, or another request, has this id
            # an edge that is still opening after all looks has crashed
            await asyncio.sleep(_OPENING_LOOK_S)
        return await self._reserved(key.tenant, request_id, charge)

    async def begin(self, key: Key, request_id: str, asked_s: float) -> "Meter | None":
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

    async def _reserved(self, tenant: str, request_id: str, charge: Charge) -> "Meter":
        """Reserve the whole estimate of a request that has no charged audio. Raises QuotaUsedUp."""
        account = Account(charge.account, charge.limit_s)
        opened = msgspec.structs.replace(charge, opening=False)

        async def put(_content: bytes) -> bytes:
            return msgspec.msgpack.encode(opened)

        try:
            left_s = await self.quota.reserve(account, charge.asked_s)
            opened = msgspec.structs.replace(opened, reserved_s=charge.asked_s)
        finally:
            await update_atomically(
                self.bus, self.records.bucket, self.key(tenant, request_id), put
            )
        return Meter(self, tenant, request_id, opened, left_s, first=True)

    async def resume(self, tenant: str, request_id: str) -> "Meter | None":
        """Reserve the remaining audio of a resumed request, unless it is reserved already.

        Return None for a request that is not charged. Raises QuotaUsedUp.
        """
        meter = await self.find(tenant, request_id)
        if meter is None or meter.charge.reserved_s or meter.charge.whole:
            return meter

        missing_s = meter.charge.asked_s - meter.charge.charged_s
        if missing_s > 0:
            meter.left_s = await self.quota.reserve(meter.account, missing_s)
            await self.change(tenant, request_id, meter.charge, reserved_by_s=missing_s)
            meter.reserved = True
        return meter

    @asynccontextmanager
    async def resuming(self, tenant: str, request_id: str) -> AsyncIterator["Meter | None"]:
        """Reserve like `resume`, and charge the synthesized audio when the block ends. Raises QuotaUsedUp."""
        meter = await self.resume(tenant, request_id)
        try:
            yield meter
        finally:
            if meter is not None:
                await asyncio.shield(meter.settle())

    async def find(self, tenant: str, request_id: str) -> "Meter | None":
        """Return a meter of an existing charge without reserving anything; None if there is no charge."""
        content = await self.bus.get_value(self.records.bucket, self.key(tenant, request_id))
        if content is None:
            return None

        charge = msgspec.msgpack.decode(content, type=Charge)
        left_s = (
            await self.quota.left_s(Account(charge.account, charge.limit_s)) + charge.reserved_s
        )
        return Meter(self, tenant, request_id, charge, max(0.0, left_s))

    async def change(
        self,
        tenant: str,
        request_id: str,
        known: Charge,
        *,
        reserved_by_s: float,
        asked_s: float | None = None,
    ) -> None:
        """Add seconds to the reservation of a charge, which can be negative, and replace its estimate."""

        async def changed(content: bytes) -> bytes:
            charge = msgspec.msgpack.decode(content, type=Charge) if content else known
            return msgspec.msgpack.encode(
                msgspec.structs.replace(
                    charge,
                    reserved_s=max(0.0, charge.reserved_s + reserved_by_s),
                    asked_s=charge.asked_s if asked_s is None else asked_s,
                )
            )

        await update_atomically(
            self.bus, self.records.bucket, self.key(tenant, request_id), changed
        )

    async def spoken_s(self, tenant: str, attempts: list[str], sentence: int) -> float | None:
        """Return the length of a sentence from its stored end marker; None if no attempt has one."""
        for attempt in attempts:
            subject = subjects.end(tenant, attempt, sentence)
            payload = await self.bus.last(topology.AUDIO, subject)
            end = None if payload is None else decoded(subject, payload)
            if isinstance(end, SentenceSpoken):
                return end.samples / end.sample_rate_hz
        return None

    def key(self, tenant: str, request_id: str) -> str:
        """Return the KV key of a request's charge."""
        return tenant_key(tenant, "charge", request_id)


@dataclass
class Meter:
    """Measures the audio that one listener, or the edge that runs a job, receives of a request."""

    charges: UsageCharges
    tenant: str
    request_id: str
    charge: Charge  # as read from the store
    left_s: float  # audio that the request can still use, including its reservation
    # this listener published the request, so it receives the audio from the start
    first: bool = False
    reserved: bool = False  # `resume` reserved the remaining audio
    assembly: Assembly | None = None  # the audio received so far
    _planned: bool = False

    @property
    def account(self) -> Account:
        """Return the account that the request is charged to."""
        return Account(self.charge.account, self.charge.limit_s)

    @property
    def over(self) -> bool:
        """Return whether no more audio will arrive."""
        return self.assembly is not None and (
            self.assembly.complete or self.assembly.failure is not None
        )

    def limited(self, request: SpeechRequest) -> SpeechRequest:
        """Return the request with its audio limited to the remaining quota."""
        return msgspec.structs.replace(request, max_audio_s=min(self.left_s, _MOST_S))

    async def observe(self, assembly: Assembly) -> None:
        """Check the audio received so far against the quota. Raises QuotaUsedUp if it is exceeded."""
        self.assembly = assembly
        split = assembly.split

        if self.first and not self._planned and split is not None and split.audio_s is not UNSET:
            self._planned = True
            await self._plan(split.audio_s)

        if assembly.sample_rate_hz:
            spoken_s = assembly.samples / assembly.sample_rate_hz
            if spoken_s > max(self.left_s, _LONGER * self.charge.asked_s + _LONGER_S):
                raise used_up(self.account, 0.0)

    async def settle(self, *, over: bool = True) -> None:
        """Charge the audio since the last settlement; `over`: also release the reservation for the rest."""
        assembly = self.assembly
        lengths: dict[int, float] = {}
        partial_s = 0.0
        sentence = -1
        whole = False

        if assembly is not None and assembly.sample_rate_hz:
            lengths = {end.sentence: end.samples / end.sample_rate_hz for end in assembly.spoken}
            partial_s = assembly.samples / assembly.sample_rate_hz - sum(lengths.values())
            sentence = assembly.sentence
            whole = assembly.complete

        await self.settle_lengths(lengths, (sentence, max(0.0, partial_s)), over=over, whole=whole)

    async def settle_lengths(
        self,
        lengths: Mapping[int, float],
        partial: tuple[int, float] = (-1, 0.0),
        *,
        over: bool = True,
        whole: bool = False,
    ) -> None:
        """Charge sentences by their lengths in seconds, and a partial sentence by its index and seconds.

        Failures are logged, not raised.
        """
        charges = self.charges
        delta_s = 0.0

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
            await update_atomically(
                charges.bus,
                charges.records.bucket,
                charges.key(self.tenant, self.request_id),
                settled,
            )
            await charges.quota.add(self.account, delta_s)
        except PipelineError as failure:
            log.warning(
                "charge_not_settled",
                request=self.request_id,
                code=failure.code,
                seconds=round(delta_s, 3),
            )

    async def refund(self) -> None:
        """Release the reservation of a request that was not published."""
        if self.first or self.reserved:
            await self.settle()

    async def _plan(self, audio_s: float) -> None:
        """Replace the reservation of the edge's estimate by the splitter's estimate. Raises QuotaUsedUp."""
        more_s = audio_s - self.charge.asked_s
        if more_s > 0:
            await self.charges.quota.reserve(self.account, more_s)
        await self.charges.change(
            self.tenant, self.request_id, self.charge, reserved_by_s=more_s, asked_s=audio_s
        )
        if more_s < 0:
            await self.charges.quota.add(self.account, more_s)
        self.charge = msgspec.structs.replace(
            self.charge, asked_s=audio_s, reserved_s=max(0.0, self.charge.reserved_s + more_s)
        )

    async def _spoken(
        self, before: Charge, lengths: Mapping[int, float], *, search: bool
    ) -> tuple[int, float]:
        """Return the number of synthesized sentences, from the start of the text, and their total seconds.

        `search`: look up the end markers of sentences that are not in `lengths`.
        """
        sentences = before.sentences
        seconds = before.seconds
        attempts = (
            [self.request_id, *await self.charges.records.attempts(self.tenant, self.request_id)]
            if search
            else []
        )
        later = sorted(sentence for sentence in lengths if sentence >= sentences)
        while True:
            length = lengths.get(sentences)
            if length is None:  # audio ahead of its listener is charged as well
                length = await self.charges.spoken_s(self.tenant, attempts, sentences)
            if length is not None:
                sentences += 1
                seconds += length
                continue

            later = [sentence for sentence in later if sentence > sentences]
            if not later:
                return sentences, seconds
            sentences = later[0]  # the end markers in between have expired
