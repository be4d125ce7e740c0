"""Lets requests queue their sentences in turn, no more at a time than keep the workers busy.

What waits here can still be overtaken by a stranger's turn; what is in a lane's queue on NATS cannot. So as little as
possible is queued: `ahead` sentences for every slot of the engine's workers, in each lane.
"""

import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from services.common.bus.heartbeats import Heartbeats
from services.common.wire.messages import Lane, WorkerState
from services.splitter.scheduling.fair_queue import FairQueue, Flow

_LANES: Final[tuple[Lane, ...]] = ("express", "standard")


class Scheduler:
    """Turns for every engine, as wide as its workers that are alive have slots."""

    def __init__(self, workers: Heartbeats[WorkerState], ahead: float) -> None:
        self._workers = workers
        self._ahead = ahead
        self._turns: dict[str, FairQueue] = {}
        self._waiting: dict[Flow, asyncio.Future[None]] = {}

    @contextmanager
    def join(self, engine: str, tenant: str) -> Iterator["Permit"]:
        """Let a request take turns while the block runs; afterwards what it had outstanding is free."""
        turns = self._turns.setdefault(engine, FairQueue())
        member = turns.join(tenant)
        try:
            yield Permit(self, turns, member)
        finally:
            turns.leave(member)
            self.open()

    def open(self) -> None:
        """Give all turns that there is room for: whenever something ended, and now and then, as workers come."""
        for engine, turns in self._turns.items():
            room = self._room(engine)
            for lane in _LANES:
                while (member := turns.grant(lane, room)) is not None:
                    waiting = self._waiting.get(member)
                    if waiting is not None and not waiting.done():
                        waiting.set_result(None)

    async def wait(self, member: Flow) -> None:
        """Wait for the turn that the member asked for."""
        waiting = self._waiting[member] = asyncio.get_running_loop().create_future()
        try:
            self.open()
            await waiting  # ends: with the turn, or with the request, which has a deadline
        finally:
            del self._waiting[member]

    def _room(self, engine: str) -> int:
        """Return how many sentences may be outstanding in a lane; one at least, so that nobody waits for ever."""
        slots = sum(worker.slots for worker in self._workers.alive() if _takes(worker, engine))
        return max(1, math.ceil(slots * self._ahead))


class Permit:
    """One request's place at the gate."""

    def __init__(self, gate: Scheduler, turns: FairQueue, member: Flow) -> None:
        self._gate = gate
        self._turns = turns
        self._member = member

    async def turn(self, lane: Lane, cost_s: float) -> None:
        """Wait until a sentence of so many seconds of sound may be queued; it is outstanding from then on."""
        self._turns.ask(self._member, lane, cost_s)
        await self._gate.wait(self._member)

    def done(self, lane: Lane) -> None:
        """Say that a sentence which had a turn is spoken."""
        self._turns.done(self._member, lane)
        self._gate.open()


def _takes(worker: WorkerState, engine: str) -> bool:
    return worker.engine == engine and worker.state == "ready"
