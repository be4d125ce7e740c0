"""Limits how many sentences are queued at once, and shares that capacity between requests by fair
queueing.

A sentence that waits here can still be overtaken by one of another request; a sentence in a lane's
queue on NATS cannot. So the queues are as short as the workers allow: `ahead` sentences per
worker slot of the engine, in each lane.
"""

import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from services.common.bus.heartbeats import Heartbeats
from services.common.wire.fields import Lane
from services.common.wire.messages import WorkerState
from services.splitter.scheduling.fair_queue import FairQueue, Flow

_LANES: Final[tuple[Lane, ...]] = ("express", "standard")


class Scheduler:
    """One fair queue per engine, with a capacity that follows the slots of the engine's live
    workers."""

    def __init__(self, workers: Heartbeats[WorkerState], ahead: float) -> None:
        self._workers = workers
        self._ahead = ahead
        self._queues: dict[str, FairQueue] = {}
        self._waiting: dict[Flow, asyncio.Future[None]] = {}

    @contextmanager
    def join(self, engine: str, tenant: str) -> Iterator["Permit"]:
        """Add a request to the engine's queue while the block runs; at the end everything it holds
        is released."""
        queue = self._queues.setdefault(engine, FairQueue())
        flow = queue.join(tenant)
        try:
            yield Permit(self, queue, flow)
        finally:
            queue.leave(flow)
            self.grant_all()

    def grant_all(self) -> None:
        """Grant all sentences that fit the capacity. Called after every release, and periodically,
        as workers start."""
        for engine, queue in self._queues.items():
            capacity = self._capacity(engine)
            for lane in _LANES:
                while (flow := queue.grant(lane, capacity)) is not None:
                    waiting = self._waiting.get(flow)
                    if waiting is not None and not waiting.done():
                        waiting.set_result(None)

    async def wait(self, flow: Flow) -> None:
        """Wait until the flow's pending sentence is granted."""
        waiting = self._waiting[flow] = asyncio.get_running_loop().create_future()
        try:
            self.grant_all()
            await waiting  # ends with the grant, or with the request, which has a deadline
        finally:
            del self._waiting[flow]

    def _capacity(self, engine: str) -> int:
        """Return how many sentences may be outstanding in a lane; at least one, so that no request
        waits forever."""
        slots = sum(worker.slots for worker in self._workers.alive() if _is_ready(worker, engine))
        return max(1, math.ceil(slots * self._ahead))


class Permit:
    """One request's access to the queue of its engine."""

    def __init__(self, scheduler: Scheduler, queue: FairQueue, flow: Flow) -> None:
        self._scheduler = scheduler
        self._queue = queue
        self._flow = flow

    async def acquire(self, lane: Lane, cost_s: float) -> None:
        """Wait until a sentence may be queued; it counts as outstanding from then on. `cost_s`: its
        estimated audio."""
        self._queue.request(self._flow, lane, cost_s)
        await self._scheduler.wait(self._flow)

    def release(self, lane: Lane) -> None:
        """Release the permit of a sentence that has been spoken."""
        self._queue.release(self._flow, lane)
        self._scheduler.grant_all()


def _is_ready(worker: WorkerState, engine: str) -> bool:
    return worker.engine == engine and worker.state == "ready"
