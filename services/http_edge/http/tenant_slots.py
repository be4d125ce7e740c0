"""A limit on the concurrent requests of each tenant."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from services.http_edge.errors import TooManyRequests


@dataclass(frozen=True)
class TenantSlots:
    """Counts the requests of each tenant that are in progress."""

    most: int  # per tenant
    refusal: str  # the message of a request over the limit
    _running: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def slot(self, tenant: str) -> Iterator[None]:
        """Hold a slot of the tenant while the block runs. Raises TooManyRequests."""
        if self._running[tenant] >= self.most:
            raise TooManyRequests(self.refusal)

        self._running[tenant] += 1
        try:
            yield
        finally:
            self._running[tenant] -= 1
            if not self._running[tenant]:
                del self._running[tenant]
