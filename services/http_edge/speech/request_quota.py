"""Each tenant's quota in the shared bucket of requests.

Each edge counts separately: the bound is on what one edge stores. Pure: the caller passes the time.
"""

from collections import deque
from dataclasses import dataclass, field


@dataclass
class _Filled:
    kept: deque[tuple[float, int]] = field(default_factory=deque)  # when it is forgotten, and its bytes
    size: int = 0

    def forget(self, now_s: float) -> None:
        while self.kept and self.kept[0][0] <= now_s:
            self.size -= self.kept.popleft()[1]


@dataclass
class RequestQuota:
    """The stored bytes of all tenants."""

    limit_bytes: int  # of each tenant
    lifetime_s: float  # of a stored request
    _filled: dict[str, _Filled] = field(default_factory=dict)

    def take(self, tenant: str, size: int, now_s: float) -> bool:
        """Count so many bytes to be stored; return False, and count nothing, if that exceeds the tenant's quota."""
        filled = self._filled.setdefault(tenant, _Filled())
        filled.forget(now_s)
        if filled.size + size > self.limit_bytes:
            return False
        filled.kept.append((now_s + self.lifetime_s, size))
        filled.size += size
        return True

    def release(self, tenant: str, size: int) -> None:
        """Stop counting the latest request of so many bytes: it was not stored, or is deleted."""
        filled = self._filled.get(tenant)
        if filled is None:
            return
        for index in range(len(filled.kept) - 1, -1, -1):
            if filled.kept[index][1] == size:
                del filled.kept[index]
                filled.size -= size
                return
