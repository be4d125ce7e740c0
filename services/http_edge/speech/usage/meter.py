"""The meter of one request: checks the audio against the quota, and charges what was synthesized."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec
import structlog
from msgspec import UNSET

from services.common.wire.failures import PipelineError
from services.common.wire.messages import SpeechRequest
from services.http_edge.auth.quota import Account, Quota, used_up
from services.http_edge.speech.assembly import Assembly
from services.http_edge.speech.usage.charges import Charge, ChargeStore

log = structlog.get_logger()

# times the estimate plus `_LONGER_S`: longer audio is cut once the quota is used up
_LONGER: Final = 2.0
_LONGER_S: Final = 5.0
_MOST_S: Final = 1e9  # maximum of a message; more is the same as no limit


@dataclass
class Meter:
    """Measures the audio that one listener, or the edge that runs a job, receives of a request."""

    charges: ChargeStore
    quota: Quota
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
            await self.charges.update(self.tenant, self.request_id, settled)
            await self.quota.add(self.account, delta_s)
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
            await self.quota.reserve(self.account, more_s)
        await self.charges.change(
            self.tenant, self.request_id, self.charge, reserved_by_s=more_s, asked_s=audio_s
        )
        if more_s < 0:
            await self.quota.add(self.account, more_s)
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
