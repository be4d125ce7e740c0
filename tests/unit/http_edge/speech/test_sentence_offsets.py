"""Sentence offsets are stored with the request, for clients that resume late."""

from services.common.bus import topology
from services.common.wire.messages import SentenceSpoken
from services.http_edge.speech.assembly import Assembly
from services.http_edge.speech.request_store import RequestStore
from services.http_edge.speech.sentence_offsets import SentenceOffsets
from tests.support.buses import memory_bus


def spoken(sentence: int, samples: int) -> SentenceSpoken:
    return SentenceSpoken(
        request="request-1",
        sentence=sentence,
        sentences=100,
        attempt=1,
        chunks=1,
        samples=samples,
        sample_rate_hz=24_000,
        digest="0" * 64,
        worker="worker",
        queue_ms=0,
        synthesis_ms=0,
    )


async def test_any_edge_finds_the_last_stored_offset_before_a_byte() -> None:
    records = RequestStore(await memory_bus(), topology.KEPT)
    offsets = SentenceOffsets(records, "acme", "request-1")
    assembly = Assembly()
    assert await offsets.last_before(1_000) == (0, 0)
    for sentence in range(3):
        assembly.spoken.append(spoken(sentence, 100))
        assembly._sentence = sentence + 1
        await offsets.note(assembly)
    elsewhere = SentenceOffsets(records, "acme", "request-1")
    assert [await elsewhere.last_before(offset) for offset in (199, 200, 399, 600, 10**9)] == [
        (0, 0),
        (1, 200),
        (1, 200),
        (3, 600),
        (3, 600),
    ]
    assert await SentenceOffsets(records, "acme", "request-2").last_before(1_000) == (0, 0)


async def test_offsets_of_a_resumed_listener_start_at_its_begin() -> None:
    records = RequestStore(await memory_bus(), topology.KEPT)
    offsets = SentenceOffsets(records, "acme", "request-1", begin=5_000)
    assembly = Assembly(first_sentence=7)
    assembly.spoken.append(spoken(7, 100))
    assembly._sentence = 8
    await offsets.note(assembly)
    assert await offsets.last_before(6_000) == (8, 5_200)
