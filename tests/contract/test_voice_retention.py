"""The hourly sweep of the voice library, on a real nats-server and on its twin in memory."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import structlog

from services.common.bus import topology
from services.common.bus.library.voices import VoiceLibrary
from services.common.bus.ports import Bus
from services.common.wire import codec
from services.common.wire.failures import BusUnavailable
from services.common.wire.identity import library_key
from services.common.wire.voices import SHARED_TENANT, Voice
from services.http_edge.voices.retention import VoiceRetention
from tests.support.buses import bus_of
from tests.support.messages import STORED_VOICE

DAY_MS = 24 * 3600 * 1000


@pytest.fixture(params=["memory", "nats"])
async def bus(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bus]:
    async with bus_of(request.param, tmp_path) as bus:
        yield bus


async def voice_of_age(
    bus: Bus, days: float, *, name: str = "Anna", tenant: str = "acme", **fields: object
) -> Voice:
    """Store a voice that was last changed so many days ago."""
    draft = msgspec.structs.replace(STORED_VOICE, name=name, tenant=tenant, leftovers=())
    made = await VoiceLibrary(bus).create(draft, [b"clip"])
    old = msgspec.structs.replace(
        made, changed_unix_ms=made.changed_unix_ms - round(days * DAY_MS), **fields
    )
    key = library_key(tenant, made.voice)
    await bus.put_value(topology.LIBRARY, key, codec.encode(old))
    return old


async def test_voices_of_every_tenant_expire_and_published_ones_do_not(bus: Bus) -> None:
    expired = [
        await voice_of_age(bus, 31, tenant="acme"),
        await voice_of_age(bus, 400, tenant="globex"),
    ]
    fresh = await voice_of_age(bus, 29, name="Bert")
    shared = await voice_of_age(bus, 400, tenant=SHARED_TENANT)
    library = VoiceLibrary(bus)
    with structlog.testing.capture_logs() as events:
        await VoiceRetention(library, kept_days=30).sweep()
    left = [voice for tenant in await library.tenants() for voice in await library.all(tenant)]
    assert {voice.voice: voice for voice in left} == {fresh.voice: fresh, shared.voice: shared}
    logged = [event for event in events if event["event"] == "voice_expired"]
    assert {(event["tenant"], event["voice"]) for event in logged} == {
        (voice.tenant, voice.voice) for voice in expired
    }
    assert not any("Anna" in str(event) for event in events)


async def test_without_a_limit_voices_stay_but_interrupted_changes_are_finished(bus: Bus) -> None:
    kept = await voice_of_age(bus, 10_000)
    await voice_of_age(bus, 1, name="Bert", state="deleting")
    with structlog.testing.capture_logs() as events:
        await VoiceRetention(VoiceLibrary(bus), kept_days=0).sweep()
    assert await VoiceLibrary(bus).all("acme") == [kept]
    assert [event["event"] for event in events] == ["voice_change_abandoned"]


async def test_edges_can_sweep_at_the_same_time(bus: Bus) -> None:
    for number in range(5):
        await voice_of_age(bus, 31, name=f"Voice {number}")
    retention = VoiceRetention(VoiceLibrary(bus), kept_days=30)
    with structlog.testing.capture_logs() as events:
        await asyncio.gather(*(retention.sweep() for _ in range(4)))
        await retention.sweep()
    assert {event["event"] for event in events} == {"voice_expired"}
    assert await VoiceLibrary(bus).tenants() == []
    assert (await bus.storage_use(f"OBJ_{topology.VOICE_CLIPS}")).used == 0


async def test_a_tenant_whose_sweep_fails_does_not_stop_the_others(bus: Bus) -> None:
    await voice_of_age(bus, 31, tenant="acme")
    await voice_of_age(bus, 31, tenant="globex")

    class Failing(VoiceLibrary):
        async def sweep(
            self, tenant: str, *, changed_before_unix_s: float | None = None
        ) -> list[Voice]:
            if tenant == "acme":
                raise BusUnavailable("no answer")
            return await super().sweep(tenant, changed_before_unix_s=changed_before_unix_s)

    with structlog.testing.capture_logs() as events:
        await VoiceRetention(Failing(bus), kept_days=30).sweep()
    assert await VoiceLibrary(bus).tenants() == ["acme"]
    [failed] = [event for event in events if event["event"] == "voice_sweep_failed"]
    assert (failed["tenant"], failed["code"]) == ("acme", BusUnavailable.code)


async def test_it_ends_when_the_edge_stops(bus: Bus) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(VoiceRetention(VoiceLibrary(bus), kept_days=30).run(stop))
    await asyncio.sleep(0)
    stop.set()
    async with asyncio.timeout(60):
        await running
