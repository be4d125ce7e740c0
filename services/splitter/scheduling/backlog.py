"""The estimated backlog of the held requests, for admission, every Retry-After and the autoscaler.
Pure."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from services.common.wire.estimate import IMMEDIATE_S
from services.common.wire.identity import Identity
from services.common.wire.parts import EngineBacklog


@dataclass(eq=False)
class RequestBacklog:
    """The estimated audio of one held request that is not synthesized yet."""

    request: str
    tenant: str
    engine: str
    seconds: tuple[float, ...]  # of each sentence
    remaining_s: float
    spoken: set[int]

    def mark_spoken(self, sentence: int) -> None:
        """Subtract a synthesized sentence from the backlog. Idempotent."""
        if 0 <= sentence < len(self.seconds) and sentence not in self.spoken:
            self.spoken.add(sentence)
            # the last sentence sets it to zero, whatever the rounding errors of thousands of
            # subtractions
            self.remaining_s = (
                max(0.0, self.remaining_s - self.seconds[sentence]) if self._open else 0.0
            )

    @property
    def _open(self) -> bool:
        return len(self.spoken) < len(self.seconds)


class Backlog:
    """The backlogs of all held requests. Every query takes time independent of the lengths of the
    requests."""

    def __init__(self) -> None:
        self._held: set[RequestBacklog] = set()
        self._new: list[Identity] = []

    @contextmanager
    def hold(
        self, request: str, tenant: str, seconds: Sequence[float], *, engine: str
    ) -> Iterator[RequestBacklog]:
        """Count a request while the block runs. `seconds`: the estimated audio of each of its
        sentences."""
        backlog = RequestBacklog(request, tenant, engine, tuple(seconds), sum(seconds), set())
        self._held.add(backlog)
        self._new.append(Identity(tenant, "request", request))
        try:
            yield backlog
        finally:
            self._held.discard(backlog)

    def take_new(self) -> tuple[Identity, ...]:
        """Return the requests that this splitter has started to hold since the previous call."""
        new = tuple(self._new)
        self._new = []
        return new

    @property
    def requests(self) -> int:
        """Return the number of held requests."""
        return len(self._held)

    @property
    def remaining_s(self) -> float:
        """Return the estimated audio of all sentences that are not synthesized yet, in seconds."""
        return sum(backlog.remaining_s for backlog in self._held)

    def immediate_s(self) -> dict[str, float]:
        """Return the immediate backlog by tenant, in seconds: at most `IMMEDIATE_S` of each
        request."""
        return _immediate_s(self._held)

    def by_engine(self) -> dict[str, EngineBacklog]:
        """Return both for each engine that held requests are for."""
        held: dict[str, list[RequestBacklog]] = {}
        for backlog in self._held:
            held.setdefault(backlog.engine, []).append(backlog)
        return {
            engine: EngineBacklog(sum(each.remaining_s for each in found), _immediate_s(found))
            for engine, found in held.items()
        }


def _immediate_s(held: Iterable[RequestBacklog]) -> dict[str, float]:
    immediate: dict[str, float] = {}
    for backlog in held:
        seconds = min(backlog.remaining_s, IMMEDIATE_S)
        immediate[backlog.tenant] = immediate.get(backlog.tenant, 0.0) + seconds
    return immediate
