"""Admits requests by the backlog, in seconds of audio, and not by their number.

Splitters report their backlog once a second, with the ids of the requests in it. Requests that this
edge has admitted and no splitter has reported yet are counted here, so each request is counted
exactly once. Engines do not wait for each other: each has its own backlog and limit. Requests that
other edges admitted within the last second are unknown here: with several edges, a burst can exceed
the limit by that much.
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
    """An admitted request."""

    identity: Identity
    engine: str
    backlog_s: float  # its estimated audio
    reported: bool = False  # by a splitter, whose backlog includes it from then on

    @property
    def due_s(self) -> float:
        """Return its part of the immediate backlog: at most `IMMEDIATE_S`."""
        return min(self.backlog_s, IMMEDIATE_S)


@dataclass(frozen=True)
class Admission:
    """Admits requests while the backlog can be synthesized within `QUEUE_WAIT_S`."""

    fleet: Fleet
    settings: Settings
    metrics: Metrics
    _pending: dict[Identity, PendingRequest] = field(default_factory=dict)

    def check(self, tenant: str, engine: str | None = None) -> None:
        """Check whether the queue of an engine is full for any request of the tenant.

        `engine`: None for the edge's own. Raises TenantQueueFull if the tenant's backlog fills its
        share, QueueFull if the total backlog fills the queue.
        """
        self.note_reports()
        fleet = self.fleet.of(engine)
        due = self._due_s(fleet)
        limit_s = self._limit_s(fleet)
        if (total_s := sum(due.values())) >= limit_s:
            raise _refusal(fleet, QueueFull("the queue is full; retry later"), total_s)
        if due.get(tenant, 0.0) >= limit_s * self.settings.tenant_share:
            raise _refusal(
                fleet,
                TenantQueueFull(
                    "your requests fill your share of the queue; retry when some have finished"
                ),
                due[tenant],
            )

    @contextmanager
    def admit(
        self, request: str, tenant: str, audio_s: float, engine: str | None = None
    ) -> Iterator[PendingRequest]:
        """Admit a request with an estimated length, and count it while the block runs.

        `engine`: None for the edge's own. Raises TenantQueueFull and QueueFull, each with the time
        to retry after if that is known.
        """
        self.check(tenant, engine)
        fleet = self.fleet.of(engine)
        identity = Identity(tenant, "request", request)
        pending = PendingRequest(identity, fleet.engine, audio_s)
        if pending.backlog_s > IMMEDIATE_S:
            self._check_total(fleet)
        self._pending[identity] = pending
        try:
            yield pending
        finally:
            if self._pending.get(identity) is pending:
                del self._pending[identity]

    def note_reports(self) -> None:
        """Stop counting requests that a splitter counts; called at least every two seconds."""
        reported = self.fleet.taken()
        for identity, pending in self._pending.items():
            # A splitter of an earlier release reports ids without tenants.
            if identity in reported or identity._replace(tenant="") in reported:
                pending.reported = True

    def due_s(self) -> dict[str, float]:
        """Return the immediate backlog of all engines by tenant, in seconds of audio."""
        return self._due_s(self.fleet, all_engines=True)

    def backlog_s(self) -> float:
        """Return the total backlog of all engines."""
        return self._backlog_s(self.fleet, all_engines=True)

    def _due_s(self, fleet: Fleet, *, all_engines: bool = False) -> dict[str, float]:
        """Return the immediate backlog by tenant: of each request at most `IMMEDIATE_S`."""
        due = fleet.due_s(all_engines=all_engines)
        for pending in self._unreported(None if all_engines else fleet.engine):
            tenant = pending.identity.tenant
            due[tenant] = due.get(tenant, 0.0) + pending.due_s
        return due

    def _backlog_s(self, fleet: Fleet, *, all_engines: bool = False) -> float:
        unreported = self._unreported(None if all_engines else fleet.engine)
        return fleet.backlog_s(all_engines=all_engines) + sum(each.backlog_s for each in unreported)

    def _limit_s(self, fleet: Fleet) -> float:
        """Return the limit of the immediate backlog.

        What is synthesized in `QUEUE_WAIT_S`, or `QUEUE_AUDIO_S`.

        Workers are faster with full slots than the speed measured with few in use, so each tenant
        can always have a short greeting per slot. Before any measurement, a slot counts as real
        time.
        """
        if self.settings.queue_audio_s:
            return self.settings.queue_audio_s
        speed = fleet.speed()
        slots = fleet.slots()
        if speed is None:
            return slots * self.settings.queue_wait_s
        return max(
            speed * self.settings.queue_wait_s, slots * _GREETING_S / self.settings.tenant_share
        )

    def measure(self) -> None:
        """Set the gauges: of each engine, the backlog of all together, and the limit of the edge's own."""
        self.note_reports()
        self.metrics.queued_audio.set(self.backlog_s())
        self.metrics.due_audio.set(sum(self.due_s().values()))
        self.metrics.due_limit.set(self._limit_s(self.fleet))
        for gauge in self.metrics.of_engines:
            gauge.clear()
        for engine in self._engines():
            fleet = self.fleet.of(engine)
            self.metrics.engine_queued_audio.labels(engine).set(self._backlog_s(fleet))
            self.metrics.engine_due_audio.labels(engine).set(sum(self._due_s(fleet).values()))
            self.metrics.engine_due_limit.labels(engine).set(self._limit_s(fleet))

    def _engines(self) -> set[str]:
        """Return the engines that have a ready worker or a backlog, and the edge's own."""
        return {*self.fleet.engines(), *self.fleet.engines_with_backlog()}

    def _check_total(self, fleet: Fleet) -> None:
        """Refuse a long text if the backlog alone takes longer than `REQUEST_TIMEOUT_S`.

        Raises QueueFull.
        """
        speed = fleet.speed()
        backlog_s = self._backlog_s(fleet)
        if speed is not None and backlog_s >= speed * self.settings.request_timeout_s:
            full = QueueFull(
                "long texts fill the queue for longer than the request timeout; send a short text, or retry later"
            )
            raise _refusal(fleet, full, backlog_s - speed * self.settings.request_timeout_s)

    def _unreported(self, engine: str | None) -> Iterator[PendingRequest]:
        """Return those of an engine that no splitter counts; of all engines for None."""
        return (
            pending
            for pending in self._pending.values()
            if not pending.reported and engine in (None, pending.engine)
        )


def _refusal(fleet: Fleet, failure: PipelineError, backlog_s: float) -> PipelineError:
    """Return the failure with the time that the backlog takes, if the speed was measured."""
    speed = fleet.speed()
    failure.retry_after_s = None if speed is None else backlog_s / speed
    return failure
