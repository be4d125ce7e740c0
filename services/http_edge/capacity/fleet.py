"""The state of the workers and splitters, from their heartbeats alone."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Annotated, Final, TypedDict

from msgspec import UNSET, Meta, structs

from services.common.bus.heartbeats import Heartbeats
from services.common.wire.estimate import IMMEDIATE_S
from services.common.wire.failures import EngineUnavailable, UnsupportedLanguage
from services.common.wire.fields import NO_WATERMARK
from services.common.wire.identity import Identity
from services.common.wire.messages import SpeechRequest, SplitterState, WorkerState
from services.common.wire.options import Parameters
from services.common.wire.parameters import RANGES, Range, require_taken, takes_of
from services.common.wire.parts import EngineBacklog
from services.http_edge.metrics import Metrics

_FASTEST: Final = 1e-4  # real-time factor; a tone takes almost no time


class ParameterRange(TypedDict):
    """A parameter that the engine supports."""

    default: float
    minimum: float
    maximum: float
    whole: Annotated[bool, Meta(description="whole numbers only")]


@dataclass(frozen=True)
class Fleet:
    """The workers of one engine, and the splitters."""

    engine: str
    workers: Heartbeats[WorkerState]
    splitters: Heartbeats[SplitterState]
    _counted: set[str] = field(default_factory=set)  # failed workers that `measure` has counted

    def of(self, engine: str | None) -> "Fleet":
        """Return the workers of another engine; of this one for None."""
        return self if engine in (None, self.engine) else replace(self, engine=engine)

    def engines(self) -> list[str]:
        """Return the engine, and then the other ones with a worker whose model is loaded."""
        ready = {worker.engine for worker in self.workers.alive() if worker.state == "ready"}
        return [self.engine, *sorted(ready - {self.engine})]

    def ready(self) -> list[WorkerState]:
        """Return the engine's workers whose model is loaded."""
        return [worker for worker in self._workers() if worker.state == "ready"]

    def why_not_ready(self) -> str | None:
        """Return why no speech can be synthesized now, or None if it can."""
        if not self.ready():
            return f"no worker for the engine {self.engine} is ready: {self.state()}"
        return None if self.splitters.alive() else "no splitter is alive"

    def require_ready(self) -> None:
        """Raise EngineUnavailable if no speech can be synthesized now."""
        reason = self.why_not_ready()
        if reason is not None:
            raise EngineUnavailable(f"{reason}; retry later")

    def require_known(self) -> None:
        """Raise EngineUnavailable, without a retry, if only other engines run, and this one never has."""
        others = self.engines()[1:]
        if others and not self.ready() and not self.workers.heard_of(self.engine):
            failure = EngineUnavailable(
                f"no worker for the engine {self.engine} is ready; running engines: {', '.join(others)}"
            )
            failure.retryable = False
            failure.http_status = HTTPStatus.NOT_FOUND
            raise failure

    def require(self, language: str, parameters: Parameters) -> WorkerState:
        """Return a worker that supports the language.

        Raises EngineUnavailable, UnsupportedLanguage, and UnsupportedParameter if some worker does
        not support one.
        """
        self.require_ready()
        require_taken(parameters, engine=self.engine, takes=takes_of(self.ready()))
        for worker in self.ready():
            if language in worker.languages:
                return worker
        raise UnsupportedLanguage(f"the engine {self.engine} does not support this language")

    def parameters(self) -> dict[str, ParameterRange]:
        """Return the engine's parameters.

        For each its default, its range, and whether it is a whole number.
        """
        takes = takes_of(self.ready() or self._workers())
        return {
            name: _described(RANGES[name], default)
            for name, default in takes.items()
            if name in RANGES
        }

    def state(self) -> str:
        """Return a description of what the engine's workers are doing."""
        states = [worker.detail or worker.state for worker in self._workers()]
        return ", ".join(sorted(set(states))) or "none is alive"

    @property
    def device(self) -> str | None:
        """Return where the model computes, such as "cpu" or "cuda:0".

        None while no worker is alive.
        """
        workers = self.ready() or self._workers()
        return workers[0].device if workers else None

    @property
    def watermark(self) -> str | None:
        """Return the watermark of the audio; "off" unless every worker puts it in.

        None while no worker is alive.
        """
        marks = {worker.watermark for worker in self.ready() or self._workers()}
        if not marks:
            return None
        mark = marks.pop()
        return NO_WATERMARK if marks or mark is UNSET else mark

    def marked(self, request: SpeechRequest) -> SpeechRequest:
        """Return the request with the watermark that its audio has now, whatever the workers are set to later.

        Unset while no worker of its engine is alive: each worker then does as it is set.
        """
        mark = self.of(request.engine).watermark
        return structs.replace(request, watermark=UNSET if mark is None else mark)

    def backlog_s(self, *, all_engines: bool = False) -> float:
        """Return the backlog of the splitters for this engine, in seconds of audio."""
        return sum(backlog.queued_audio_s for backlog in self._backlogs(all_engines=all_engines))

    def due_s(self, *, all_engines: bool = False) -> dict[str, float]:
        """Return the immediate backlog of the splitters for this engine by tenant, in seconds of audio."""
        due: dict[str, float] = {}
        for backlog in self._backlogs(all_engines=all_engines):
            for tenant, seconds in backlog.due_audio_s.items():
                due[tenant] = due.get(tenant, 0.0) + seconds
        return due

    def _backlogs(self, *, all_engines: bool) -> Iterator[EngineBacklog]:
        """Yield the backlog of each splitter; one of an earlier release counts whole for every engine."""
        for splitter in self.splitters.alive():
            if all_engines or splitter.by_engine is UNSET:
                yield EngineBacklog(splitter.queued_audio_s, _due_s(splitter))
            elif self.engine in splitter.by_engine:
                yield splitter.by_engine[self.engine]

    def engines_with_backlog(self) -> set[str]:
        """Return the engines of which a splitter reports a backlog, and a worker has sent a heartbeat."""
        reported = [each.by_engine for each in self.splitters.alive()]
        engines = {engine for each in reported if each is not UNSET for engine in each}
        return {engine for engine in engines if self.workers.heard_of(engine)}

    def taken(self) -> set[Identity]:
        """Return the requests that splitters received within the last seconds."""
        return {identity for splitter in self.splitters.alive() for identity in _taken(splitter)}

    def slots(self) -> int:
        """Return how many sentences the engine's workers synthesize concurrently."""
        return sum(worker.slots for worker in self.ready())

    def real_time_factor(self) -> float | None:
        """Return the engine's mean time to synthesize a second of audio.

        None before any measurement.
        """
        factors = [
            worker.real_time_factor
            for worker in self.ready()
            if worker.real_time_factor is not None
        ]
        return sum(factors) / len(factors) if factors else None

    def speed(self) -> float | None:
        """Return the measured seconds of audio that the engine's workers synthesize per second.

        None before that.
        """
        factor = self.real_time_factor()
        return len(self.ready()) / max(factor, _FASTEST) if factor is not None else None

    def retry_after_s(self) -> float | None:
        """Return how long the immediate backlog takes at the measured speed.

        None before any measurement.
        """
        speed = self.speed()
        return None if speed is None else sum(self.due_s().values()) / speed

    def measure(self, metrics: Metrics) -> None:
        """Set the gauges of workers and splitters."""
        metrics.model_loaded.set(1 if self.ready() else 0)
        metrics.workers.clear()
        for (engine, state), count in Counter(
            (w.engine, w.state) for w in self.workers.alive()
        ).items():
            metrics.workers.labels(engine, state).set(count)
        self._count_failed(metrics)
        factor = self.real_time_factor()
        if factor is not None:
            metrics.real_time_factor.labels(self.engine).set(factor)

    def _count_failed(self, metrics: Metrics) -> None:
        """Count each worker that has failed, once: it exits, and a supervisor starts it again under its name."""
        failed = {w.worker: w.engine for w in self.workers.alive() if w.state == "failed"}
        metrics.failed_starts.labels(self.engine)  # at 0, so that the first failure is an increase
        for worker in failed.keys() - self._counted:
            metrics.failed_starts.labels(failed[worker]).inc()
        self._counted.clear()
        self._counted.update(failed)

    def _workers(self) -> list[WorkerState]:
        return [worker for worker in self.workers.alive() if worker.engine == self.engine]


def _due_s(splitter: SplitterState) -> dict[str, float]:
    """Return the immediate backlog of a splitter by tenant.

    That of an earlier release has the empty tenant.
    """
    if splitter.due_audio_s or not splitter.requests:
        return dict(splitter.due_audio_s)
    return {"": min(splitter.queued_audio_s, splitter.requests * IMMEDIATE_S)}


def _taken(splitter: SplitterState) -> Iterator[Identity]:
    """Yield the requests that a splitter has received.

    Those of an earlier release without their tenant.
    """
    by_tenant = {"": splitter.taken} if splitter.taken_by is UNSET else splitter.taken_by
    for tenant, requests in by_tenant.items():
        yield from (Identity(tenant, "request", request) for request in requests)


def _described(allowed: Range, default: float) -> ParameterRange:
    return {
        "default": int(default) if allowed.whole else default,
        "minimum": allowed.lowest,
        "maximum": allowed.highest,
        "whole": allowed.whole,
    }
