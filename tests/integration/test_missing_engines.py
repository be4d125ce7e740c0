"""A request over NATS for an engine that has no worker is answered soon, whatever happens meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from services.common.bus import topology
from services.common.bus.inbox import open_inbox
from services.common.bus.ports import Bus
from services.common.wire import codec, subjects
from services.common.wire.messages import SpeechFailed, SpeechRequest
from services.http_edge.speech.commands import cancel
from tests.support.buses import bus_of
from tests.support.service import speech_request, stored_clip, tone_service


@pytest.fixture(params=["memory", "nats"])
async def bus(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bus]:
    async with bus_of(request.param, tmp_path) as bus, tone_service(bus, workers=1):
        yield bus


async def request_for(bus: Bus, *, lasts_s: float = 60, **changes: object) -> SpeechRequest:
    request = speech_request(await stored_clip(bus), lasts_s=lasts_s)
    return msgspec.structs.replace(request, **({"engine": "xtts"} | changes))


async def failure_of(
    bus: Bus, request: SpeechRequest, *, within_s: float, cancel_after_s: float | None = None
) -> SpeechFailed:
    """Return what the client hears, after checking that nothing of the request is left."""
    async with open_inbox(bus, request.tenant, request.request) as inbox:
        await bus.publish(
            subjects.request(request.tenant), codec.encode(request), message_id=request.request
        )
        if cancel_after_s is not None:
            await asyncio.sleep(cancel_after_s)
            await cancel(bus, request.tenant, request.request, reason="the client cancelled it")
        event = await inbox.next(within_s)
    assert isinstance(event, SpeechFailed)
    async with asyncio.timeout(60):
        while await bus.message_count(topology.REQUESTS):
            await asyncio.sleep(0.05)
    return event


async def test_an_engine_without_a_worker_is_named_at_once_with_those_that_run(bus: Bus) -> None:
    for engine in ("xtts", "embedded", "no-such-engine"):
        event = await failure_of(bus, await request_for(bus, engine=engine), within_s=15)
        assert (event.code, event.retryable) == ("engine_unavailable", False)
        assert event.detail == f"no worker for the engine {engine} is ready; running engines: tone"
    assert not await bus.message_count(topology.DEAD)


async def test_a_deadline_that_passes_while_a_worker_is_awaited_is_reported(bus: Bus) -> None:
    begun: tuple[dict[str, object], ...] = ({}, {"first_sentence": 1}, {"portion_s": 60.0})
    for changes in begun:
        request = await request_for(bus, lasts_s=1, **changes)
        event = await failure_of(bus, request, within_s=15)
        assert event.code == "deadline_exceeded"


async def test_a_request_that_is_cancelled_while_a_worker_is_awaited_ends(bus: Bus) -> None:
    begun: tuple[dict[str, object], ...] = ({}, {"first_sentence": 1}, {"portion_s": 60.0})
    for changes in begun:
        request = await request_for(bus, **changes)
        event = await failure_of(bus, request, within_s=15, cancel_after_s=0.5)
        assert event.code == "cancelled"


async def test_a_request_that_has_begun_waits_until_workers_are_back(bus: Bus) -> None:
    request = await request_for(bus, lasts_s=7, first_sentence=1)
    event = await failure_of(bus, request, within_s=25)
    assert event.code == "deadline_exceeded"  # and not engine_unavailable after four seconds
