"""Whose sentence is queued next: tenants share evenly by seconds of sound, and so do the requests of each. Pure.

Fair queueing (Demers, Keshav, Shenker 1989, by start times as Goyal, Vin, Cheng 1996) on two levels: every tenant, and
every request in it, has a clock that runs as its sound is queued; whoever's clock is furthest behind is next. A common
clock runs as if all who are busy were served at once, and a newcomer starts at it: nobody saves up turns, and nobody
who stays is overtaken for ever.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from services.common.wire.messages import Lane


@dataclass(eq=False)
class _Sharer:
    clock_s: float = 0.0  # seconds of sound, on the common clock of its level


@dataclass(eq=False)
class _Tenant(_Sharer):
    members: list["Flow"] = field(default_factory=list)
    now_s: float = 0.0  # the common clock of its members

    @property
    def busy(self) -> bool:
        return any(member.busy for member in self.members)


@dataclass(eq=False)
class Flow(_Sharer):
    """A request that takes turns. One wish at a time; what it was granted is outstanding until it is done."""

    tenant: str = ""
    lane: Lane | None = None  # of its wish
    cost_s: float = 0.0  # of its wish
    outstanding: dict[Lane, int] = field(default_factory=lambda: {"express": 0, "standard": 0})

    @property
    def busy(self) -> bool:
        """Say whether it wishes for something or waits for what it was granted."""
        return self.lane is not None or any(self.outstanding.values())


_SharerT = TypeVar("_SharerT", bound=_Sharer)


class FairQueue:
    """The requests of one engine that take turns."""

    def __init__(self) -> None:
        self.outstanding: dict[Lane, int] = {"express": 0, "standard": 0}
        self._tenants: dict[str, _Tenant] = {}
        self._now_s = 0.0  # the common clock of the tenants

    def join(self, tenant: str) -> Flow:
        """Let a request of this tenant in."""
        member = Flow(tenant=tenant)
        self._tenants.setdefault(tenant, _Tenant()).members.append(member)
        return member

    def ask(self, member: Flow, lane: Lane, cost_s: float) -> None:
        """Wish to queue a sentence of so many seconds of sound on this lane."""
        tenant = self._tenants[member.tenant]
        if not tenant.busy:
            tenant.clock_s = max(tenant.clock_s, self._now_s)
        if not member.busy:
            member.clock_s = max(member.clock_s, tenant.now_s)
        member.lane, member.cost_s = lane, cost_s

    def grant(self, lane: Lane, room: int) -> Flow | None:
        """Give the next turn on this lane, where fewer than `room` sentences are outstanding there and somebody
        wishes for one; the wish is fulfilled with it."""
        if self.outstanding[lane] >= room:
            return None
        tenant = _behind(tenant for tenant in self._tenants.values() if _wishes(tenant, lane))
        if tenant is None:
            return None
        member = _behind(member for member in tenant.members if member.lane == lane)
        assert member is not None  # noqa: S101  # `_wishes` has seen one
        self._now_s = _later(self._now_s, tenant, member.cost_s, sum(other.busy for other in self._tenants.values()))
        tenant.now_s = _later(tenant.now_s, member, member.cost_s, sum(other.busy for other in tenant.members))
        member.lane = None
        member.outstanding[lane] += 1
        self.outstanding[lane] += 1
        return member

    def done(self, member: Flow, lane: Lane) -> None:
        """One of its sentences is spoken."""
        if member.outstanding[lane]:
            member.outstanding[lane] -= 1
            self.outstanding[lane] -= 1

    def leave(self, member: Flow) -> None:
        """Let a request go, with its wish and all that it has outstanding."""
        for lane in member.outstanding:
            self.outstanding[lane] -= member.outstanding[lane]
        self._tenants[member.tenant].members.remove(member)
        self._forget()

    def _forget(self) -> None:
        """Forget tenants who are gone, unless they had more than their share: who comes back at once still has."""
        if not any(tenant.members for tenant in self._tenants.values()):
            self._tenants, self._now_s = {}, 0.0
        gone = [name for name, tenant in self._tenants.items() if not tenant.members and tenant.clock_s <= self._now_s]
        for name in gone:
            del self._tenants[name]


def _wishes(tenant: _Tenant, lane: Lane) -> bool:
    return any(member.lane == lane for member in tenant.members)


def _later(now_s: float, served: _Sharer, cost_s: float, busy: int) -> float:
    """Put the clock of who is served on; return the common one, of so many who are busy."""
    common_s = max(now_s + cost_s / busy, served.clock_s)
    served.clock_s += cost_s
    return common_s


def _behind(sharers: Iterable[_SharerT]) -> _SharerT | None:
    """Return the one whose clock is furthest behind; the first of equals."""
    return min(sharers, key=lambda sharer: sharer.clock_s, default=None)
