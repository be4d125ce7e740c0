"""The quota of each tenant in the shared bucket of requests.

Each edge counts separately: the limit applies to the bytes that one edge stores. Pure: the caller passes the time.
"""

from collections import deque
from dataclasses import dataclass, field


@dataclass
class _Usage:
    # expiry in seconds, and size in bytes
    stored: deque[tuple[float, int]] = field(default_factory=deque)
    size: int = 0

    def forget(self, now_s: float) -> None:
        while self.stored and self.stored[0][0] <= now_s:
            self.size -= self.stored.popleft()[1]


@dataclass
class RequestQuota:
    """The stored bytes of all tenants."""

    limit_bytes: int  # of each tenant
    lifetime_s: float  # of a stored request
    _usage: dict[str, _Usage] = field(default_factory=dict)

    def take(self, tenant: str, size: int, now_s: float) -> bool:
        """Count bytes that are about to be stored; return False, and count nothing, if they exceed the quota."""
        usage = self._usage.setdefault(tenant, _Usage())
        usage.forget(now_s)
        if usage.size + size > self.limit_bytes:
            return False
        usage.stored.append((now_s + self.lifetime_s, size))
        usage.size += size
        return True

    def release(self, tenant: str, size: int) -> None:
        """Stop counting the latest request of this size, which was not stored or was deleted."""
        usage = self._usage.get(tenant)
        if usage is None:
            return
        for index in range(len(usage.stored) - 1, -1, -1):
            if usage.stored[index][1] == size:
                del usage.stored[index]
                usage.size -= size
                return
