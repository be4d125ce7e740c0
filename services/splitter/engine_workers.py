"""The workers of a request's engine: the request waits for them a short time, or fails."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from services.common.bus.heartbeats import Heartbeats
from services.common.runtime.deadline import Deadline
from services.common.wire.failures import EngineUnavailable
from services.common.wire.messages import WorkerState

_WAIT_S: Final = 4.0  # a splitter that has just started has no heartbeats yet
_LOOK_S: Final = 0.25  # how often the end of the request is checked
_MOST_SHOWN: Final = 8  # engines in a message


class EngineMissing(EngineUnavailable):
    """No worker for the engine is alive, and none is loading: the message is not delivered again."""

    redelivered = False


class EngineUnknown(EngineUnavailable):
    """Only other engines run, and this one never has while the splitter was listening: a retry is of no use."""

    retryable = False


@dataclass(frozen=True)
class EngineWorkers:
    """The live workers of one engine."""

    heartbeats: Heartbeats[WorkerState]
    engine: str

    async def until_loaded(self, check: Callable[[], None], *, patient: bool) -> list[WorkerState]:
        """Return the workers with a loaded model, at least one.

        `check` raises if the request must not wait any longer. `patient`: the request has begun, or is a job's, so it
        is delivered again until workers are back. Raises EngineUnavailable, and what `check` raises.
        """
        patience = Deadline.after(_WAIT_S)
        check()
        while not (workers := self._loaded()):
            if patience.passed or (not patient and self._unknown()):
                raise self._unavailable(patient=patient)
            await self.heartbeats.news(timeout_s=min(_LOOK_S, max(0.0, patience.left_s)))
            check()
        return workers

    def _alive(self) -> list[WorkerState]:
        return [worker for worker in self.heartbeats.alive() if worker.engine == self.engine]

    def _loaded(self) -> list[WorkerState]:
        """Return the workers without those whose model has not reported its languages yet."""
        return [worker for worker in self._alive() if worker.max_characters]

    def _unknown(self) -> bool:
        return bool(self._others()) and not self.heartbeats.heard_of(self.engine)

    def _others(self) -> list[str]:
        """Return the other engines with a live worker."""
        return sorted({worker.engine for worker in self.heartbeats.alive()} - {self.engine})

    def _unavailable(self, *, patient: bool) -> EngineUnavailable:
        reason = f"no worker for the engine {self.engine} is ready"
        loading = any(worker.state == "loading" for worker in self._alive())
        if patient or loading:
            return EngineUnavailable(reason)

        others = self._others()
        if others:
            reason += f"; running engines: {', '.join(others[:_MOST_SHOWN])}"
        return EngineUnknown(reason) if self._unknown() else EngineMissing(reason)
