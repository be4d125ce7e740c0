"""Many cells under one demand: who is sent where, when workers are added, and what listeners met."""

import heapq
import math
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from benchmarks.scale.cell import Calendar, Cell, Shape
from benchmarks.scale.demand import Request

Router = Callable[
    [list[float], random.Random], int
]  # what each cell had due at the last report, in seconds

_STALL_S = 0.1  # silence that a listener notices


def at_random(due_s: list[float], dice: random.Random) -> int:
    """Send to any cell."""
    return dice.randrange(len(due_s))


def better_of_two(due_s: list[float], dice: random.Random) -> int:
    """Send to the one of two with less due (Mitzenmacher 2001, "The power of two choices")."""
    return min(dice.randrange(len(due_s)), dice.randrange(len(due_s)), key=due_s.__getitem__)


def least_due(due_s: list[float], dice: random.Random) -> int:  # noqa: ARG001
    """Send to the cell with the smallest backlog: all clients do so until the next report."""
    return min(range(len(due_s)), key=due_s.__getitem__)


@dataclass(frozen=True)
class Site:
    """The cells of the simulation."""

    cells: int
    shape: Shape
    router: Router = at_random
    report_every_s: float = 1.0

    @property
    def capacity(self) -> float:
        """Return seconds of audio per second with every slot taken."""
        return self.cells * self.shape.capacity


@dataclass(frozen=True)
class Scaling:
    """Workers follow the demand as KEDA has them: looked at every `every_s`, there `cold_s` after they were ordered."""

    cold_s: float
    most: int  # workers in a cell
    every_s: float = 15.0
    wait_s: float = 1.0  # more are ordered until what is due would be spoken in so long


@dataclass
class Met:
    """The listeners' experience in one run, of the requests that arrived in the measured time."""

    first_s: list[float] = field(default_factory=list)
    stalled: int = 0
    refused_s: list[float] = field(default_factory=list)  # when each of them came

    @property
    def asked(self) -> int:
        """Requests."""
        return len(self.first_s) + len(self.refused_s)


def run(
    site: Site,
    demand: Iterable[Request],
    *,
    counted_s: tuple[float, float] = (0, math.inf),
    scaling: Scaling | None = None,
    seed: int = 1,
) -> Met:
    """Send every request of the demand, in the order of its times, to a cell, and follow all of them to their ends."""
    calendar: Calendar = []
    cells = [Cell(site.shape, calendar) for _ in range(site.cells)]
    orders = [_Orders(scaling, cell, site.shape) for cell in cells] if scaling else []
    met, dice = Met(), random.Random(seed)
    due_s, reported_s = [0.0] * site.cells, 0.0
    for request in demand:
        now_s = request.came_s
        while calendar and calendar[0][0] <= now_s:
            _end_next(calendar, met, counted_s)
        for order in orders:
            order.until(now_s)
        if now_s >= reported_s + site.report_every_s:
            due_s, reported_s = [cell.due_s for cell in cells], now_s
        if (
            not cells[site.router(due_s, dice)].offer(request, now_s)
            and counted_s[0] <= now_s < counted_s[1]
        ):
            met.refused_s.append(now_s)
    while calendar:
        _end_next(calendar, met, counted_s)
    return met


def _end_next(calendar: Calendar, met: Met, counted_s: tuple[float, float]) -> None:
    now_s, _, cell, worker, plan = heapq.heappop(calendar)
    if plan != worker.plan:
        return  # something came or went meanwhile
    request = cell.end(worker, now_s)
    if request is not None and counted_s[0] <= request.came_s < counted_s[1]:
        met.first_s.append(request.first_s)
        met.stalled += request.stalled_s > _STALL_S


class _Orders:
    """The workers of a cell that were ordered and are not there yet."""

    def __init__(self, scaling: Scaling, cell: Cell, shape: Shape) -> None:
        self._scaling, self._cell, self._capacity = scaling, cell, shape.speed.capacity
        self._ordered = shape.workers
        self._looked_s = 0.0
        self._coming: list[tuple[float, int]] = []  # when, how many

    def until(self, now_s: float) -> None:
        """Admit the requests that have arrived by now, and scale as needed."""
        while self._coming and self._coming[0][0] <= now_s:
            self._cell.add(heapq.heappop(self._coming)[1], now_s)
        if now_s < self._looked_s + self._scaling.every_s:
            return
        self._looked_s = now_s
        wanted = min(
            self._scaling.most, math.ceil(self._cell.due_s / self._scaling.wait_s / self._capacity)
        )
        if wanted > self._ordered:
            heapq.heappush(self._coming, (now_s + self._scaling.cold_s, wanted - self._ordered))
            self._ordered = wanted
