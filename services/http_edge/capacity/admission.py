"""Who is let in: by the sound that is due, in seconds, and not by the number of requests.

What the splitters hold they report once a second, with the ids of what they took up; what this edge has let in and no
splitter has reported yet is counted here, so that nothing is counted twice and nothing slips through in between. What
other edges let in within the last second is not known here: with several edges a burst may exceed the limit by that.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from services.common.wire.estimate import IMMEDIATE_S
from services.common.wire.failures import PipelineError, QueueFull, TenantQueueFull
from services.common.wire.identity import Identity
from services.http_edge.capacity.fleet import Fleet
from services.http_edge.metrics import Metrics
from services.http_edge.settings import Settings

_GREETING_S: Final = 2.0


@dataclass
class PendingRequest:
    """A request that was let in."""

    identity: Identity
    owed_s: float
    reported: bool = False  # by a splitter, which counts it from then on

    @property
    def due_s(self) -> float:
        """Return the sound that is due at once."""
        return min(self.owed_s, IMMEDIATE_S)


@dataclass(frozen=True)
class Admission:
    """Lets requests in while what is due is spoken soon."""

    fleet: Fleet
    settings: Settings
    metrics: Metrics
    _guests: dict[Identity, PendingRequest] = field(default_factory=dict)

    def check(self, tenant: str) -> None:
        """Refuse before anything of a request is read where any request would be refused.

        Raises TenantQueueFull where this tenant's sound takes its share, QueueFull where all sound takes all there is.
        """
        self.note_reports()
        due, limit_s = self.due_s(), self.limit_s()
        if (total_s := sum(due.values())) >= limit_s:
            raise self._refusal(QueueFull("the service has all the work that it takes; try again later"), total_s)
        if due.get(tenant, 0.0) >= limit_s * self.settings.tenant_share:
            raise self._refusal(
                TenantQueueFull("your requests fill your share of the queue; wait for some to finish"), due[tenant]
            )

    @contextmanager
    def admit(self, request: str, tenant: str, audio_s: float) -> Iterator[PendingRequest]:
        """Let a request of so much estimated audio in, and count it while the block runs.

        Raises TenantQueueFull and QueueFull, each with when to come back where that is known.
        """
        self.check(tenant)
        identity = Identity(tenant, "request", request)
        guest = PendingRequest(identity, audio_s)
        if guest.owed_s > IMMEDIATE_S:
            self._check_total()
        self._guests[identity] = guest
        try:
            yield guest
        finally:
            if self._guests.get(identity) is guest:
                del self._guests[identity]

    def note_reports(self) -> None:
        """Stop counting what a splitter counts; to be called at least every other second."""
        taken = self.fleet.taken()
        for identity, guest in self._guests.items():
            # A splitter of an earlier release says ids alone.
            if identity in taken or identity._replace(tenant="") in taken:
                guest.reported = True

    def due_s(self) -> dict[str, float]:
        """Return the sound that is due at once, by tenant: of each request at most `IMMEDIATE_S`."""
        due = self.fleet.due_s()
        for guest in self._unreported():
            tenant = guest.identity.tenant
            due[tenant] = due.get(tenant, 0.0) + guest.due_s
        return due

    def owed_s(self) -> float:
        """Return all sound that is owed."""
        return self.fleet.owed_s + sum(guest.owed_s for guest in self._unreported())

    def limit_s(self) -> float:
        """Return how much sound may be due: what is spoken within `QUEUE_WAIT_S`, or what the operator has set.

        Workers that fill their slots are faster than was measured while few were taken, so every tenant may have a
        greeting for every slot at any speed; and before anything was measured, a slot counts as a second a second.
        """
        if self.settings.queue_audio_s:
            return self.settings.queue_audio_s
        speed, slots = self.fleet.speed(), self.fleet.slots()
        if speed is None:
            return slots * self.settings.queue_wait_s
        return max(speed * self.settings.queue_wait_s, slots * _GREETING_S / self.settings.tenant_share)

    def measure(self) -> None:
        """Set the gauges."""
        self.note_reports()
        self.metrics.queued_audio.set(self.owed_s())
        self.metrics.due_audio.set(sum(self.due_s().values()))
        self.metrics.due_limit.set(self.limit_s())

    def _check_total(self) -> None:
        """Refuse a long text where not even what is owed already can be spoken in the time that a request has."""
        speed, owed_s = self.fleet.speed(), self.owed_s()
        if speed is not None and owed_s >= speed * self.settings.request_timeout_s:
            full = QueueFull("long texts fill the queue for as long as a request may take; send a short one, or wait")
            raise self._refusal(full, owed_s - speed * self.settings.request_timeout_s)

    def _refusal(self, failure: PipelineError, owed_s: float) -> PipelineError:
        """Say when so much sound will be spoken, where the speed was measured."""
        speed = self.fleet.speed()
        failure.retry_after_s = None if speed is None else owed_s / speed
        return failure

    def _unreported(self) -> Iterator[PendingRequest]:
        return (guest for guest in self._guests.values() if not guest.reported)
