"""The voices of a dialogue, from what a client sends over NATS to the sentences that workers receive, on a real bus and
on its twin."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from msgspec import UNSET

from services.common.bus.library.voices import VoiceLibrary
from services.common.wire.messages import SpeechRequest
from services.common.wire.options import Parameters
from services.common.wire.parts import Speaker
from tests.integration.test_ingress import Front, ingress
from tests.integration.test_voices_of_requests import (
    DEFAULTS,
    FIRST,
    SECOND,
    Client,
    draft,
    named,
    splitting,
)
from tests.support.buses import bus_of


@pytest.fixture(params=["memory", "nats"])
async def client(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Client]:
    async with bus_of(request.param, tmp_path) as bus:
        yield Client(bus)


@pytest.fixture(params=["memory", "nats"])
async def door(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Front]:
    async with bus_of(request.param, tmp_path) as bus, ingress(bus) as made:
        yield made


LINES = "Anna: Hello there, Paul.\nPaul: Good morning.\nAnna: Good morning to you."


def dialogue(voice: str | None = None, **changes: object) -> SpeechRequest:
    spoken = (Speaker(name="Anna", voice="Anna"), Speaker(name="Paul", voice="heart"))
    usual: dict[str, object] = {"text": LINES, "text_type": "dialogue", "voices": spoken}
    return named(voice, **usual | changes)


async def test_each_sentence_of_a_dialogue_has_the_voice_of_its_speaker(client: Client) -> None:
    anna = await VoiceLibrary(client.bus).create(
        msgspec.structs.replace(draft("Anna"), parameters=DEFAULTS), [FIRST]
    )
    reference = anna.resolved.reference
    document = '<speak><voice name="Anna">Hello there.</voice> Good morning, everybody.</speak>'
    marked = named("heart", text=document, text_type="ssml")
    request = dialogue()
    async with splitting(client.bus):
        await client.publish(request)
        jobs = await client.jobs(request, 3)
        split = await client.split(request)
        await client.publish(marked)
        two = await client.jobs(marked, 2)
    fast, usual = Parameters(speed=1.5), Parameters()
    found = {job.sentence: (job.voice, job.parameters, job.text) for job in jobs}
    assert found == {
        0: (reference, fast, "Hello there, Paul."),
        1: ("builtin:Heart", usual, "Good morning."),
        2: (reference, fast, "Good morning to you."),
    }
    assert split.speakers == (1, 2, 1)
    assert split.voices == (
        Speaker(name="Anna", voice=reference, parameters=fast),
        Speaker(name="Paul", voice="builtin:Heart", parameters=usual),
    )
    assert split.voice == reference
    assert {job.sentence: (job.voice, job.parameters) for job in two} == {
        0: (reference, fast),
        1: ("builtin:Heart", usual),
    }


async def test_an_unknown_voice_of_a_speaker_fails_the_dialogue_and_is_named(
    client: Client,
) -> None:
    async with splitting(client.bus):
        code, detail = await client.refused(dialogue())
        assert code == "unknown_voice"
        assert "the voice of Anna" in detail
        code, detail = await client.refused(dialogue(voices=UNSET))
        assert code == "malformed_message"


async def test_a_redelivered_dialogue_keeps_its_voices_and_fails_once_one_is_deleted(
    client: Client,
) -> None:
    library = VoiceLibrary(client.bus)
    anna = await library.create(draft("Anna"), [FIRST])
    lasting = dialogue()
    ended = dialogue("heart", request="b" * 32)
    async with splitting(client.bus, slots=1):
        for request in (lasting, ended):
            await client.publish(request)
            await client.split(request)
    await library.change(
        "public", anna.voice, lambda now: msgspec.structs.replace(now, name="Anne")
    )
    other = await library.create(draft("Anna"), [SECOND])
    async with splitting(client.bus):
        jobs = await client.jobs(lasting, 3)
    assert {job.sentence: job.voice for job in jobs} == {
        0: anna.resolved.reference,
        1: "builtin:Heart",
        2: anna.resolved.reference,
    }
    assert other.resolved != anna.resolved
    await library.delete("public", anna.voice)
    async with splitting(client.bus):
        assert (await client.failure(ended)).code == "unknown_voice"


async def test_the_voices_of_a_dialogue_are_resolved_before_it_is_queued(door: Front) -> None:
    lines = "Anna: Hello.\nPaul: Good morning."
    speakers = (Speaker(name="Anna", voice="heart"), Speaker(name="Paul", voice="Heart"))
    request = door.speaking(None, text=lines, text_type="dialogue", voices=speakers)
    assert "error" not in await door.ask(request)
    queued = await door.last()
    assert [(each.name, each.voice) for each in queued.voices or ()] == [
        ("Anna", "builtin:Heart"),
        ("Paul", "builtin:Heart"),
    ]
    unknown = msgspec.structs.replace(
        request, request=secrets.token_hex(16), voices=(Speaker(name="Anna", voice="Hart"),)
    )
    error = (await door.ask(unknown))["error"]
    assert isinstance(error, dict)
    assert error["code"] == 404
    assert "the voice of Anna" in str(error["description"])
    assert await door.queued() == 1
