"""A key is charged for each sentence of a request once, whichever edge serves it and however it ends."""

import asyncio
from collections.abc import Iterable

import msgspec
import pytest

from services.common.bus import topology
from services.common.bus.atomic_update import update_atomically
from services.common.bus.memory.bus import MemoryBus
from services.common.wire import codec, subjects
from services.common.wire.failures import BusUnavailable, QuotaUsedUp
from services.common.wire.messages import SentenceSpoken, SpeechRequest, TextSplit
from services.common.wire.parts import Span
from services.http_edge.auth.api_keys import Key
from services.http_edge.auth.quota import Account, Quota, account_of
from services.http_edge.speech.assembly import Assembly
from services.http_edge.speech.request_store import RequestStore
from services.http_edge.speech.usage.charges import Charge
from services.http_edge.speech.usage.meter import Meter
from services.http_edge.speech.usage.metering import UsageCharges
from tests.support.buses import memory_bus
from tests.support.service import speech_request

RATE_HZ = 24_000
KEY = Key(name="a-key", hash="0" * 64, tenant="acme", audio_seconds_a_day=60.0)
REQUEST = "the-request"


def account() -> Account:
    found = account_of(KEY)
    assert found is not None
    return found


def charges_of(bus: MemoryBus) -> UsageCharges:
    return UsageCharges.of(bus, RequestStore(bus, topology.KEPT), Quota(bus))


async def used_s(bus: MemoryBus) -> float:
    return 60.0 - await Quota(bus).left_s(account())


async def opened(charges: UsageCharges, asked_s: float, request_id: str = REQUEST) -> Meter:
    meter = await charges.open(KEY, request_id, asked_s)
    assert meter is not None
    return meter


async def resumed(charges: UsageCharges) -> Meter:
    meter = await charges.resume("acme", REQUEST)
    assert meter is not None
    return meter


def end(sentence: int, seconds: float, sentences: int = 8) -> SentenceSpoken:
    return SentenceSpoken(
        request=REQUEST, sentence=sentence, sentences=sentences, attempt=1, chunks=1, samples=round(seconds * RATE_HZ),
        sample_rate_hz=RATE_HZ, digest="0" * 64, worker="worker-1", queue_ms=0, synthesis_ms=0,
    )  # fmt: skip


def assembled(
    ends: Iterable[SentenceSpoken], *, partial_s: float = 0.0, first: int = 0, sentences: int = 8
) -> Assembly:
    """Return an assembly that has returned these sentences completely, and a part of the next."""
    spoken = list(ends)
    samples = sum(one.samples for one in spoken) + round(partial_s * RATE_HZ)
    assembly = Assembly(
        first, sentences=sentences, sample_rate_hz=RATE_HZ, samples=samples, spoken=spoken
    )
    assembly._sentence = first + len(spoken)
    return assembly


async def store(bus: MemoryBus, *ends: SentenceSpoken) -> None:
    for marker in ends:
        subject = subjects.end("acme", REQUEST, marker.sentence)
        await bus.publish(subject, codec.encode(marker), message_id=f"{marker.sentence}")


def split(audio_s: float) -> TextSplit:
    return TextSplit(request=REQUEST, sentences=(Span(0, 1),), dropped=(), audio_s=audio_s)


async def test_concurrent_reservations_succeed_only_while_they_fit_the_quota() -> None:
    bus = await memory_bus()
    edges = [Quota(bus), Quota(bus)]
    answers = await asyncio.gather(
        *(edges[number % 2].reserve(account(), 40.0) for number in range(20)),
        return_exceptions=True,
    )
    assert sum(isinstance(answer, float) for answer in answers) == 1
    assert sum(isinstance(answer, QuotaUsedUp) for answer in answers) == 19
    assert await used_s(bus) == 40.0


async def test_concurrent_additions_are_all_counted() -> None:
    bus = await memory_bus()
    await asyncio.gather(*(Quota(bus).add(account(), 1.0) for _ in range(40)))
    assert await used_s(bus) == 40.0


async def test_an_update_that_always_loses_the_race_fails_after_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bus = await memory_bus()

    async def lost(_bucket: str, _key: str, _value: bytes, _revision: int) -> bool:
        return False

    async def change(content: bytes) -> bytes:
        return content + b"a"

    monkeypatch.setattr(bus, "update_value", lost)
    monkeypatch.setattr("services.common.bus.atomic_update._PAUSE_S", 0.0)
    with pytest.raises(BusUnavailable):
        await update_atomically(bus, topology.PROGRESS, "spent.a.b", change)


async def test_a_refused_request_reserves_nothing() -> None:
    bus = await memory_bus()
    charges = charges_of(bus)
    with pytest.raises(QuotaUsedUp, match="about 61 s of audio, and 60 s are left") as refused:
        await charges.open(KEY, REQUEST, 61.0)
    assert refused.value.retry_after_s is not None
    assert await used_s(bus) == 0
    assert await charges.open(Key(name="free", hash="0" * 64, tenant="acme"), REQUEST, 1e6) is None


async def test_an_unpublished_request_is_refunded_and_can_be_reserved_again() -> None:
    bus = await memory_bus()
    charges = charges_of(bus)
    for asked_s in (50.0, 40.0, 30.0):
        meter = await opened(charges, asked_s)
        if not meter.first:  # its id was used by an earlier request that was refunded
            begun = await charges.begin(KEY, REQUEST, asked_s)
            assert begun is not None
            meter = begun
        assert await used_s(bus) == asked_s
        await meter.refund()
        assert await used_s(bus) == 0


async def test_the_splitters_estimate_replaces_the_estimate_of_the_edge() -> None:
    bus = await memory_bus()
    for estimate_s in (10.0, 50.0):
        meter = await opened(charges_of(bus), 20.0, f"request-{estimate_s:.0f}")
        assembly = Assembly(split=split(estimate_s))
        await meter.observe(assembly)
        await meter.observe(assembly)
        assert await used_s(bus) == estimate_s
        await meter.settle()
        assert await used_s(bus) == 0


async def test_an_unlimited_quota_is_encoded_as_a_finite_number() -> None:
    endless = Key(name="endless", hash="0" * 64, tenant="acme", audio_seconds_a_day=float("inf"))
    meter = await charges_of(await memory_bus()).open(endless, REQUEST, 10.0)
    assert meter is not None
    limited = meter.limited(speech_request("ab" * 32))
    assert codec.decode(codec.encode(limited), SpeechRequest) == limited


async def test_of_two_requests_whose_estimates_grow_beyond_the_quota_the_second_is_refused() -> (
    None
):
    bus = await memory_bus()
    meters = [await opened(charges_of(bus), 10.0, f"request-{number}") for number in range(2)]
    await meters[0].observe(Assembly(split=split(45.0)))
    with pytest.raises(QuotaUsedUp):
        await meters[1].observe(Assembly(split=split(45.0)))
    await meters[1].settle()
    assert await used_s(bus) == 45.0


async def test_audio_much_longer_than_its_estimate_is_cut_at_the_end_of_the_quota() -> None:
    meter = await opened(charges_of(await memory_bus()), 10.0)
    await meter.observe(assembled([end(0, 59.0)]))
    with pytest.raises(QuotaUsedUp):
        await meter.observe(assembled([end(0, 61.0)]))


async def test_audio_slightly_longer_than_the_quota_is_completed() -> None:
    meter = await opened(charges_of(await memory_bus()), 58.0)
    await meter.observe(assembled([end(0, 66.0)]))


async def test_a_listener_that_leaves_is_charged_for_its_part_and_a_resumption_for_the_rest() -> (
    None
):
    bus = await memory_bus()
    charges = charges_of(bus)
    meter = await opened(charges, 40.0)
    await meter.observe(assembled([end(0, 5.0), end(1, 5.0)], partial_s=2.0))
    await meter.settle()
    assert await used_s(bus) == pytest.approx(12.0)
    again = await resumed(charges)
    assert await used_s(bus) == pytest.approx(40.0)  # the rest is reserved
    assert again.left_s == pytest.approx(48.0)
    await again.observe(assembled([end(2, 5.0), end(3, 5.0)], first=2, sentences=4))
    await again.settle()
    assert await used_s(bus) == pytest.approx(20.0)
    whole = await resumed(charges)
    await whole.observe(assembled([end(number, 5.0) for number in range(4)], sentences=4))
    await whole.settle()
    assert await used_s(bus) == pytest.approx(20.0)


async def test_audio_synthesized_ahead_of_its_listener_is_charged() -> None:
    bus = await memory_bus()
    meter = await opened(charges_of(bus), 40.0)
    await store(bus, end(0, 5.0), end(1, 5.0), end(2, 5.0))
    await meter.observe(assembled([end(0, 5.0)], partial_s=1.0))
    await meter.settle()
    assert await used_s(bus) == pytest.approx(15.0)


async def test_a_resumption_after_sentences_with_expired_lengths_is_charged_for_the_audio_it_receives() -> (
    None
):
    bus = await memory_bus()
    meter = await opened(charges_of(bus), 40.0)
    await meter.observe(assembled([end(5, 5.0), end(6, 5.0)], first=5))
    await meter.settle()
    assert await used_s(bus) == pytest.approx(10.0)


async def test_concurrent_listeners_of_one_request_are_charged_once() -> None:
    bus = await memory_bus()
    charges = charges_of(bus)
    meters = [await opened(charges, 40.0), *[await resumed(charges) for _ in range(4)]]
    for meter in meters:
        await meter.observe(assembled([end(number, 5.0) for number in range(6)], sentences=6))
    await asyncio.gather(*(meter.settle() for meter in meters))
    assert await used_s(bus) == pytest.approx(30.0)


async def test_the_rest_stays_reserved_while_other_listeners_may_remain() -> None:
    bus = await memory_bus()
    meter = await opened(charges_of(bus), 40.0)
    await meter.observe(assembled([end(0, 5.0)]))
    await meter.settle(over=False)
    assert await used_s(bus) == pytest.approx(40.0)
    await meter.settle()
    assert await used_s(bus) == pytest.approx(5.0)


async def test_a_request_whose_id_is_in_use_reserves_nothing_and_refunds_nothing() -> None:
    bus = await memory_bus()
    charges = charges_of(bus)
    await opened(charges, 40.0)
    second = await opened(charges, 40.0)
    assert not second.first
    await second.refund()
    assert await used_s(bus) == 40.0


async def test_of_concurrent_retries_one_reserves_and_all_get_the_remaining_quota() -> None:
    bus = await memory_bus()
    meters = await asyncio.gather(*(charges_of(bus).open(KEY, REQUEST, 40.0) for _ in range(8)))
    assert sum(meter is not None and meter.first for meter in meters) == 1
    assert {meter.left_s for meter in meters if meter is not None} == {60.0}
    assert await used_s(bus) == 40.0


async def test_a_retry_that_publishes_after_the_first_was_refunded_reserves_again() -> None:
    bus = await memory_bus()
    charges = charges_of(bus)
    first, second = await opened(charges, 40.0), await opened(charges, 40.0)
    await first.refund()
    begun = await charges.begin(KEY, second.request_id, 40.0)
    assert begun is not None
    assert begun.first
    assert await used_s(bus) == 40.0


async def test_an_edge_that_crashed_while_reserving_does_not_block_a_retry(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bus = await memory_bus()
    charges = charges_of(bus)
    monkeypatch.setattr("services.http_edge.speech.usage.metering._OPENING_LOOK_S", 0.0)
    dead = Charge(account().name, 60.0, 40.0, opening=True)
    await bus.create_value(
        topology.KEPT, charges.store.key("acme", REQUEST), msgspec.msgpack.encode(dead)
    )
    assert (await opened(charges, 40.0)).first
    assert await used_s(bus) == 40.0


async def test_settling_without_nats_raises_nothing_and_leaves_the_count_unchanged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bus = await memory_bus()
    meter = await opened(charges_of(bus), 40.0)

    async def unavailable(_bucket: str, _key: str) -> None:
        raise BusUnavailable("NATS does not answer")

    monkeypatch.setattr(bus, "get_revision", unavailable)
    await meter.settle()
    monkeypatch.undo()
    assert await used_s(bus) == 40.0
