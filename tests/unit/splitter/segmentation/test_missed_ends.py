"""A splitter that misses end markers: another one may have finished the request
meanwhile."""

import asyncio
from dataclasses import dataclass, field

from services.common.bus import topology
from services.common.bus.cancels import Cancels
from services.common.bus.heartbeats import workers
from services.common.bus.memory.bus import MemoryBus
from services.common.bus.memory.subscriptions import MemorySubscription
from services.common.wire import codec, subjects
from services.common.wire.messages import SentenceSpoken, SpeechFailed, SpeechRequest, WorkerState
from services.splitter.handler import RequestWork
from services.splitter.metrics import Metrics
from services.splitter.scheduling.backlog import Backlog
from services.splitter.scheduling.scheduler import Scheduler
from tests.support.messages import CLIP
from tests.support.service import speech_request

_LOOK_AFTER = 5  # waits in which nothing is received
_TEXT = " ".join(f"This is sentence number {number}." for number in range(12))

_WORKER = WorkerState(
    worker="worker-1",
    engine="tone",
    engine_version="1",
    state="ready",
    detail="",
    languages=("en",),
    max_characters={"en": 60},
    licence="",
    sample_rate_hz=24_000,
    device="cpu",
    slots=100,
    busy=0,
    real_time_factor=None,
)


class _Deaf(MemorySubscription):
    """Receives nothing, and counts how often it was waited for; the waits take no time."""

    waits = 0

    async def next(self, timeout_s: float) -> None:
        self.waits += 1
        assert self.waits < 100, "the request is held though all of it is spoken"
        for _ in range(20):  # what runs at the same time is queued meanwhile
            await asyncio.sleep(0)


class _Bus(MemoryBus):
    """A bus on which no end marker arrives, as when the connection was lost; the stored ones are
    available."""

    def __init__(self) -> None:
        super().__init__()
        self.deaf = _Deaf("", limit=1)

    async def subscribe(self, subject: str, *, limit: int) -> MemorySubscription:
        return (
            self.deaf if subject.endswith(".end") else await super().subscribe(subject, limit=limit)
        )


class _BusThatLosesACancellation(_Bus):
    """A bus that stores a sentence only when its publisher is cancelled, and loses that
    cancellation, as `asyncio.wait_for` does if the answer arrives at the same moment."""

    lost = False

    async def publish(
        self, subject: str, payload: bytes, *, message_id: str, lifetime_s: float | None = None
    ) -> bool:
        if subject.startswith(subjects.SENTENCES.removesuffix(">")):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if self.lost:
                    raise
                self.lost = True
        return await super().publish(subject, payload, message_id=message_id, lifetime_s=lifetime_s)


@dataclass
class _Delivery:
    """A request as the queue delivers it."""

    payload: bytes
    subject: str = subjects.request("public")
    headers: dict[str, str] = field(default_factory=dict)
    attempt: int = 1
    age_s: float = 0.0

    async def ack(self) -> None: ...
    async def nak(self, delay_s: float) -> None: ...
    async def term(self) -> None: ...
    async def extend(self) -> None: ...


async def _store(
    bus: _Bus, request: SpeechRequest, place: int, message: SentenceSpoken | SpeechFailed
) -> None:
    subject = subjects.end("public", request.request, place)
    await bus.publish(subject, codec.encode(message), message_id=f"{request.request}.{place}.end")


def _spoken(request: SpeechRequest, place: int) -> SentenceSpoken:
    return SentenceSpoken(
        request=request.request,
        sentence=place,
        sentences=12,
        attempt=1,
        chunks=1,
        samples=1,
        sample_rate_hz=24_000,
        digest="ab" * 32,
        worker="worker-1",
        queue_ms=0,
        synthesis_ms=0,
    )


async def _handle(bus: _Bus, request: SpeechRequest) -> RequestWork:
    """Let a splitter work on the request until it is done with it."""
    fleet, stop = workers(bus), asyncio.Event()
    scheduler = Scheduler(fleet, 1.0)
    work = RequestWork(bus, fleet, Cancels(bus), Backlog(), Metrics(), scheduler, stop)
    following = asyncio.create_task(fleet.follow(stop))
    await asyncio.sleep(0)
    await bus.send(subjects.worker_state("tone", "worker-1"), codec.encode(_WORKER))
    try:
        async with asyncio.timeout(60):
            await work.handle(_Delivery(codec.encode(request)))
    finally:
        stop.set()
        following.cancel()
        await asyncio.wait([following])
    return work


async def test_all_ends_that_were_missed_are_found_at_the_first_look() -> None:
    bus, request = _Bus(), speech_request(CLIP, _TEXT)
    await bus.establish(topology.topology())
    for place in range(12):
        await _store(bus, request, place, _spoken(request, place))
    work = await _handle(bus, request)
    # one more where the last sentences were not queued yet
    assert bus.deaf.waits <= _LOOK_AFTER + 1
    assert work.backlog.requests == 0


async def test_a_failure_that_was_missed_takes_back_what_is_queued() -> None:
    bus, request = _Bus(), speech_request(CLIP, _TEXT)
    await bus.establish(topology.topology())
    failure = SpeechFailed(
        request=request.request, sentence=3, code="synthesis_failed", detail="", retryable=False
    )
    await _store(bus, request, 3, failure)
    await _handle(bus, request)
    assert await bus.message_count(topology.SENTENCES) == 0


async def test_a_request_that_failed_ends_though_the_cancellation_of_its_queueing_is_lost() -> None:
    bus, request = _BusThatLosesACancellation(), speech_request(CLIP, _TEXT)
    await bus.establish(topology.topology())
    failure = SpeechFailed(
        request=request.request, sentence=0, code="synthesis_failed", detail="", retryable=False
    )
    await _store(bus, request, 0, failure)
    work = await _handle(bus, request)
    assert bus.lost
    assert work.backlog.requests == 0
