"""Who decodes next: uploads wait in a queue per tenant, and tenants share the decoders' time. Pure.

How it works. Each tenant's flow has a finish tag, in seconds of decoder time: where its last upload ended on a clock
that runs with the service given. Next is the flow with the lowest tag, and what its upload then takes is added to the
tag. A flow that comes back after a pause starts where the clock is, so time that a tenant left unused is not owed to
it later. With one decoder a newcomer so waits for the upload that is being decoded, and for no second one of a tenant
that sent many or slow ones.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from services.common.wire.failures import QueueFull, TenantQueueFull

T = TypeVar("T")
_FIRST_GUESS_S: Final = 0.5  # of decoder time, for one upload
_NEWEST_SHARE: Final = 0.2  # of the mean


@dataclass
class _Flow(Generic[T]):
    """One tenant's uploads."""

    tag_s: float
    running: int = 0
    waiting: deque[tuple[int, T]] = field(default_factory=deque)  # arrival, and the item that waits


class FairQueue(Generic[T]):
    """Tickets of tenants, in the order in which they are served."""

    def __init__(self, *, most: int, most_per_tenant: int) -> None:
        self._most = most
        self._most_per_tenant = most_per_tenant
        self._flows: dict[str, _Flow[T]] = {}
        self._clock_s = 0.0
        self._arrivals = 0
        self._mean_s = _FIRST_GUESS_S

    def __len__(self) -> int:
        """Return how many wait."""
        return sum(len(flow.waiting) for flow in self._flows.values())

    def add(self, tenant: str, ticket: T) -> T | None:
        """Let a ticket wait; return the one that it displaced, the last of the tenant with most, where all is full.

        Raises TenantQueueFull where the tenant has as many waiting as it may, QueueFull where all together have.
        """
        flow = self._flows.get(tenant)
        own = len(flow.waiting) if flow else 0
        if own >= self._most_per_tenant:
            raise self.tenant_full(own)
        displaced = None
        if len(self) >= self._most:
            longest = max(self._flows.values(), key=lambda other: len(other.waiting))
            if len(longest.waiting) <= own + 1:
                raise self.full()
            displaced = longest.waiting.pop()[1]
        flow = self._flows.setdefault(tenant, _Flow(self._clock_s))
        flow.tag_s = max(flow.tag_s, self._clock_s)
        self._arrivals += 1
        flow.waiting.append((self._arrivals, ticket))
        return displaced

    def pop(self) -> tuple[str, T] | None:
        """Return the tenant and ticket that are next; nothing where none waits."""
        waiting = [(tenant, flow) for tenant, flow in self._flows.items() if flow.waiting]
        if not waiting:
            return None
        tenant, flow = min(waiting, key=lambda one: (one[1].tag_s, one[1].running, one[1].waiting[0][0]))
        self._clock_s = max(self._clock_s, flow.tag_s)
        flow.running += 1
        return tenant, flow.waiting.popleft()[1]

    def remove(self, tenant: str, ticket: T) -> None:
        """Forget a ticket that does not wait any more."""
        flow = self._flows.get(tenant)
        if flow is not None:
            flow.waiting = deque(entry for entry in flow.waiting if entry[1] is not ticket)
            self._prune()

    def charge(self, tenant: str, seconds: float) -> None:
        """A ticket that was popped has been served, and took so much of a decoder's time."""
        flow = self._flows[tenant]
        flow.running -= 1
        flow.tag_s += seconds
        self._mean_s += _NEWEST_SHARE * (seconds - self._mean_s)
        self._prune()

    def tenant_full(self, waiting: int) -> TenantQueueFull:
        """Return the refusal of a tenant with so many tickets waiting, and when to retry."""
        failure = TenantQueueFull(f"{waiting} of your uploads wait to be decoded; retry when they are")
        failure.retry_after_s = max(1.0, waiting * self._mean_s)
        return failure

    def full(self) -> QueueFull:
        """Return the refusal of any tenant, and when to retry."""
        failure = QueueFull("too many uploads wait to be decoded; retry later")
        failure.retry_after_s = max(1.0, len(self) * self._mean_s)
        return failure

    def _prune(self) -> None:
        """Drop flows that a new one would not differ from."""
        idle = [name for name, flow in self._flows.items() if not flow.waiting and not flow.running]
        if len(idle) == len(self._flows):
            self._flows.clear()
        for name in idle:
            if name in self._flows and self._flows[name].tag_s <= self._clock_s:
                del self._flows[name]
