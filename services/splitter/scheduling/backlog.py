"""How much sound the held requests still owe: admission, every Retry-After and the autoscaler count on it. Pure."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from services.common.wire.estimate import IMMEDIATE_S
from services.common.wire.identity import Identity


@dataclass(eq=False)
class RequestBacklog:
    """The estimated sound that one held request still owes."""

    request: str
    tenant: str
    seconds: tuple[float, ...]  # of every sentence
    owed_s: float
    spoken: set[int]

    def pay(self, sentence: int) -> None:
        """Take a spoken sentence off; twice is once."""
        if 0 <= sentence < len(self.seconds) and sentence not in self.spoken:
            self.spoken.add(sentence)
            # the last one leaves nothing, whatever the rounding of thousands of subtractions
            self.owed_s = max(0.0, self.owed_s - self.seconds[sentence]) if self._open else 0.0

    @property
    def _open(self) -> bool:
        return len(self.spoken) < len(self.seconds)


class Backlog:
    """The debts of all held requests. Every question is answered in time that does not depend on their lengths."""

    def __init__(self) -> None:
        self._debts: set[RequestBacklog] = set()
        self._taken: list[Identity] = []

    @contextmanager
    def hold(self, request: str, tenant: str, seconds: Sequence[float]) -> Iterator[RequestBacklog]:
        """Count a request's sentences, of so many estimated seconds of audio each, while the block runs."""
        debt = RequestBacklog(request, tenant, tuple(seconds), sum(seconds), set())
        self._debts.add(debt)
        self._taken.append(Identity(tenant, "request", request))
        try:
            yield debt
        finally:
            self._debts.discard(debt)

    def take_news(self) -> tuple[Identity, ...]:
        """Return the requests that were taken up since this was asked last."""
        taken, self._taken = tuple(self._taken), []
        return taken

    @property
    def requests(self) -> int:
        """Return how many requests are held."""
        return len(self._debts)

    @property
    def owed_s(self) -> float:
        """Return the estimated sound of all sentences not yet spoken, in seconds."""
        return sum(debt.owed_s for debt in self._debts)

    def due_s(self) -> dict[str, float]:
        """Return, by tenant, the sound that is due at once: of every request at most `IMMEDIATE_S`."""
        due: dict[str, float] = {}
        for debt in self._debts:
            due[debt.tenant] = due.get(debt.tenant, 0.0) + min(debt.owed_s, IMMEDIATE_S)
        return due
