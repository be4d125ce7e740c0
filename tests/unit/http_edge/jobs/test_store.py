"""The job store, also while two edges run a job."""

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
        await store.add_caption(*JOB, index, caption)

    for index in (0, 1, 33):
        await store.add(*JOB, index, bytes(2 * index + 2))
        await store.add_caption(*JOB, index, captions[index])
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
