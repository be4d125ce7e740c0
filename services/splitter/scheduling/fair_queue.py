"""Chooses the request whose sentence is queued next: audio seconds are shared fairly between
tenants, and within each tenant between its requests. Pure.

How it works. This is start-time fair queueing (Goyal, Vin, Cheng 1996; fair queueing: Demers,
Keshav, Shenker 1989) on two levels: tenants compete with each other, and the requests (flows) of
one tenant compete with each other.

- Every tenant and every flow has a virtual clock, in seconds of audio. Granting a sentence advances
  the clocks of its flow and its tenant by the sentence's estimated length.
- `grant` picks the tenant whose clock is furthest behind among those with a sentence pending on the
  lane, and then the flow of that tenant whose clock is furthest behind. So whatever received the
  least audio so far is next, and one tenant with many requests gets no larger share than one with a
  single request.
- Each level also has a common clock, the virtual time. It advances by cost / (number of busy
  participants), as if all of them were served at the same time, and never lags behind the clock of
  the participant served last.
- A participant that was idle starts at the virtual time, if its own clock is behind that. So
  nothing saves up credit while idle, and newcomers cannot overtake a waiting participant forever.

A flow has at most one pending sentence; granted ones are outstanding until `release`. `grant`
refuses a lane that has `capacity` sentences outstanding, which keeps the queues on NATS short and
leaves the choice to this queue.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from services.common.wire.fields import Lane


@dataclass(eq=False)
class _Participant:
    clock_s: float = 0.0  # audio seconds, on the common clock of its level


@dataclass(eq=False)
class _Tenant(_Participant):
    flows: list["Flow"] = field(default_factory=list)
    now_s: float = 0.0  # the common clock of its flows

    @property
    def busy(self) -> bool:
        return any(flow.busy for flow in self.flows)


@dataclass(eq=False)
class Flow(_Participant):
    """One request in the queue: at most one pending sentence, and the granted ones that are not
    released yet."""

    tenant: str = ""
    lane: Lane | None = None  # of the pending sentence; None: nothing is pending
    cost_s: float = 0.0  # of the pending sentence
    outstanding: dict[Lane, int] = field(default_factory=lambda: {"express": 0, "standard": 0})

    @property
    def busy(self) -> bool:
        """Return whether a sentence of the flow is pending or outstanding."""
        return self.lane is not None or any(self.outstanding.values())


_ParticipantT = TypeVar("_ParticipantT", bound=_Participant)


class FairQueue:
    """The fair queue of one engine."""

    def __init__(self) -> None:
        self.outstanding: dict[Lane, int] = {"express": 0, "standard": 0}
        self._tenants: dict[str, _Tenant] = {}
        self._now_s = 0.0  # the common clock of the tenants

    def join(self, tenant: str) -> Flow:
        """Add a request of this tenant; return its flow."""
        flow = Flow(tenant=tenant)
        self._tenants.setdefault(tenant, _Tenant()).flows.append(flow)
        return flow

    def request(self, flow: Flow, lane: Lane, cost_s: float) -> None:
        """Make a sentence pending on this lane. `cost_s`: its estimated audio, in seconds."""
        tenant = self._tenants[flow.tenant]
        if not tenant.busy:
            tenant.clock_s = max(tenant.clock_s, self._now_s)
        if not flow.busy:
            flow.clock_s = max(flow.clock_s, tenant.now_s)
        flow.lane = lane
        flow.cost_s = cost_s

    def grant(self, lane: Lane, capacity: int) -> Flow | None:
        """Grant the next pending sentence on this lane; return its flow.

        Returns None if `capacity` sentences are outstanding on the lane, or if no sentence is
        pending there.
        """
        if self.outstanding[lane] >= capacity:
            return None

        tenant = _furthest_behind(
            tenant for tenant in self._tenants.values() if _is_pending(tenant, lane)
        )
        if tenant is None:
            return None
        flow = _furthest_behind(flow for flow in tenant.flows if flow.lane == lane)
        assert flow is not None  # noqa: S101  # `_is_pending` has found one

        busy_tenants = sum(other.busy for other in self._tenants.values())
        busy_flows = sum(other.busy for other in tenant.flows)
        self._now_s = _advance(self._now_s, tenant, flow.cost_s, busy_tenants)
        tenant.now_s = _advance(tenant.now_s, flow, flow.cost_s, busy_flows)

        flow.lane = None
        flow.outstanding[lane] += 1
        self.outstanding[lane] += 1
        return flow

    def release(self, flow: Flow, lane: Lane) -> None:
        """Release an outstanding sentence of the flow, which has been spoken."""
        if flow.outstanding[lane]:
            flow.outstanding[lane] -= 1
            self.outstanding[lane] -= 1

    def leave(self, flow: Flow) -> None:
        """Remove a request, with its pending and outstanding sentences."""
        for lane in flow.outstanding:
            self.outstanding[lane] -= flow.outstanding[lane]
        self._tenants[flow.tenant].flows.remove(flow)
        self._remove_idle_tenants()

    def _remove_idle_tenants(self) -> None:
        """Remove tenants without requests, except those ahead of the common clock: returning at
        once resets nothing."""
        if not any(tenant.flows for tenant in self._tenants.values()):
            self._tenants = {}
            self._now_s = 0.0
        idle = [
            name
            for name, tenant in self._tenants.items()
            if not tenant.flows and tenant.clock_s <= self._now_s
        ]
        for name in idle:
            del self._tenants[name]


def _is_pending(tenant: _Tenant, lane: Lane) -> bool:
    return any(flow.lane == lane for flow in tenant.flows)


def _advance(now_s: float, served: _Participant, cost_s: float, busy: int) -> float:
    """Advance the clock of the served participant; return the common clock, which `busy`
    participants share."""
    common_s = max(now_s + cost_s / busy, served.clock_s)
    served.clock_s += cost_s
    return common_s


def _furthest_behind(participants: Iterable[_ParticipantT]) -> _ParticipantT | None:
    """Return the participant whose clock is furthest behind; the first of equals."""
    return min(participants, key=lambda participant: participant.clock_s, default=None)
