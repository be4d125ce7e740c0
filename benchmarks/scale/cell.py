"""One cell: a NATS, its splitters and its workers. Decides as the real ones do; time is an argument.

- A worker has slots. Its sentences share its speed evenly; which is how continuous batching behaves.
- A free slot waits at the server's end of a pull, so slots are assigned in the order in which they became free.
- First sentences take an express slot, else any. The others take the standard slots alone, and requests take turns.
- Requests are refused while the near-term backlog (`IMMEDIATE_S` of each at most) exceeds `queue_wait_s` of the
  cell's speed, which is the edge's rule of admission.
"""

import heapq
import itertools
from collections import deque
from dataclasses import dataclass, field

from benchmarks.scale.demand import Request
from benchmarks.scale.measured import WorkerSpeed
from services.common.wire.estimate import IMMEDIATE_S

_tickets = itertools.count()  # what comes first where two times are equal


@dataclass(eq=False)
class Worker:
    """One worker: its sentences in the order of their ends, by the audio that each has got when it ends."""

    speed: WorkerSpeed
    # ends, ticket, which, slot
    works: list[tuple[float, int, Request, int, "Slots"]] = field(default_factory=list)
    each_s: float = 0.0  # audio that a sentence present from the beginning would have got
    at_s: float = 0.0
    plan: int = 0  # of its next end: older ones in the calendar are void

    def advance(self, now_s: float) -> None:
        """Give its sentences the audio made until now."""
        if self.works:
            self.each_s += (
                (now_s - self.at_s)
                * self.speed.sound_a_second[len(self.works) - 1]
                / len(self.works)
            )
        self.at_s = now_s

    def next_end_s(self) -> float:
        """Return when its next sentence ends if nothing else comes."""
        left_s = self.works[0][0] - self.each_s
        return self.at_s + left_s * len(self.works) / self.speed.sound_a_second[len(self.works) - 1]


Slots = deque[Worker]  # free ones, the longest free first


@dataclass(frozen=True)
class Shape:
    """The configuration of a cell."""

    workers: int
    speed: WorkerSpeed
    express: int = 1  # slots of each worker for first sentences
    queue_wait_s: float = 5.0

    @property
    def capacity(self) -> float:
        """Return seconds of audio per second with every slot taken."""
        return self.workers * self.speed.capacity


class Cell:
    """The scheduling of one cell. The calendar of sentences' ends is shared by all cells."""

    def __init__(self, shape: Shape, calendar: "Calendar") -> None:
        self._shape, self._calendar = shape, calendar
        self._most_due_s = 0.0
        self._express_slots: Slots = deque()
        self._standard_slots: Slots = deque()
        self._first: deque[Request] = deque()
        self._turns: deque[Request] = deque()
        self._due_s = 0.0
        self.add(shape.workers, 0.0)

    @property
    def due_s(self) -> float:
        """Return the near-term backlog, in seconds of audio."""
        return self._due_s

    def add(self, workers: int, now_s: float) -> None:
        """Let more workers in."""
        shape = self._shape
        new = [Worker(shape.speed, at_s=now_s) for _ in range(workers)]
        self._most_due_s += shape.queue_wait_s * shape.speed.capacity * workers
        self._express_slots.extend(new * shape.express)
        self._standard_slots.extend(new * (shape.speed.slots - shape.express))
        self._give(now_s)

    def offer(self, request: Request, now_s: float) -> bool:
        """Take a request, or refuse it."""
        due_s = _due(request)
        if self._due_s + due_s > self._most_due_s:
            return False
        self._due_s += due_s
        self._first.append(request)
        self._give(now_s)
        return True

    def end(self, worker: Worker, now_s: float) -> Request | None:
        """End the next sentence of a worker. Return its request if that was its last one."""
        worker.advance(now_s)
        _, _, request, place, slots = heapq.heappop(worker.works)
        before_s = _due(request)
        _hear(request, place, now_s)
        self._due_s += _due(request) - before_s
        slots.append(worker)
        self._plan(worker)
        self._give(now_s)
        return request if request.heard == len(request.sentences) else None

    def _give(self, now_s: float) -> None:
        while self._first and (slots := self._express_slots or self._standard_slots):
            self._begin(self._first.popleft(), slots, now_s)
        while self._turns and self._standard_slots:
            self._begin(self._turns.popleft(), self._standard_slots, now_s)

    def _begin(self, request: Request, slots: Slots, now_s: float) -> None:
        worker = slots.popleft()
        worker.advance(now_s)
        place = request.taken
        request.taken += 1
        ends_at = worker.each_s + request.sentences[place]
        heapq.heappush(worker.works, (ends_at, next(_tickets), request, place, slots))
        request.waiting[place] = (now_s + worker.speed.first_audio_s[len(worker.works) - 1], 0.0)
        if request.taken < len(request.sentences):
            self._turns.append(request)
        self._plan(worker)

    def _plan(self, worker: Worker) -> None:
        worker.plan += 1
        if worker.works:
            heapq.heappush(
                self._calendar, (worker.next_end_s(), next(_tickets), self, worker, worker.plan)
            )


Calendar = list[tuple[float, int, Cell, Worker, int]]  # a heap: when, ticket, where, plan


def _due(request: Request) -> float:
    owed_s = 0.0
    for sound_s in request.sentences[request.heard :]:
        owed_s += sound_s
        if owed_s >= IMMEDIATE_S:
            return IMMEDIATE_S
    return owed_s


def _hear(request: Request, place: int, ended_s: float) -> None:
    """Count stalls as the listener meets them: in the order of the text, sentence after sentence."""
    first_s, _ = request.waiting[place]
    request.waiting[place] = (min(first_s, ended_s), ended_s)
    while request.heard in request.waiting and request.waiting[request.heard][1]:
        first_s, end_s = request.waiting.pop(request.heard)
        if request.heard == 0:
            request.first_s = first_s - request.came_s
            request.runs_out_s = first_s
        request.stalled_s += max(0.0, first_s - request.runs_out_s)
        request.runs_out_s = max(request.runs_out_s, first_s) + request.sentences[request.heard]
        request.stalled_s += max(0.0, end_s - request.runs_out_s)
        request.runs_out_s = max(request.runs_out_s, end_s)
        request.heard += 1
