"""The provenance log on a real nats-server and on its twin in memory: one chain, however many workers write it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.common.bus import topology
from services.common.bus.ports import Bus
from services.common.bus.provenance.reading import LogHead, entry_pages, verify_chain
from services.common.bus.provenance.writing import ProvenanceWriter, _Head
from services.common.runtime.lifecycle import tasks
from services.common.wire import codec, subjects
from services.common.wire.failures import BusUnavailable
from services.common.wire.messages import SentenceSpoken
from services.common.wire.provenance import LoggedSentence, ProvenanceEntry
from services.synth_worker.app import Worker
from services.synth_worker.engine_thread import EngineThread
from tests.support.buses import bus_of
from tests.support.speaking import SETTINGS, Speaking, spoken


@pytest.fixture(params=["memory", "nats"])
async def bus(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bus]:
    async with bus_of(request.param, tmp_path) as bus:
        yield bus


class Refusing(ProvenanceWriter):
    """A writer whose first entries cannot be stored; others run before it stores one."""

    def __init__(self, bus: Bus, worker: str, failures: int) -> None:
        super().__init__(bus, worker)
        self.failures = failures

    async def _read_head(self, tenant: str) -> _Head:
        await asyncio.sleep(0)
        if self.failures:
            self.failures -= 1
            raise BusUnavailable("NATS does not answer")
        return await super()._read_head(tenant)


def sentence(index: int, request: str = "request-1") -> LoggedSentence:
    return LoggedSentence(
        request=request,
        sentence=index,
        spoken_unix_ms=1_800_000_000_000,
        samples=24_000,
        sample_rate_hz=24_000,
        digest=f"{index:064x}",
        fingerprint=bytes(400),
    )


async def entries(bus: Bus, tenant: str) -> list[ProvenanceEntry]:
    return [
        codec.decode(stored.payload, ProvenanceEntry)
        async for page in entry_pages(bus, tenant)
        for stored in page
    ]


async def test_workers_that_write_at_once_make_one_chain_with_every_sentence_once(bus: Bus) -> None:
    writers = [ProvenanceWriter(bus, f"worker-{number}") for number in range(4)]
    await asyncio.gather(
        *(writers[index % 4].add("acme", sentence(index)) for index in range(60)),
        *(writers[index % 4].add("globex", sentence(index)) for index in range(8)),
    )
    logged = [one.sentence for entry in await entries(bus, "acme") for one in entry.sentences]
    assert sorted(logged) == list(range(60))
    report = await verify_chain(bus, "acme")
    assert (report.faults, report.sentences, report.first_number) == ((), 60, 0)
    assert (await verify_chain(bus, "globex")).sentences == 8


async def test_sentences_that_finish_while_an_entry_is_stored_share_the_next_one(bus: Bus) -> None:
    writer = Refusing(bus, "worker-1", failures=0)
    await asyncio.gather(*(writer.add("acme", sentence(index)) for index in range(50)))
    assert [len(entry.sentences) for entry in await entries(bus, "acme")] == [1, 49]


async def test_a_worker_that_starts_continues_the_chain(bus: Bus) -> None:
    for number in range(3):
        await ProvenanceWriter(bus, f"worker-{number}").add("acme", sentence(number))
    assert [entry.number for entry in await entries(bus, "acme")] == [0, 1, 2]
    assert (await verify_chain(bus, "acme")).faults == ()


async def test_entries_that_expired_at_the_beginning_are_no_fault_and_a_gap_is(bus: Bus) -> None:
    writer = ProvenanceWriter(bus, "worker-1")
    for number in range(6):
        await writer.add("acme", sentence(number))
    stored = await bus.page(topology.PROVENANCE, subjects.provenance("acme"), after=0)
    await bus.remove(topology.PROVENANCE, stored[0].number)
    report = await verify_chain(bus, "acme")
    assert (report.faults, report.first_number) == ((), 1)
    await bus.remove(topology.PROVENANCE, stored[3].number)
    (fault,) = (await verify_chain(bus, "acme")).faults
    assert "is entry 4 and follows entry 2" in fault


async def test_a_noted_head_shows_that_the_end_was_removed(bus: Bus) -> None:
    writer = ProvenanceWriter(bus, "worker-1")
    for number in range(3):
        await writer.add("acme", sentence(number))
    head = (await verify_chain(bus, "acme")).head
    assert head is not None
    assert (await verify_chain(bus, "acme", head)).faults == ()
    stored = await bus.page(topology.PROVENANCE, subjects.provenance("acme"), after=0)
    await bus.remove(topology.PROVENANCE, stored[-1].number)
    (fault,) = (await verify_chain(bus, "acme", head)).faults
    assert "missing at the end" in fault
    other = LogHead(1, "ab" * 32)
    assert len((await verify_chain(bus, "acme", other)).faults) == 1


async def test_an_entry_that_was_changed_is_noticed(bus: Bus) -> None:
    writer = ProvenanceWriter(bus, "worker-1")
    await writer.add("acme", sentence(0))
    (first,) = await entries(bus, "acme")
    last = await bus.last_stored(topology.PROVENANCE, subjects.provenance("acme"))
    assert last is not None
    forged = msgspec.structs.replace(first, number=1, previous="cd" * 32)
    subject = subjects.provenance("acme")
    await bus.append(topology.PROVENANCE, subject, codec.encode(forged), after=last.number)
    await ProvenanceWriter(bus, "worker-2").add("acme", sentence(1))
    (fault,) = (await verify_chain(bus, "acme")).faults
    assert "entry 0 before it was changed" in fault


async def test_a_message_that_is_no_entry_is_reported_and_does_not_stop_the_writers(
    bus: Bus,
) -> None:
    await bus.append(topology.PROVENANCE, subjects.provenance("acme"), b"junk", after=0)
    await ProvenanceWriter(bus, "worker-1").add("acme", sentence(0))
    report = await verify_chain(bus, "acme")
    assert report.sentences == 1
    assert "is not an entry" in report.faults[0]


async def test_a_message_after_another_than_the_last_one_is_not_stored(bus: Bus) -> None:
    subject = subjects.provenance("acme")
    first = await bus.append(topology.PROVENANCE, subject, b"1", after=0)
    assert first is not None
    assert await bus.append(topology.PROVENANCE, subject, b"2", after=0) is None
    assert await bus.append(topology.PROVENANCE, subject, b"2", after=first) is not None
    page = await bus.page(topology.PROVENANCE, subject, after=first)
    assert [stored.payload for stored in page] == [b"2"]
    later = page[0].unix_s + 3600
    assert await bus.page(topology.PROVENANCE, subject, after=0, since_unix_s=later) == []


async def test_an_entry_that_cannot_be_stored_fails_its_sentence_and_not_the_others(
    bus: Bus,
) -> None:
    writer = Refusing(bus, "worker-1", failures=1)
    results = await asyncio.gather(
        *(writer.add("acme", sentence(index)) for index in range(3)), return_exceptions=True
    )
    assert [type(result) for result in results] == [BusUnavailable, type(None), type(None)]
    logged = [one.sentence for entry in await entries(bus, "acme") for one in entry.sentences]
    assert logged == [1, 2]


async def test_a_worker_that_dies_before_its_end_marker_leaves_a_chain_that_the_next_one_continues(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish = bus.publish
    at_end = asyncio.Event()
    dead = asyncio.Event()

    async def publish_until_the_end(subject: str, payload: bytes, **how: Any) -> None:
        if subject.endswith(".end") and not at_end.is_set():
            at_end.set()
            await asyncio.sleep(600)  # until it is killed
        await publish(subject, payload, **how)

    monkeypatch.setattr(bus, "publish", publish_until_the_end)

    async def die() -> None:
        victim = Worker(bus, EngineThread(Speaking(20_000)), SETTINGS)
        running = asyncio.create_task(victim.serve(asyncio.Event()))
        async with asyncio.timeout(60):
            await at_end.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        dead.set()

    async with tasks() as group:
        group.create_task(die())
        _, end = await spoken(bus, begin=dead)

    assert isinstance(end, SentenceSpoken)
    report = await verify_chain(bus, "public")
    assert (report.faults, report.sentences) == ((), 2)
    digests = {one.digest for entry in await entries(bus, "public") for one in entry.sentences}
    assert digests == {end.digest}
