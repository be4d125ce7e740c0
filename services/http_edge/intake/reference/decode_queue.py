"""A fair queue for decoding: uploads wait in a flow per tenant, and tenants share the decoders' time. Pure.

How it works. Each tenant's flow has a finish tag, in seconds of decoder time: where its last upload ended on a virtual
clock that advances with the service given. The flow with the lowest tag is next, and the time that its upload takes is
added to the tag. A flow that returns after a pause starts at the clock, so unused time is not carried over. With one
decoder, a new tenant therefore waits for the upload that is being decoded, and for no second one of a tenant that sent
many or slow ones.
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


class DecodeQueue(Generic[T]):
    """The tickets of all tenants, in the order in which they are served."""

    def __init__(self, *, most: int, most_per_tenant: int) -> None:
        self._most = most
        self._most_per_tenant = most_per_tenant
        self._flows: dict[str, _Flow[T]] = {}
        self._clock_s = 0.0
        self._arrivals = 0
        self._mean_s = _FIRST_GUESS_S

    def __len__(self) -> int:
        """Return how many tickets wait."""
        return sum(len(flow.waiting) for flow in self._flows.values())

    def add(self, tenant: str, ticket: T) -> T | None:
        """Queue a ticket.

        If the queue is full, return the one that it displaced: the last of the longest flow.

        Raises TenantQueueFull if the tenant's flow is full, QueueFull if the queue is full of flows
        as short.
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
        """Return the tenant and the ticket that are next; None if none waits."""
        waiting = [(tenant, flow) for tenant, flow in self._flows.items() if flow.waiting]
        if not waiting:
            return None
        tenant, flow = min(
            waiting, key=lambda one: (one[1].tag_s, one[1].running, one[1].waiting[0][0])
        )
        self._clock_s = max(self._clock_s, flow.tag_s)
        flow.running += 1
        return tenant, flow.waiting.popleft()[1]

    def remove(self, tenant: str, ticket: T) -> None:
        """Remove a ticket that no longer waits."""
        flow = self._flows.get(tenant)
        if flow is not None:
            flow.waiting = deque(entry for entry in flow.waiting if entry[1] is not ticket)
            self._prune()

    def charge(self, tenant: str, seconds: float) -> None:
        """Charge the decoder time of a ticket that was popped and served."""
        flow = self._flows[tenant]
        flow.running -= 1
        flow.tag_s += seconds
        self._mean_s += _NEWEST_SHARE * (seconds - self._mean_s)
        self._prune()

    def tenant_full(self, waiting: int) -> TenantQueueFull:
        """Return the error for a tenant with a full flow, with the time to retry after."""
        failure = TenantQueueFull(
            f"{waiting} of your uploads are waiting to be decoded; retry later"
        )
        failure.retry_after_s = max(1.0, waiting * self._mean_s)
        return failure

    def full(self) -> QueueFull:
        """Return the error for a full queue, with the time to retry after."""
        failure = QueueFull("too many uploads are waiting to be decoded; retry later")
        failure.retry_after_s = max(1.0, len(self) * self._mean_s)
        return failure

    def _prune(self) -> None:
        """Drop flows whose state equals that of a new one."""
        idle = [name for name, flow in self._flows.items() if not flow.waiting and not flow.running]
        if len(idle) == len(self._flows):
            self._flows.clear()
        for name in idle:
            if name in self._flows and self._flows[name].tag_s <= self._clock_s:
                del self._flows[name]
