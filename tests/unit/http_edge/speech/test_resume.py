"""A request with several attempts is read as one stream."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from services.common.bus import topology
from services.common.bus.memory.bus import MemoryBus
from services.common.wire import codec, subjects
from services.common.wire.failures import PipelineError, SpeechCancelled
from services.common.wire.messages import Message, SpeechFailed, SpeechRequest, TextSplit
from services.common.wire.parts import Span
from services.http_edge.metrics import Metrics
from services.http_edge.speech.assembly import Assembly
from services.http_edge.speech.attempt_events import AttemptEvents
from services.http_edge.speech.request_store import RequestStore
from services.http_edge.speech.resume import open_attempts
from services.http_edge.speech.session import SpeechSession, SpeechSessions
from tests.support.buses import memory_bus
from tests.support.service import speech_request


async def publish(bus: MemoryBus, subject: str, message: Message) -> None:
    await bus.publish(subject, codec.encode(message), message_id=subject)


def spans(count: int) -> tuple[Span, ...]:
    return tuple(Span(index, index + 1) for index in range(count))


async def failed_attempt(bus: MemoryBus) -> SpeechRequest:
    """Return a request whose only attempt was divided into two sentences, and then failed."""
    request = speech_request("ab" * 32)
    split = TextSplit(request=request.request, sentences=spans(2), dropped=())
    await publish(bus, subjects.text_split("public", request.request), split)
    failed = SpeechFailed(
        request=request.request, sentence=None, code="cancelled", detail="", retryable=False
    )
    await publish(bus, subjects.request_failed("public", request.request), failed)
    return request


@asynccontextmanager
async def resumed(
    bus: MemoryBus, records: RequestStore, request: SpeechRequest
) -> AsyncIterator[SpeechSession]:
    metrics = Metrics()
    async with (
        open_attempts(
            bus, records, request, metrics, earlier=[request.request], sole=True
        ) as attempts,
        SpeechSessions(bus, metrics, first_audio_timeout_s=10).resuming(
            request, attempts, attempts.cancel
        ) as speech,
    ):
        yield speech


async def published(bus: MemoryBus) -> SpeechRequest:
    delivery = await (await bus.pull(topology.requests_consumer())).next(5)
    assert delivery is not None
    return codec.decode(delivery.payload, SpeechRequest)


async def test_an_attempt_that_divides_the_text_differently_fails_the_request() -> None:
    bus = await memory_bus()
    request = await failed_attempt(bus)
    async with resumed(bus, RequestStore(bus, topology.KEPT), request) as speech:
        reading = asyncio.ensure_future(anext(speech.chunks()))
        again = await published(bus)
        assert again.request != request.request
        assert (again.seed, again.text, again.first_sentence) == (request.seed, request.text, 0)
        other = TextSplit(request=again.request, sentences=spans(3), dropped=())
        await publish(bus, subjects.text_split("public", again.request), other)
        with pytest.raises(PipelineError, match="divides") as refused:
            await reading
    assert refused.value.code == "inconsistent_audio"
    assert bus.listeners == 0


async def test_the_failure_of_the_own_attempt_is_raised_to_the_client() -> None:
    bus = await memory_bus()
    request = await failed_attempt(bus)
    async with resumed(bus, RequestStore(bus, topology.KEPT), request) as speech:
        reading = asyncio.ensure_future(anext(speech.chunks()))
        again = await published(bus)
        failed = SpeechFailed(
            request=again.request, sentence=0, code="unspeakable_text", detail="no", retryable=False
        )
        await publish(bus, subjects.end("public", again.request, 0), failed)
        with pytest.raises(PipelineError) as refused:
            await reading
    assert refused.value.code == "unspeakable_text"


async def test_a_cancelled_request_is_not_resumed() -> None:
    bus = await memory_bus()
    request = await failed_attempt(bus)
    records = RequestStore(bus, topology.KEPT)
    await records.cancel("public", request.request)
    async with resumed(bus, records, request) as speech:
        with pytest.raises(SpeechCancelled):
            await anext(speech.chunks())
    assert await bus.message_count(topology.REQUESTS) == 0


async def test_an_attempt_of_another_listener_is_joined_instead_of_starting_a_new_one() -> None:
    bus = await memory_bus()
    request = await failed_attempt(bus)
    records = RequestStore(bus, topology.KEPT)
    async with resumed(bus, records, request) as first, resumed(bus, records, request) as second:
        one = asyncio.ensure_future(anext(first.chunks()))
        again = await published(bus)
        two = asyncio.ensure_future(anext(second.chunks()))
        await asyncio.sleep(0)
        failed = SpeechFailed(
            request=again.request, sentence=None, code="empty_text", detail="no", retryable=False
        )
        assert await records.attempts("public", request.request) == [again.request]
        await publish(bus, subjects.request_failed("public", again.request), failed)
        with pytest.raises(PipelineError):
            await one
        third = await asyncio.wait_for(asyncio.ensure_future(_next_attempt(bus, again.request)), 5)
        assert third.request not in (again.request, request.request)
        two.cancel()
        await asyncio.gather(two, return_exceptions=True)


async def _next_attempt(bus: MemoryBus, seen: str) -> SpeechRequest:
    puller = await bus.pull(topology.requests_consumer())
    while True:
        delivery = await puller.next(1)
        if (
            delivery is not None
            and (request := codec.decode(delivery.payload, SpeechRequest)).request != seen
        ):
            return request


async def test_a_listener_that_is_cancelled_while_it_closes_keeps_no_subscription() -> None:
    bus = await memory_bus()
    events = AttemptEvents(bus, "public", Assembly())
    for attempt in ("ab" * 16, "cd" * 16):
        await events.subscribe(attempt)
    assert await events.next(0.01) is None  # both attempts are waited for now
    assert bus.listeners == 4

    closing = asyncio.create_task(events.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing

    assert bus.listeners == 0
