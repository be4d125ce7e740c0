"""The charge of a request, stored in the bucket of requests."""

from dataclasses import dataclass

import msgspec

from services.common.bus import topology
from services.common.bus.atomic_update import Change, update_atomically
from services.common.bus.inbox import decoded
from services.common.bus.ports import Bus
from services.common.wire import subjects
from services.common.wire.identity import tenant_key
from services.common.wire.messages import SentenceSpoken
from services.http_edge.speech.request_store import RequestStore


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
class ChargeStore:
    """The charges of requests, or of jobs, of all tenants."""

    bus: Bus
    records: RequestStore

    async def create(self, tenant: str, request_id: str, charge: Charge) -> bool:
        """Store a new charge; return whether there was none."""
        return await self.bus.create_value(
            self.records.bucket, self.key(tenant, request_id), msgspec.msgpack.encode(charge)
        )

    async def read(self, tenant: str, request_id: str) -> Charge | None:
        """Return a charge; None if there is none."""
        content = await self.bus.get_value(self.records.bucket, self.key(tenant, request_id))
        return None if content is None else msgspec.msgpack.decode(content, type=Charge)

    async def update(self, tenant: str, request_id: str, change: Change) -> None:
        """Replace a charge by `change` of its content, which is empty if there is none."""
        await update_atomically(self.bus, self.records.bucket, self.key(tenant, request_id), change)

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

        await self.update(tenant, request_id, changed)

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
