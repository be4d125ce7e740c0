"""The pull loop's policy: ack, nak, term, dead letters, and failure messages."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from services.common.bus import consumer, topology
from services.common.bus.consumer import WorkLoop
from services.common.bus.memory.bus import MemoryBus
from services.common.bus.ports import Delivery
from services.common.bus.topology import Consumer
from services.common.wire import codec, subjects
from services.common.wire.failures import EngineUnavailable, PipelineError, UnspeakableText
from services.common.wire.messages import DeadLetter
from tests.support.buses import bus_of, memory_bus

SUBJECT = subjects.sentence("tone", "express", "public", "request-1", 0)
CONSUMER = Consumer(
    topology.SENTENCES,
    "test",
    subjects.lane_sentences("tone", "express"),
    ack_wait_s=0.6,
    max_deliver=4,
)


@dataclass
class Recorder:
    """A `Work` with results set by the test."""

    act: Callable[[Delivery], Awaitable[None]]
    attempts: list[int] = field(default_factory=list)
    given_up: list[PipelineError] = field(default_factory=list)

    async def handle(self, delivery: Delivery) -> None:
        self.attempts.append(delivery.attempt)
        await self.act(delivery)

    async def give_up(self, delivery: Delivery, failure: PipelineError) -> None:
        self.given_up.append(failure)


@pytest.fixture
async def bus() -> MemoryBus:
    return await memory_bus()


@asynccontextmanager
async def working(bus: MemoryBus, work: Recorder, *, slots: int = 2) -> AsyncIterator[None]:
    stop = asyncio.Event()
    loop = asyncio.create_task(WorkLoop(bus, CONSUMER, work, slots=slots).run(stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(loop, 5)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


async def done(_delivery: Delivery) -> None:
    return


async def test_what_is_done_leaves_the_queue(bus: MemoryBus) -> None:
    work = Recorder(done)
    async with working(bus, work):
        await bus.publish(SUBJECT, b"job", message_id="a")
        await until(lambda: work.attempts == [1])
    assert await bus.message_count(topology.SENTENCES) == 0
    assert work.given_up == []


async def test_a_retryable_failure_is_tried_again(bus: MemoryBus) -> None:
    async def fail_once(delivery: Delivery) -> None:
        if delivery.attempt == 1:
            raise EngineUnavailable("not yet")

    work = Recorder(fail_once)
    async with working(bus, work):
        await bus.publish(SUBJECT, b"job", message_id="a")
        await until(lambda: work.attempts == [1, 2])
    assert await bus.message_count(topology.SENTENCES) == 0


async def test_a_permanent_failure_is_published_once_and_not_retried(bus: MemoryBus) -> None:
    async def refuse(_delivery: Delivery) -> None:
        raise UnspeakableText("never")

    work = Recorder(refuse)
    async with working(bus, work):
        await bus.publish(SUBJECT, b"job", message_id="a")
        await until(lambda: bool(work.given_up))
        await asyncio.sleep(0.5)
    assert work.attempts == [1]
    assert [failure.code for failure in work.given_up] == ["unspeakable_text"]
    assert await bus.message_count(topology.SENTENCES) == 0
    assert await bus.message_count(topology.DEAD) == 0, "the client's own mistake is no poison"


async def test_a_message_that_fails_every_time_becomes_a_dead_letter_with_its_reason(
    bus: MemoryBus,
) -> None:
    async def break_down(_delivery: Delivery) -> None:
        raise ZeroDivisionError

    work = Recorder(break_down)
    async with working(bus, work):
        await bus.publish(SUBJECT, b"job", message_id="a")
        await until(lambda: bool(work.given_up))
        await asyncio.sleep(0.1)
    assert work.attempts == [1, 2, 3]
    assert await bus.message_count(topology.SENTENCES) == 0
    stored = await bus.last(topology.DEAD, subjects.dead(SUBJECT))
    assert stored is not None
    letter = codec.decode(stored, DeadLetter)
    assert (letter.subject, letter.payload, letter.attempts) == (SUBJECT, b"job", 3)


async def test_what_killed_every_worker_before_is_given_up_without_another_try(
    bus: MemoryBus,
) -> None:
    await bus.publish(SUBJECT, b"poison", message_id="a")
    for _ in range(3):  # three workers take it and fall silent
        delivery = await (await bus.pull(CONSUMER)).next(2)
        assert delivery is not None
    work = Recorder(done)
    async with working(bus, work):
        await until(lambda: bool(work.given_up))
        await asyncio.sleep(0.1)
    assert work.attempts == []
    assert await bus.message_count(topology.DEAD) == 1


async def test_long_work_is_not_given_to_another(bus: MemoryBus) -> None:
    async def take_long(_delivery: Delivery) -> None:
        await asyncio.sleep(2.4)  # four acknowledgement waits

    work = Recorder(take_long)
    async with working(bus, work):
        await bus.publish(SUBJECT, b"job", message_id="a")
        await asyncio.sleep(2.8)
    assert work.attempts == [1]
    assert await bus.message_count(topology.SENTENCES) == 0


async def test_no_more_messages_are_pulled_than_there_are_slots(bus: MemoryBus) -> None:
    busy, most = 0, 0

    async def count(_delivery: Delivery) -> None:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await asyncio.sleep(0.05)
        busy -= 1

    work = Recorder(count)
    async with working(bus, work, slots=3):
        for place in range(12):
            subject = subjects.sentence("tone", "express", "public", "request-1", place)
            await bus.publish(subject, b"job", message_id=str(place))
        await until(lambda: len(work.attempts) == 12)
    assert most == 3


async def test_stopping_finishes_what_was_begun_and_takes_nothing_new(bus: MemoryBus) -> None:
    finished = []

    async def finish(delivery: Delivery) -> None:
        await asyncio.sleep(0.3)
        finished.append(delivery.subject)

    work = Recorder(finish)
    async with working(bus, work, slots=1):
        for place in range(3):
            subject = subjects.sentence("tone", "express", "public", "request-1", place)
            await bus.publish(subject, b"job", message_id=str(place))
        await until(lambda: work.attempts == [1])
    assert len(finished) == 1
    assert await bus.message_count(topology.SENTENCES) == 2


async def test_what_does_not_end_after_a_stop_is_cancelled_and_comes_again(bus: MemoryBus) -> None:
    begun, stop = asyncio.Event(), asyncio.Event()

    async def never_end(_delivery: Delivery) -> None:
        begun.set()
        await asyncio.Event().wait()

    work = Recorder(never_end)
    loop = asyncio.create_task(WorkLoop(bus, CONSUMER, work, slots=1, finish_s=0.1).run(stop))
    # the only slot is in use, so the loop waits for it
    await bus.publish(SUBJECT, b"job", message_id="a")
    async with asyncio.timeout(60):
        await begun.wait()
        stop.set()
        await loop
    assert await bus.message_count(topology.SENTENCES) == 1
    after = Recorder(done)
    async with working(bus, after):
        await until(lambda: after.attempts == [2])
    assert (work.given_up, after.given_up) == ([], [])


async def test_what_ends_in_time_after_a_stop_is_done(bus: MemoryBus) -> None:
    begun, stop = asyncio.Event(), asyncio.Event()

    async def end_soon(_delivery: Delivery) -> None:
        begun.set()
        await stop.wait()
        await asyncio.sleep(0.1)

    work = Recorder(end_soon)
    loop = asyncio.create_task(WorkLoop(bus, CONSUMER, work, slots=2, finish_s=60.0).run(stop))
    await bus.publish(SUBJECT, b"job", message_id="a")
    async with asyncio.timeout(60):
        await begun.wait()
        stop.set()
        await loop
    assert await bus.message_count(topology.SENTENCES) == 0


@pytest.mark.parametrize("kind", ["memory", "nats"])
async def test_a_stop_ends_a_loop_that_waits_for_a_message(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "_PULL_S", 3600.0)
    stop = asyncio.Event()
    async with bus_of(kind, tmp_path) as bus:
        loop = asyncio.create_task(WorkLoop(bus, CONSUMER, Recorder(done), slots=1).run(stop))
        await asyncio.sleep(0.3)
        stop.set()
        await asyncio.wait_for(loop, 60)
