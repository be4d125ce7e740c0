"""What is heard of a request that was published more than once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from services.common.bus import topology
from services.common.bus.memory import MemoryBus
from services.common.wire import codec, subjects
from services.common.wire.failures import PipelineError, SpeechCancelled
from services.common.wire.messages import Message, Span, SpeechFailed, SpeechRequest, TextSplit
from services.http_edge.metrics import Metrics
from services.http_edge.speech.request_store import RequestStore
from services.http_edge.speech.resume import open_attempts
from services.http_edge.speech.session import SpeechSession, SpeechSessions
from tests.support.buses import memory_bus
from tests.support.service import speech_request


async def say(bus: MemoryBus, subject: str, message: Message) -> None:
    await bus.publish(subject, codec.encode(message), message_id=subject)


def spans(count: int) -> tuple[Span, ...]:
    return tuple(Span(place, place + 1) for place in range(count))


async def ended_run(bus: MemoryBus) -> SpeechRequest:
    """Return a request whose only run was divided into two sentences and then given up."""
    request = speech_request("ab" * 32)
    split = TextSplit(request=request.request, sentences=spans(2), dropped=())
    await say(bus, subjects.text_split("public", request.request), split)
    failed = SpeechFailed(request=request.request, sentence=None, code="cancelled", detail="", retryable=False)
    await say(bus, subjects.request_failed("public", request.request), failed)
    return request


@asynccontextmanager
async def taken_up(bus: MemoryBus, records: RequestStore, request: SpeechRequest) -> AsyncIterator[SpeechSession]:
    metrics = Metrics()
    async with (
        open_attempts(bus, records, request, metrics, heard=[request.request], sole=True) as runs,
        SpeechSessions(bus, metrics, first_audio_timeout_s=10).taking_up(request, runs, runs.cancel) as speech,
    ):
        yield speech


async def published(bus: MemoryBus) -> SpeechRequest:
    delivery = await (await bus.pull(topology.requests_consumer())).next(5)
    assert delivery is not None
    return codec.decode(delivery.payload, SpeechRequest)


async def test_a_run_that_divides_the_text_otherwise_is_refused_rather_than_spliced() -> None:
    bus = await memory_bus()
    request = await ended_run(bus)
    async with taken_up(bus, RequestStore(bus, topology.KEPT, "public"), request) as speech:
        hearing = asyncio.ensure_future(anext(speech.pieces()))
        again = await published(bus)
        assert again.request != request.request
        assert (again.seed, again.text, again.first_sentence) == (request.seed, request.text, 0)
        other = TextSplit(request=again.request, sentences=spans(3), dropped=())
        await say(bus, subjects.text_split("public", again.request), other)
        with pytest.raises(PipelineError, match="divides") as refused:
            await hearing
    assert refused.value.code == "inconsistent_audio"
    assert bus.listeners == 0


async def test_a_run_that_fails_here_is_the_clients_failure() -> None:
    bus = await memory_bus()
    request = await ended_run(bus)
    async with taken_up(bus, RequestStore(bus, topology.KEPT, "public"), request) as speech:
        hearing = asyncio.ensure_future(anext(speech.pieces()))
        again = await published(bus)
        failed = SpeechFailed(request=again.request, sentence=0, code="unspeakable_text", detail="no", retryable=False)
        await say(bus, subjects.end("public", again.request, 0), failed)
        with pytest.raises(PipelineError) as refused:
            await hearing
    assert refused.value.code == "unspeakable_text"


async def test_what_somebody_cancelled_is_not_taken_up() -> None:
    bus = await memory_bus()
    request = await ended_run(bus)
    records = RequestStore(bus, topology.KEPT, "public")
    await records.cancel(request.request)
    async with taken_up(bus, records, request) as speech:
        with pytest.raises(SpeechCancelled):
            await anext(speech.pieces())
    assert await bus.message_count(topology.REQUESTS) == 0


async def test_a_run_that_somebody_else_began_is_listened_to_and_not_repeated() -> None:
    bus = await memory_bus()
    request = await ended_run(bus)
    records = RequestStore(bus, topology.KEPT, "public")
    async with taken_up(bus, records, request) as first, taken_up(bus, records, request) as second:
        one = asyncio.ensure_future(anext(first.pieces()))
        again = await published(bus)
        two = asyncio.ensure_future(anext(second.pieces()))
        await asyncio.sleep(0)
        failed = SpeechFailed(request=again.request, sentence=None, code="empty_text", detail="no", retryable=False)
        assert await records.runs(request.request) == [again.request]
        await say(bus, subjects.request_failed("public", again.request), failed)
        with pytest.raises(PipelineError):
            await one
        third = await asyncio.wait_for(asyncio.ensure_future(_next_run(bus, again.request)), 5)
        assert third.request not in (again.request, request.request)
        two.cancel()
        await asyncio.gather(two, return_exceptions=True)


async def _next_run(bus: MemoryBus, seen: str) -> SpeechRequest:
    puller = await bus.pull(topology.requests_consumer())
    while True:
        delivery = await puller.next(1)
        if delivery is not None and (request := codec.decode(delivery.payload, SpeechRequest)).request != seen:
            return request
