"""Faults, drawn from a seed: what is done to which part, when, and for how long."""

import asyncio
import os
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from tests.chaos.parts import House, Part

Kind = Literal["kill", "kill engine", "pause", "cut", "hang", "restart nats"]

# Kind -> how often, against the others, and for how many seconds the part stays so.
_WORKER: Final[dict[Kind, tuple[int, float, float]]] = {
    "kill": (6, 0.2, 1.0),
    "kill engine": (3, 0.5, 1.0),  # of a splitter, which has none: the splitter
    "pause": (4, 0.5, 5.0),
    "cut": (3, 0.1, 3.0),
    "hang": (2, 0.5, 5.0),
}
_SPLITTER_SHARE: Final = 0.3
_NATS_SHARE: Final = 0.08


@dataclass(frozen=True)
class Fault:
    """One fault of the plan."""

    after_s: float  # since the fault before it began
    kind: Kind
    victim: float  # 0..1, of the parts in question
    splitter: bool
    lasts_s: float


def plan(seed: int, mean_gap_s: float) -> Iterator[Fault]:
    """Yield faults without end, the same for the same seed."""
    draw = random.Random(seed)  # a plan to be repeated, not a secret
    while True:
        after_s = draw.expovariate(1 / mean_gap_s)
        kinds = list(_WORKER)
        [kind] = draw.choices(kinds, [_WORKER[name][0] for name in kinds])
        lasts_s = draw.uniform(*_WORKER[kind][1:])
        victim, which = draw.random(), draw.random()
        if which < _NATS_SHARE:
            yield Fault(
                after_s, "restart nats", victim, splitter=False, lasts_s=draw.uniform(0.1, 1.5)
            )
        else:
            yield Fault(after_s, kind, victim, which < _NATS_SHARE + _SPLITTER_SHARE, lasts_s)


@dataclass
class Trouble:
    """Carries a plan out on a house."""

    service: House
    done: dict[str, int] = field(default_factory=dict)  # kind and part -> how often
    # monotonic times at which a worker fell silent
    worker_faults_s: list[float] = field(default_factory=list)
    _mending: set[asyncio.Task[None]] = field(default_factory=set)
    _troubled: set[str] = field(default_factory=set)

    async def make(self, faults: Iterator[Fault], stop: asyncio.Event) -> None:
        """Make faults until `stop` is set; on return everything is whole again."""
        for fault in faults:
            try:
                await asyncio.wait_for(stop.wait(), fault.after_s)
                break
            except TimeoutError:
                self._begin(fault)
        await asyncio.gather(*self._mending)

    def _begin(self, fault: Fault) -> None:
        parts = self.service.splitters if fault.splitter else self.service.workers
        part = parts[int(fault.victim * len(parts))]
        name = "nats" if fault.kind == "restart nats" else part.name
        if name in self._troubled:
            return  # one thing at a time
        self._troubled.add(name)
        what = fault.kind if name == "nats" else f"{fault.kind} {name.rpartition('-')[0]}"
        self.done[what] = self.done.get(what, 0) + 1
        if name != "nats" and not fault.splitter and fault.kind != "kill engine":
            self.worker_faults_s.append(time.monotonic())
        acting = self._restart_nats(fault) if name == "nats" else self._trouble(part, fault)
        task = asyncio.create_task(acting, name=f"{fault.kind}-{name}")
        self._mending.add(task)
        task.add_done_callback(lambda task: self._end(task, name))

    def _end(self, task: asyncio.Task[None], name: str) -> None:
        self._troubled.discard(name)
        if task.exception() is None:  # else `make` raises it
            self._mending.discard(task)

    async def _restart_nats(self, fault: Fault) -> None:
        await self.service.nats.kill()
        await asyncio.sleep(fault.lasts_s)
        await self.service.nats.start()

    async def _trouble(self, part: Part, fault: Fault) -> None:
        if fault.kind == "kill engine" and part.children():
            os.kill(part.children()[0], signal.SIGKILL)
            await asyncio.sleep(fault.lasts_s)
        elif fault.kind.startswith("kill"):
            await part.kill()
            await asyncio.sleep(fault.lasts_s)
            await part.start()
        elif fault.kind == "pause":
            part.signal(signal.SIGSTOP)
            await asyncio.sleep(fault.lasts_s)
            part.signal(signal.SIGCONT)
        elif part.line is not None:
            part.line.set("cut" if fault.kind == "cut" else "hung")
            await asyncio.sleep(fault.lasts_s)
            part.line.set("whole")
