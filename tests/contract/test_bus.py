"""The same cases for the bus on a real nats-server and for its twin in memory."""

import asyncio
import dataclasses
import itertools
import secrets
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import nats.errors
import pytest
from nats.js.api import PubAck
from nats.js.errors import APIError

from services.common.bus import topology
from services.common.bus.consumer import WorkLoop
from services.common.bus.nats.connection import NatsBus
from services.common.bus.nats.errors import WRONG_LAST_SEQUENCE
from services.common.bus.ports import Bus, Delivery, Lag, SubjectFull
from services.common.bus.topology import Consumer
from services.common.runtime.lifecycle import cancel_until_done
from services.common.runtime.local_nats import LocalNats, local_nats
from services.common.wire import subjects
from services.common.wire.failures import (
    BusUnavailable,
    PipelineError,
    QueueFull,
    TextTooLong,
)
from tests.support.buses import bus_of


@pytest.fixture(params=["memory", "nats"])
async def bus(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bus]:
    async with bus_of(request.param, tmp_path) as bus:
        yield bus


def sentence(place: int = 0, request: str = "request-1") -> str:
    return subjects.sentence("tone", "express", "public", request, place)


CONSUMER = Consumer(
    stream=topology.SENTENCES, name="worker-tone-express", filter=subjects.lane_sentences("tone", "express"),
    ack_wait_s=1.0, max_deliver=3,
)  # fmt: skip


async def test_a_published_job_is_delivered_once_and_gone_after_its_ack(bus: Bus) -> None:
    await bus.publish(sentence(), b"job", message_id="a")
    puller = await bus.pull(CONSUMER)
    delivery = await puller.next(2)
    assert delivery is not None
    assert (delivery.payload, delivery.subject, delivery.attempt) == (b"job", sentence(), 1)
    await delivery.ack()
    assert await puller.next(1.4) is None
    assert await bus.message_count(topology.SENTENCES) == 0
    await puller.close()


async def test_the_same_message_id_is_stored_once(bus: Bus) -> None:
    assert await bus.publish(sentence(0), b"job", message_id="a")
    assert not await bus.publish(sentence(0), b"job", message_id="a")
    assert await bus.message_count(topology.SENTENCES) == 1


async def test_a_sentence_that_is_queued_is_refused_under_another_id(bus: Bus) -> None:
    await bus.publish(sentence(0), b"job", message_id="a")
    with pytest.raises(SubjectFull):
        await bus.publish(sentence(0), b"job", message_id="b")


async def test_a_full_stream_refuses_at_once(bus: Bus) -> None:
    for number in range(500):
        await bus.publish("tts.v1.request.one", b"request", message_id=f"one-{number}")
    with pytest.raises(SubjectFull):
        await bus.publish("tts.v1.request.one", b"request", message_id="one-more")
    for tenant in ("two", "three", "four"):
        for number in range(500):
            await bus.publish(
                f"tts.v1.request.{tenant}", b"request", message_id=f"{tenant}-{number}"
            )
    with pytest.raises(QueueFull):
        await bus.publish("tts.v1.request.five", b"request", message_id="five")


async def test_a_job_whose_worker_falls_silent_is_delivered_again(bus: Bus) -> None:
    await bus.publish(sentence(), b"job", message_id="a")
    puller = await bus.pull(CONSUMER)
    first = await puller.next(2)
    second = await puller.next(3)
    assert first is not None
    assert second is not None
    assert (second.payload, second.attempt) == (b"job", 2)
    await second.ack()
    await puller.close()


async def test_a_job_that_is_extended_is_not_delivered_again(bus: Bus) -> None:
    await bus.publish(sentence(), b"job", message_id="a")
    puller = await bus.pull(CONSUMER)
    delivery = await puller.next(2)
    assert delivery is not None
    for _ in range(6):
        await asyncio.sleep(0.3)
        await delivery.extend()
    assert await puller.next(0.05) is None
    await delivery.ack()
    await puller.close()


async def test_a_retried_job_comes_again_after_its_delay(bus: Bus) -> None:
    await bus.publish(sentence(), b"job", message_id="a")
    puller = await bus.pull(CONSUMER)
    delivery = await puller.next(2)
    assert delivery is not None
    await delivery.nak(0.3)
    assert await puller.next(0.1) is None
    again = await puller.next(2)
    assert again is not None
    assert again.attempt == 2
    await again.ack()
    await puller.close()


async def test_a_rejected_job_never_comes_again(bus: Bus) -> None:
    await bus.publish(sentence(), b"job", message_id="a")
    puller = await bus.pull(CONSUMER)
    delivery = await puller.next(2)
    assert delivery is not None
    await delivery.term()
    assert await puller.next(1.4) is None
    await puller.close()


async def test_a_job_is_given_to_one_of_many_pullers(bus: Bus) -> None:
    patient = dataclasses.replace(CONSUMER, ack_wait_s=5)
    pullers = [await bus.pull(patient) for _ in range(3)]
    waiting = [asyncio.create_task(puller.next(1)) for puller in pullers]
    await bus.publish(sentence(), b"job", message_id="a")
    deliveries = [delivery for delivery in await asyncio.gather(*waiting) if delivery is not None]
    assert len(deliveries) == 1
    await deliveries[0].ack()
    for puller in pullers:
        await puller.close()


async def test_a_pull_that_is_cancelled_as_a_job_arrives_loses_nothing(bus: Bus) -> None:
    puller = await bus.pull(dataclasses.replace(CONSUMER, ack_wait_s=60))

    for number in range(60):
        pulling = asyncio.create_task(puller.next(2))
        await bus.publish(sentence(number), b"%d" % number, message_id=str(number))
        await asyncio.sleep(number * 0.0001)
        await cancel_until_done(pulling)
        delivery = None if pulling.cancelled() else pulling.result()
        delivery = delivery or await puller.next(5)
        assert delivery is not None, number
        assert (delivery.payload, delivery.attempt) == (b"%d" % number, 1)
        await delivery.ack()

    await puller.close()


async def test_a_job_that_arrives_as_a_puller_closes_is_delivered_to_another_one_at_once(
    bus: Bus,
) -> None:
    patient = dataclasses.replace(CONSUMER, ack_wait_s=60)
    other = await bus.pull(patient)

    for number in range(30):
        puller = await bus.pull(patient)
        pulling = asyncio.create_task(puller.next(2))
        await asyncio.sleep(0.01)
        publishing = asyncio.create_task(
            bus.publish(sentence(number), b"%d" % number, message_id=str(number))
        )
        await asyncio.sleep(number * 0.0001)
        await cancel_until_done(pulling)
        delivery = None if pulling.cancelled() else pulling.result()
        await puller.close()
        await publishing
        delivery = delivery or await other.next(10)
        assert delivery is not None, number
        assert delivery.payload == b"%d" % number
        await delivery.ack()

    await other.close()


def publish_and_block(server: LocalNats, subject: str, payload: bytes) -> None:
    """Publish from another connection, and return when the answer of a pull lies unread in its socket."""
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        said = b"PUB %b %d\r\n%b\r\nPING\r\n" % (subject.encode(), len(payload), payload)
        connection.sendall(b'CONNECT {"verbose":false}\r\n' + said)
        heard = b""
        while b"PONG" not in heard:
            heard += connection.recv(4096)
    time.sleep(0.2)  # blocks the event loop, so that nothing is read


async def test_a_job_on_its_way_to_a_puller_that_closes_is_delivered_to_another_one_at_once(
    tmp_path: Path,
) -> None:
    patient = dataclasses.replace(CONSUMER, ack_wait_s=60)
    async with local_nats(tmp_path) as server:
        bus = await NatsBus.connect(server.url, name="test", patience_s=10)
        await bus.establish(topology.topology())
        puller = await bus.pull(patient)
        pulling = asyncio.create_task(puller.next(10))
        await asyncio.sleep(0.3)
        await cancel_until_done(pulling)
        publish_and_block(server, sentence(), b"job")
        await puller.close()
        other = await bus.pull(patient)
        delivery = await other.next(10)
        assert delivery is not None
        assert (delivery.payload, delivery.attempt) == (b"job", 2)
        await delivery.ack()
        await other.close()
        await bus.close()


async def test_loops_that_stop_while_jobs_come_lose_none(bus: Bus) -> None:
    patient = dataclasses.replace(CONSUMER, ack_wait_s=60, max_deliver=10)
    count = 150
    handled = Counter[bytes]()

    class Work:
        async def handle(self, delivery: Delivery) -> None:
            handled[delivery.payload] += 1

        async def give_up(self, delivery: Delivery, failure: PipelineError) -> None:
            raise AssertionError(delivery.payload) from failure

    async def publish() -> None:
        for number in range(count):
            await bus.publish(sentence(number), b"%d" % number, message_id=str(number))
            await asyncio.sleep(0.002)

    publishing = asyncio.create_task(publish())
    async with asyncio.timeout(40):
        for turn in itertools.count():
            if publishing.done() and len(handled) == count:
                break
            stop = asyncio.Event()
            loop = asyncio.create_task(WorkLoop(bus, patient, Work(), slots=2).run(stop))
            await asyncio.sleep(0.02 + turn % 7 * 0.003)
            stop.set()
            await loop
    await publishing
    assert set(handled.values()) == {1}


async def test_jobs_of_another_lane_or_engine_are_not_delivered(bus: Bus) -> None:
    await bus.publish(
        subjects.sentence("tone", "standard", "public", "request-1", 1), b"job", message_id="a"
    )
    await bus.publish(
        subjects.sentence("xtts", "express", "public", "request-1", 0), b"job", message_id="b"
    )
    puller = await bus.pull(CONSUMER)
    assert await puller.next(0.3) is None
    await puller.close()


async def test_a_purge_takes_one_requests_jobs_and_no_others(bus: Bus) -> None:
    for place in range(3):
        await bus.publish(sentence(place, "request-1"), b"job", message_id=f"1-{place}")
    await bus.publish(sentence(0, "request-2"), b"other", message_id="2-0")
    await bus.purge(topology.SENTENCES, subjects.request_sentences("public", "request-1"))
    assert await bus.message_count(topology.SENTENCES) == 1
    puller = await bus.pull(CONSUMER)
    delivery = await puller.next(2)
    assert delivery is not None
    assert delivery.payload == b"other"
    await delivery.ack()
    await puller.close()


async def test_a_message_leaves_the_queue_at_the_end_of_its_lifetime(bus: Bus) -> None:
    await bus.publish(sentence(), b"job", message_id="a", lifetime_s=1)
    await asyncio.sleep(2.3)
    assert await bus.message_count(topology.SENTENCES) == 0


async def test_a_subscription_receives_core_messages_and_stored_ones(bus: Bus) -> None:
    listener = await bus.subscribe(subjects.request_events("public", "request-1"), limit=10)
    await bus.publish(subjects.chunk("public", "request-1", 0, 0), b"chunk", message_id="c")
    await bus.send(subjects.end("public", "request-1", 0), b"end")
    await bus.send(subjects.end("public", "request-2", 0), b"foreign")
    heard = [await listener.next(2), await listener.next(2)]
    assert [item.payload for item in heard if item is not None] == [b"chunk", b"end"]
    assert await listener.next(0.1) is None
    await listener.close()


async def test_a_question_reaches_one_of_a_group_and_comes_back_answered(bus: Bus) -> None:
    listeners = [
        await bus.subscribe(subjects.NORMALIZE, limit=10, group="splitters") for _ in range(3)
    ]
    beside = await bus.subscribe(subjects.NORMALIZE, limit=10)

    async def answer() -> list[bytes]:
        heard = [one for listener in listeners if (one := await listener.next(0.5)) is not None]
        for one in heard:
            await bus.send(one.reply, b"answer to " + one.payload)
        return [one.payload for one in heard]

    answering = asyncio.create_task(answer())
    assert (
        await bus.request(subjects.normalize("public"), b"question", timeout_s=5)
        == b"answer to question"
    )
    assert await answering == [b"question"]
    overheard = await beside.next(1)
    assert overheard is not None
    assert overheard.payload == b"question"
    for listener in (*listeners, beside):
        await listener.close()


async def test_a_request_without_a_responder_has_no_answer(bus: Bus) -> None:
    assert await bus.request(subjects.normalize("public"), b"question", timeout_s=0.2) is None
    listener = await bus.subscribe(subjects.NORMALIZE, limit=10)
    assert await bus.request(subjects.normalize("public"), b"question", timeout_s=0.2) is None
    await listener.close()


async def test_a_core_message_has_no_reply_subject(bus: Bus) -> None:
    listener = await bus.subscribe("tts.v1.cancel.*.*", limit=10)
    await bus.send(subjects.cancel("public", "request-1"), b"cancel")
    heard = await listener.next(1)
    assert heard is not None
    assert heard.reply == ""
    await listener.close()


async def test_a_closed_listener_hears_nothing(bus: Bus) -> None:
    listener = await bus.subscribe("tts.v1.cancel.*.*", limit=10)
    await listener.close()
    await bus.send(subjects.cancel("public", "request-1"), b"cancel")
    assert await listener.next(0.2) is None


async def test_messages_that_overflow_a_subscription_are_lost_and_the_oldest_are_retained(
    bus: Bus,
) -> None:
    listener = await bus.subscribe("tts.v1.cancel.*.*", limit=3)
    for number in range(10):
        await bus.send(subjects.cancel("public", "request-1"), b"%d" % number)
    await asyncio.sleep(0.2)
    heard = []
    while (item := await listener.next(0.1)) is not None:
        heard.append(item.payload)
    assert heard[:3] == [b"0", b"1", b"2"]
    assert len(heard) <= 4
    await listener.close()


async def test_the_last_message_of_a_subject_is_read_directly(bus: Bus) -> None:
    subject = subjects.chunk("public", "request-1", 0, 3)
    assert await bus.last(topology.AUDIO, subject) is None
    await bus.publish(subject, b"first attempt", message_id="1")
    await bus.publish(subject, b"second attempt", message_id="2")
    assert await bus.last(topology.AUDIO, subject) == b"second attempt"
    assert await bus.message_count(topology.AUDIO) == 1


async def test_values_and_objects_are_read_back(bus: Bus) -> None:
    assert await bus.get_value(topology.VOICES, "embedded.1.abc") is None
    voice = secrets.token_bytes(130_000)
    await bus.put_value(topology.VOICES, "embedded.1.abc", voice)
    assert await bus.get_value(topology.VOICES, "embedded.1.abc") == voice
    clip = secrets.token_bytes(1_500_000)
    assert not await bus.has_object(topology.CLIPS, "clip")
    assert await bus.get_object(topology.CLIPS, "clip") is None
    await bus.put_object(topology.CLIPS, "clip", clip)
    assert await bus.has_object(topology.CLIPS, "clip")
    assert await bus.get_object(topology.CLIPS, "clip") == clip


async def test_of_many_who_create_a_value_at_once_one_succeeds(bus: Bus) -> None:
    tries = [
        bus.create_value(topology.KEPT, "key.public.abc", b"%d" % number) for number in range(8)
    ]
    created = await asyncio.gather(*tries)
    assert created.count(True) == 1
    assert await bus.get_value(topology.KEPT, "key.public.abc") == b"%d" % created.index(True)
    assert not await bus.create_value(topology.KEPT, "key.public.abc", b"late")


async def test_a_value_that_was_dropped_may_be_created_again(bus: Bus) -> None:
    for value in (b"first", b"second"):
        assert await bus.create_value(topology.KEPT, "key.public.abc", value)
        assert await bus.get_value(topology.KEPT, "key.public.abc") == value
        await bus.drop_value(topology.KEPT, "key.public.abc")
        assert await bus.get_value(topology.KEPT, "key.public.abc") is None
    await bus.put_value(topology.KEPT, "key.public.abc", b"put")
    assert not await bus.create_value(topology.KEPT, "key.public.abc", b"third")


async def test_a_value_is_updated_by_who_has_read_its_last_write(bus: Bus) -> None:
    assert await bus.get_revision(topology.PROGRESS, "spent.a.b") is None
    assert await bus.update_value(topology.PROGRESS, "spent.a.b", b"one", 0)
    first = await bus.get_revision(topology.PROGRESS, "spent.a.b")
    assert first is not None
    assert first.content == b"one"
    assert not await bus.update_value(topology.PROGRESS, "spent.a.b", b"again", 0)
    assert await bus.update_value(topology.PROGRESS, "spent.a.b", b"two", first.revision)
    assert not await bus.update_value(topology.PROGRESS, "spent.a.b", b"late", first.revision)
    assert await bus.get_value(topology.PROGRESS, "spent.a.b") == b"two"
    await bus.drop_value(topology.PROGRESS, "spent.a.b")
    assert await bus.get_revision(topology.PROGRESS, "spent.a.b") is None
    assert not await bus.update_value(topology.PROGRESS, "spent.a.b", b"late", first.revision)
    assert await bus.update_value(topology.PROGRESS, "spent.a.b", b"anew", 0)


async def test_many_who_count_in_one_value_lose_nothing(bus: Bus) -> None:
    async def count_up() -> None:
        while True:
            read = await bus.get_revision(topology.PROGRESS, "spent.a.b")
            number, revision = (int(read.content), read.revision) if read else (0, 0)
            if await bus.update_value(
                topology.PROGRESS, "spent.a.b", b"%d" % (number + 1), revision
            ):
                return

    await asyncio.gather(*(count_up() for _ in range(16)))
    assert await bus.get_value(topology.PROGRESS, "spent.a.b") == b"16"


async def test_a_dropped_object_frees_its_space_and_its_name(bus: Bus) -> None:
    await bus.drop_object(topology.RESULTS, "acme/job/0")  # there is none
    before = await bus.storage_use(f"OBJ_{topology.RESULTS}")
    await bus.put_object(topology.RESULTS, "acme/job/0", bytes(300_000))
    await bus.put_object(topology.RESULTS, "acme/job/1", b"stays")
    assert (await bus.storage_use(f"OBJ_{topology.RESULTS}")).used > before.used + 300_000
    await bus.drop_object(topology.RESULTS, "acme/job/0")
    assert await bus.get_object(topology.RESULTS, "acme/job/0") is None
    assert not await bus.has_object(topology.RESULTS, "acme/job/0")
    assert (await bus.storage_use(f"OBJ_{topology.RESULTS}")).used < before.used + 10_000
    assert await bus.get_object(topology.RESULTS, "acme/job/1") == b"stays"
    await bus.put_object(topology.RESULTS, "acme/job/0", b"anew")
    assert await bus.get_object(topology.RESULTS, "acme/job/0") == b"anew"


async def test_a_store_reports_its_size(bus: Bus) -> None:
    assert (await bus.storage_use(f"OBJ_{topology.RESULTS}")).most == 8192 * topology.MEBIBYTE


async def test_a_change_of_a_value_is_published(bus: Bus) -> None:
    listener = await bus.subscribe(
        topology.value_subject(topology.PROGRESS, "job.public.abc"), limit=10
    )
    await bus.create_value(topology.PROGRESS, "job.public.abc", b"created")
    await bus.put_value(topology.PROGRESS, "job.public.abc", b"put")
    await bus.put_value(topology.PROGRESS, "job.public.other", b"foreign")
    heard = [await listener.next(2), await listener.next(2)]
    assert [item.payload for item in heard if item is not None] == [b"created", b"put"]
    assert await listener.next(0.1) is None
    await listener.close()


async def test_jobs_wait_in_their_own_queue(bus: Bus) -> None:
    await bus.publish(subjects.job("public"), b"job", message_id="a", lifetime_s=60)
    puller = await bus.pull(topology.jobs_consumer())
    delivery = await puller.next(2)
    assert delivery is not None
    assert delivery.payload == b"job"
    await delivery.ack()
    assert await bus.message_count(topology.JOBS) == 0
    await puller.close()


async def test_what_is_larger_than_a_message_is_refused_as_a_text(tmp_path: Path) -> None:
    async with bus_of("nats", tmp_path) as bus:
        large = bytes(9_000_000)
        with pytest.raises(TextTooLong, match="max_payload"):
            await bus.publish(subjects.job("public"), large, message_id="a")
        with pytest.raises(TextTooLong, match="max_payload"):
            await bus.create_value(topology.KEPT, "request.public.a", large)


async def test_a_value_is_created_once_though_the_server_is_killed_meanwhile(
    tmp_path: Path,
) -> None:
    async with local_nats(tmp_path) as server:
        bus = await NatsBus.connect(server.url, name="test", patience_s=10)
        await bus.establish(topology.topology())
        await server.kill()
        creating = [
            asyncio.create_task(bus.create_value(topology.KEPT, "key.a.b", b"%d" % n))
            for n in range(3)
        ]
        await asyncio.sleep(0.5)
        await server.start()
        created = await asyncio.gather(*creating)
        assert created.count(True) == 1
        assert await bus.get_value(topology.KEPT, "key.a.b") == b"%d" % created.index(True)
        await bus.close()


async def test_a_create_whose_answer_was_lost_recognizes_its_own_first_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that was killed may have stored a value and forgotten its message id."""
    async with local_nats(tmp_path) as server:
        bus = await NatsBus.connect(server.url, name="test", patience_s=10)
        await bus.establish(topology.topology())
        publish = bus._jetstream.publish
        attempts = 0

        async def losing_the_first_answer(subject: str, payload: bytes, **options: Any) -> PubAck:
            nonlocal attempts
            attempts += 1
            if attempts == 1:
                await publish(subject, payload, **options)
                raise nats.errors.NoRespondersError
            raise APIError(code=400, err_code=WRONG_LAST_SEQUENCE)

        monkeypatch.setattr(bus._jetstream, "publish", losing_the_first_answer)
        assert await bus.create_value(topology.KEPT, "key.a.b", b"mine")
        assert attempts == 2
        attempts = 1
        assert not await bus.create_value(topology.KEPT, "key.a.b", b"theirs")
        assert not await bus.create_value(
            topology.KEPT, "key.a.c", b"refused without a stored copy"
        )
        await bus.close()


async def test_a_subject_without_a_stream_is_refused(bus: Bus) -> None:
    with pytest.raises(BusUnavailable):
        await bus.publish("elsewhere", b"lost", message_id="x")


async def test_a_missing_server_is_reported_in_time() -> None:
    with pytest.raises(BusUnavailable, match="NATS_URL"):
        await NatsBus.connect("nats://127.0.0.1:9", name="test", patience_s=0.5)


async def test_acknowledged_jobs_and_a_connection_survive_a_killed_server(tmp_path: Path) -> None:
    async with local_nats(tmp_path) as server:
        bus = await NatsBus.connect(server.url, name="test", patience_s=10)
        await bus.establish(topology.topology())
        await bus.publish(sentence(0), b"before", message_id="a")
        await server.kill()
        publishing = asyncio.create_task(bus.publish(sentence(1), b"meanwhile", message_id="b"))
        await asyncio.sleep(0.5)
        await server.start()
        assert await publishing
        puller = await bus.pull(CONSUMER)
        payloads = set()
        while len(payloads) < 2:
            delivery = await puller.next(1)
            if delivery is not None:
                payloads.add(delivery.payload)
                await delivery.ack()
        assert payloads == {b"before", b"meanwhile"}
        await puller.close()
        await bus.close()


async def test_a_local_server_ends_with_its_block(tmp_path: Path) -> None:
    async with local_nats(tmp_path) as server:
        assert isinstance(server, LocalNats)
    with pytest.raises(BusUnavailable):
        await NatsBus.connect(server.url, name="test", patience_s=0.3)


async def test_stored_messages_are_listed_oldest_first_and_removed_by_number(bus: Bus) -> None:
    for number in range(4):
        await bus.publish(
            subjects.dead(f"tts.v1.request.tenant-{number % 2}"),
            b"%d" % number,
            message_id=str(number),
        )
    listed = await bus.stored(topology.DEAD, subjects.DEAD, most=3)
    assert [message.payload for message in listed] == [b"0", b"1", b"2"]
    assert abs(listed[0].unix_s - time.time()) < 60
    await bus.remove(topology.DEAD, listed[1].number)
    await bus.remove(topology.DEAD, listed[1].number)
    odd = subjects.dead("tts.v1.request.tenant-1")
    assert [message.payload for message in await bus.stored(topology.DEAD, odd, most=10)] == [b"3"]
    assert await bus.message_count(topology.DEAD) == 3


async def test_a_message_can_be_removed_by_several_at_once(bus: Bus) -> None:
    for number in range(50):
        await bus.publish(subjects.dead("tts.v1.job"), b"x", message_id=f"dead-{number}")
    listed = await bus.stored(topology.DEAD, subjects.DEAD, most=50)
    assert len(listed) == 50
    for message in listed:
        await asyncio.gather(*(bus.remove(topology.DEAD, message.number) for _ in range(5)))
    assert await bus.message_count(topology.DEAD) == 0


async def test_messages_and_values_are_counted_by_subject(bus: Bus) -> None:
    for number in range(3):
        await bus.publish(subjects.request("acme"), b"request", message_id=f"acme-{number}")
    await bus.publish(subjects.request("globex"), b"request", message_id="globex-0")
    assert await bus.count_by_subject(topology.REQUESTS, subjects.request("acme")) == {
        subjects.request("acme"): 3
    }
    assert await bus.count_by_subject(topology.REQUESTS, subjects.request("nobody")) == {}
    for key in ("clip.acme.a.10", "clip.acme.b.20", "clip.globex.a.10"):
        await bus.create_value(topology.PROGRESS, key, b"1")
    own = topology.value_subject(topology.PROGRESS, "clip.acme.*.*")
    assert sorted(await bus.count_by_subject(f"KV_{topology.PROGRESS}", own)) == [
        topology.value_subject(topology.PROGRESS, key)
        for key in ("clip.acme.a.10", "clip.acme.b.20")
    ]


async def test_more_subjects_are_counted_than_the_server_sends_in_one_reply(tmp_path: Path) -> None:
    count = 100_001
    async with bus_of("nats", tmp_path) as bus:
        for number in range(count):
            await bus.send(topology.value_subject(topology.PROGRESS, f"clip.acme.{number}"), b"1")
        async with asyncio.timeout(60):
            while await bus.message_count(f"KV_{topology.PROGRESS}") < count:
                await asyncio.sleep(0.1)
        own = topology.value_subject(topology.PROGRESS, "clip.acme.*")
        assert len(await bus.count_by_subject(f"KV_{topology.PROGRESS}", own)) == count


async def test_the_lag_of_a_consumer_counts_pending_and_ack_pending_messages(bus: Bus) -> None:
    consumer = topology.requests_consumer()
    assert await bus.lag(consumer) == Lag(0, 0, 0, 0.0)
    puller = await bus.pull(consumer)
    for number in range(3):
        await bus.publish(subjects.request(f"tenant-{number}"), b"x", message_id=f"lag-{number}")
    await asyncio.sleep(0.3)
    delivery = await puller.next(1)
    assert delivery is not None
    lag = await bus.lag(consumer)
    assert (lag.pending, lag.ack_pending, lag.redelivered) == (2, 1, 0)
    assert 0.2 < lag.oldest_s < 30
    await delivery.nak(0)
    again = await puller.next(2)
    while again is not None and again.attempt == 1:
        await again.ack()
        again = await puller.next(2)
    assert again is not None
    assert (await bus.lag(consumer)).redelivered == 1
    await again.ack()
    await puller.close()
