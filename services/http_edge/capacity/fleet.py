"""What the edge knows of the workers and splitters: only what they say of themselves on the bus."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from msgspec import UNSET

from services.common.bus.heartbeats import Heartbeats
from services.common.wire.estimate import IMMEDIATE_S
from services.common.wire.failures import EngineUnavailable, UnsupportedLanguage
from services.common.wire.identity import Identity
from services.common.wire.messages import Parameters, SplitterState, WorkerState
from services.common.wire.parameters import RANGES, Range, require_taken, takes_of
from services.http_edge.metrics import Metrics

_FASTEST: Final = 1e-4  # real-time factor; a tone costs next to nothing


@dataclass(frozen=True)
class Fleet:
    """The workers of one engine, and the splitters."""

    engine: str
    workers: Heartbeats[WorkerState]
    splitters: Heartbeats[SplitterState]

    def ready(self) -> list[WorkerState]:
        """Return the engine's workers whose model is resident."""
        return [worker for worker in self._workers() if worker.state == "ready"]

    def why_not_ready(self) -> str | None:
        """Return why nobody can be spoken to now, or None."""
        if not self.ready():
            return f"no worker for the engine {self.engine} is ready: {self.state()}"
        return None if self.splitters.alive() else "no splitter is alive"

    def require_ready(self) -> None:
        """Raise EngineUnavailable where nobody can be spoken to now."""
        reason = self.why_not_ready()
        if reason is not None:
            raise EngineUnavailable(f"{reason}; try again soon")

    def require(self, language: str, parameters: Parameters) -> WorkerState:
        """Return a worker that can speak the language.

        Raises EngineUnavailable, UnsupportedLanguage, and UnsupportedParameter where some worker takes less.
        """
        self.require_ready()
        require_taken(parameters, engine=self.engine, takes=takes_of(self.ready()))
        for worker in self.ready():
            if language in worker.languages:
                return worker
        raise UnsupportedLanguage(f"the engine {self.engine} does not speak this language")

    def parameters(self) -> dict[str, dict[str, float | bool]]:
        """Return what the engine takes: of each parameter its default, its range, and whether it is a whole number."""
        takes = takes_of(self.ready() or self._workers())
        return {name: _described(RANGES[name], default) for name, default in takes.items() if name in RANGES}

    def state(self) -> str:
        """Return, in words, what the engine's workers are doing."""
        said = [worker.detail or worker.state for worker in self._workers()]
        return ", ".join(sorted(set(said))) or "none is alive"

    @property
    def device(self) -> str | None:
        """Return where the model computes, such as "cpu" or "cuda:0"; None while nobody is alive."""
        workers = self.ready() or self._workers()
        return workers[0].device if workers else None

    @property
    def owed_s(self) -> float:
        """Return the sound, in seconds, that the splitters still owe."""
        return sum(splitter.queued_audio_s for splitter in self.splitters.alive())

    def due_s(self) -> dict[str, float]:
        """Return, by tenant, the sound that is due at once."""
        due: dict[str, float] = {}
        for splitter in self.splitters.alive():
            for tenant, seconds in _due_s(splitter).items():
                due[tenant] = due.get(tenant, 0.0) + seconds
        return due

    def taken(self) -> set[Identity]:
        """Return the requests that splitters took up within the last seconds."""
        return {identity for splitter in self.splitters.alive() for identity in _taken(splitter)}

    def slots(self) -> int:
        """Return how many sentences the engine's workers speak at once."""
        return sum(worker.slots for worker in self.ready())

    def real_time_factor(self) -> float | None:
        """Return the mean work for a second of sound of the engine's workers; None before any has spoken."""
        factors = [worker.real_time_factor for worker in self.ready() if worker.real_time_factor is not None]
        return sum(factors) / len(factors) if factors else None

    def speed(self) -> float | None:
        """Return the seconds of sound that the engine's workers make in a second, as measured; None before that."""
        factor = self.real_time_factor()
        return len(self.ready()) / max(factor, _FASTEST) if factor is not None else None

    def retry_after_s(self) -> float | None:
        """Return when the sound that is due now will be spoken, from measured speed; None rather than a guess."""
        speed = self.speed()
        return None if speed is None else sum(self.due_s().values()) / speed

    def measure(self, metrics: Metrics) -> None:
        """Set the gauges that speak of workers and splitters."""
        metrics.model_loaded.set(1 if self.ready() else 0)
        metrics.workers.clear()
        for (engine, state), count in Counter((w.engine, w.state) for w in self.workers.alive()).items():
            metrics.workers.labels(engine, state).set(count)
        factor = self.real_time_factor()
        if factor is not None:
            metrics.real_time_factor.labels(self.engine).set(factor)

    def _workers(self) -> list[WorkerState]:
        return [worker for worker in self.workers.alive() if worker.engine == self.engine]


def _due_s(splitter: SplitterState) -> dict[str, float]:
    """Return what a splitter says is due; what one of an earlier release owes is nobody's in particular."""
    if splitter.due_audio_s or not splitter.requests:
        return dict(splitter.due_audio_s)
    return {"": min(splitter.queued_audio_s, splitter.requests * IMMEDIATE_S)}


def _taken(splitter: SplitterState) -> Iterator[Identity]:
    """Yield the requests that a splitter has taken up; those of an earlier release's without their tenant."""
    by_tenant = {"": splitter.taken} if splitter.taken_by is UNSET else splitter.taken_by
    for tenant, requests in by_tenant.items():
        yield from (Identity(tenant, "request", request) for request in requests)


def _described(allowed: Range, default: float) -> dict[str, float | bool]:
    return {
        "default": int(default) if allowed.whole else default,
        "minimum": allowed.lowest,
        "maximum": allowed.highest,
        "whole": allowed.whole,
    }
