"""The job store, also while two edges run a job."""

import asyncio

import msgspec
from msgspec.structs import replace

from services.common.bus import topology
from services.common.bus.memory.bus import MemoryBus
from services.common.wire import codec
from services.common.wire.identity import Identity
from services.common.wire.messages import JobProgress
from services.http_edge.jobs.store import JobStore
from services.http_edge.speech.request_store import RequestStore
from services.http_edge.subtitles.captions import Caption

JOB = ("public", "the-first-job")
SENTENCES = 40  # more than a page of captions


async def test_an_edge_that_is_behind_removes_nothing_that_another_one_stored() -> None:
    bus = MemoryBus()
    await bus.establish(topology.topology())
    store = JobStore(bus, RequestStore(bus, topology.PROGRESS))
    captions = [Caption(f"{index}", 1, (), measured=True) for index in range(SENTENCES)]
    for index, caption in enumerate(captions):
        await store.add(*JOB, index, bytes(2 * index + 2))
        await store.add_captions(*JOB, index, [caption])

    for index in (0, 1, 33):
        await store.add(*JOB, index, bytes(2 * index + 2))
        await store.add_captions(*JOB, index, [captions[index]])
        assert await store.lengths(*JOB, SENTENCES) == [2 * each + 2 for each in range(SENTENCES)]
        assert await store.captions(*JOB, SENTENCES) == captions

    await store.free(*JOB, SENTENCES)
    await store.add(*JOB, 0, b"12")
    assert await store.lengths(*JOB, 1) == [2]


async def test_an_edge_that_is_behind_does_not_overwrite_the_end_of_a_job() -> None:
    bus = MemoryBus()
    await bus.establish(topology.topology())
    store = JobStore(bus, RequestStore(bus, topology.PROGRESS))
    tenant, job = JOB
    running = JobProgress(
        job=job, state="running", created_unix_ms=1, deadline_unix_ms=9, sentences=2, spoken=1
    )
    assert await store.note(tenant, running) == running
    done = replace(running, state="done", spoken=2, samples=48_000, ended_unix_ms=2)
    assert await store.note(tenant, done) == done

    revised = replace(done, samples=47_000, revision=1)
    key = Identity(tenant, "job", job).key("job")
    await bus.put_value(topology.PROGRESS, key, codec.encode(revised))
    for late in (running, replace(done, ended_unix_ms=3), replace(running, state="cancelled")):
        assert await store.note(tenant, late) == revised
        assert await store.progress(tenant, job) == revised


async def test_the_progress_of_a_running_job_never_goes_back() -> None:
    bus = MemoryBus()
    await bus.establish(topology.topology())
    store = JobStore(bus, RequestStore(bus, topology.PROGRESS))
    tenant, job = JOB
    ahead = JobProgress(job=job, state="running", created_unix_ms=1, deadline_unix_ms=9, spoken=3)
    assert await store.note(tenant, ahead) == ahead
    assert await store.note(tenant, replace(ahead, spoken=2)) == ahead
    failed = replace(ahead, state="failed", spoken=2)
    assert await store.note(tenant, failed) == failed


async def test_two_edges_that_store_at_the_same_time_lose_no_length() -> None:
    bus = MemoryBus()
    await bus.establish(topology.topology())
    store = JobStore(bus, RequestStore(bus, topology.PROGRESS))
    await store.add(*JOB, 0, bytes(2))
    await asyncio.gather(*(store.add(*JOB, index, bytes(2 * index + 2)) for index in (0, 1) * 8))
    assert await store.lengths(*JOB, 2) == [2, 4]


async def test_an_edge_stores_its_captions_again_that_another_one_has_removed() -> None:
    bus = MemoryBus()
    await bus.establish(topology.topology())
    store = JobStore(bus, RequestStore(bus, topology.PROGRESS))
    captions = [Caption(f"{index}", 1, (), measured=True) for index in range(3)]
    await store.add_captions(*JOB, 0, captions[:2])
    name = Identity(JOB[0], "job", JOB[1]).captions_name(0)
    await bus.put_object(topology.RESULTS, name, msgspec.msgpack.encode(captions[:1]))
    await store.add_captions(*JOB, 0, captions)
    assert await store.captions(*JOB, 3) == captions
