"""A sentence that kills the engine: it fails soon, takes no second worker along, and waits among the dead letters."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from services.admin import dead_letters
from services.common.bus import topology
from services.common.bus.inbox import open_inbox
from services.common.bus.nats.connection import NatsBus
from services.common.bus.ports import Bus, Stored
from services.common.wire import codec, subjects
from services.common.wire.messages import DeadLetter, SentenceSpoken, SpeechRequest
from tests.chaos.listeners import VOICE, Order, Tally, listen
from tests.chaos.parts import House, house
from tests.support.buses import bus_of
from tests.support.service import speech_request

POISON = "Every word of this is harmless but boom, and then it goes on for a while."
SETTINGS = {"TONE_REAL_TIME_FACTOR": "0.1", "WORKER_SLOTS": "4", "TONE_CRASH_WORD": "boom"}
HARMLESS = " ".join(
    f"This is sentence number {number}, and nothing is wrong with it." for number in range(6)
)


def engines(service: House) -> dict[str, set[int]]:
    """Return, of every worker, its own process id and those of its children."""
    found = {}
    for worker in service.workers:
        assert worker.process is not None
        found[worker.name] = {worker.process.pid, *worker.children()}
    return found


async def refused(session: aiohttp.ClientSession, address: str) -> tuple[str, float]:
    """Send the poison; return the failure's code and the time until it was reported."""
    form = aiohttp.FormData({"text": POISON, "language": "en", "seed": "1"})
    form.add_field("reference_audio", VOICE, filename="voice.wav")
    began_s = time.monotonic()
    async with session.post(f"{address}/synthesize", data=form) as response:
        problem = await response.json(content_type="application/problem+json")
    return problem["code"], time.monotonic() - began_s


async def test_a_sentence_that_kills_an_engine_reaches_no_second_worker_and_harms_no_other_request(
    tmp_path: Path,
) -> None:
    tally = Tally()
    async with (
        house(tmp_path, workers=2, settings=SETTINGS) as service,
        aiohttp.ClientSession() as session,
    ):
        await service.until_ready(session)
        before = engines(service)
        others = [
            asyncio.create_task(
                listen(session, service.address(), Order("stream", HARMLESS, seed), tally)
            )
            for seed in range(4)
        ]
        await asyncio.sleep(0.5)
        code, took_s = await refused(session, service.address())
        await asyncio.gather(*others)
        after = engines(service)
        assert code == "engine_crashed"
        assert took_s < 10
        assert (tally.whole, tally.faults) == (4, [])
        hit = [name for name in before if before[name] != after[name]]
        assert len(hit) == 1, "one worker has a new engine, and no worker died"
        assert all(before[name] & after[name] for name in before)
        bus = await NatsBus.connect(service.nats.url, name="operator")
        [(message, letter)] = await first_letters(bus)
        assert letter.code == "engine_crashed"
        assert "boom" not in dead_letters.described(message, letter)
        await speaks_when_replayed(service, session, bus, message.number, letter.subject)
        await bus.close()


async def first_letters(bus: NatsBus) -> list[tuple[Stored, DeadLetter]]:
    """Return the dead letters when there are any: a letter is stored after its failure was reported."""
    async with asyncio.timeout(60):
        while not (found := await dead_letters.letters(bus)):
            await asyncio.sleep(0.05)
    return found


async def speaks_when_replayed(
    service: House, session: aiohttp.ClientSession, bus: NatsBus, number: int, subject: str
) -> None:
    """Fix the workers, replay the letter, and receive the sentence."""
    for worker in service.workers:
        assert await worker.stop() == 0
        worker.settings = {**worker.settings, "TONE_CRASH_WORD": ""}
        await worker.start()
    await service.until_ready(session)
    *_, tenant, request, sentence = subject.split(".")
    async with open_inbox(bus, tenant, request) as inbox, asyncio.timeout(60):
        assert await dead_letters.replay(bus, number) == subject
        while not isinstance(event := await inbox.next(1), SentenceSpoken):
            pass
    assert event.sentence == int(sentence)
    assert await bus.message_count(topology.DEAD) == 0
    with pytest.raises(dead_letters.NoSuchLetter):
        await dead_letters.replay(bus, number)


@pytest.fixture(params=["memory", "nats"])
async def bus(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bus]:
    async with bus_of(request.param, tmp_path) as bus:
        yield bus


async def test_letters_are_purged_by_number_by_code_or_all_at_once(bus: Bus) -> None:
    for number, code in enumerate(
        ["engine_crashed", "synthesis_failed", "engine_crashed", "bus_unavailable"]
    ):
        subject = subjects.request(f"tenant-{number}")
        letter = DeadLetter(subject=subject, payload=b"", code=code, detail="", attempts=1)
        await bus.publish(subjects.dead(subject), codec.encode(letter), message_id=str(number))
    numbers = [message.number for message, _ in await dead_letters.letters(bus)]
    assert await dead_letters.purge(bus, number=numbers[1]) == 1
    assert await dead_letters.purge(bus, code="engine_crashed") == 2
    assert [letter.code for _, letter in await dead_letters.letters(bus)] == ["bus_unavailable"]
    assert await dead_letters.purge(bus) == 1
    assert await dead_letters.letters(bus) == []


@pytest.mark.parametrize("subject", [subjects.request("public"), subjects.job("public")])
async def test_the_letter_of_a_request_or_of_a_job_is_published_again_with_time_to_live(
    bus: Bus, subject: str
) -> None:
    request = speech_request("ab" * 32, lasts_s=-5)
    letter = DeadLetter(
        subject=subject,
        payload=codec.encode(request),
        code="bus_unavailable",
        detail="",
        attempts=5,
    )
    await bus.publish(subjects.dead(subject), codec.encode(letter), message_id="1")
    [(message, _)] = await dead_letters.letters(bus)
    assert await dead_letters.replay(bus, message.number) == subject
    stream = topology.JOBS if subject == subjects.job("public") else topology.REQUESTS
    [again] = await bus.stored(stream, subject, most=10)
    assert (
        codec.decode(again.payload, SpeechRequest).deadline_unix_ms > time.time() * 1000 + 3_000_000
    )
    assert await bus.message_count(topology.DEAD) == 0
