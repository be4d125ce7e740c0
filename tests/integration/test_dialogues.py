"""Dialogues over HTTP: one request with several voices. On a real nats-server, with tone workers."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services.common.bus import topology
from services.common.wire import codec
from services.common.wire.messages import TextSplit
from tests.integration.test_jobs import ended
from tests.integration.test_redo import redone, shown
from tests.integration.test_voices import create, send
from tests.support.front import Front, form, front
from tests.support.wav import pcm_of

LINES = "Anna: Hello there, Paul.\nPaul: Good morning.\nAnna: Good morning to you."
ID = "a-dialogue-of-mine"


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Front]:
    async with front(tmp_path) as made:
        yield made


def fields(**changes: str | None) -> dict[str, str | None]:
    usual: dict[str, str | None] = {
        "text": LINES,
        "text_type": "dialogue",
        "voices": json.dumps({"Anna": "Anna", "Paul": "high"}),
        "reference_audio": None,
    }
    return usual | changes


async def refused(service: Front, path: str, **changes: str | None) -> tuple[int, str, str]:
    async with await service.post(path, **fields(**changes)) as response:
        problem = await response.json(content_type="application/problem+json")
        return response.status, problem["code"], problem["detail"]


async def test_one_request_gives_one_file_with_the_voice_of_each_line(service: Front) -> None:
    _, anna = await create(service)
    sounds = set()
    for path in ("/synthesize", "/stream"):
        headers = {"Request-Name": f"{ID}-{path[1:]}"}
        async with await service.post(path, headers=headers, **fields()) as response:
            assert response.status == 200, await response.text()
            assert response.headers["X-Voice"] == f"{anna['id']}@1"
            sounds.add(pcm_of(await response.read()))
    assert len(sounds) == 1
    listed = await shown(await service.get(f"/requests/{ID}-stream/sentences"))
    assert [each["voice"] for each in listed["sentences"]] == [
        f"{anna['id']}@1",
        "builtin:high",
        f"{anna['id']}@1",
    ]
    words = [LINES[each["start"] : each["end"]] for each in listed["sentences"]]
    assert words == ["Hello there, Paul.", "Good morning.", "Good morning to you."]


async def test_a_voice_in_ssml_speaks_its_part_and_the_rest_is_in_the_voice_of_the_form(
    service: Front,
) -> None:
    document = '<speak>One is here. <voice name="high">Two is there.</voice></speak>'
    changes = {"text": document, "text_type": "ssml", "voices": None, "voice": "low"}
    async with await service.post(
        "/synthesize", headers={"Request-Name": ID}, **fields(**changes)
    ) as response:
        assert response.status == 200, await response.text()
        assert response.headers["X-Voice"] == "builtin:low"
    listed = await shown(await service.get(f"/requests/{ID}/sentences"))
    assert [each.get("voice") for each in listed["sentences"]] == [None, "builtin:high"]


async def test_an_unknown_voice_is_refused_with_the_speaker_and_the_nearest_names(
    service: Front,
) -> None:
    await create(service, name="Annabelle")
    for path in ("/synthesize", "/stream", "/jobs"):
        status, code, detail = await refused(
            service, path, voices='{"Anna": "Anabel", "Paul": "low"}'
        )
        assert (status, code) == (404, "unknown_voice")
        assert "the voice of Anna" in detail
        assert "Annabelle" in detail
    assert not await service.bus.message_count(topology.REQUESTS)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"voices": None}, "a dialogue needs the voices"),
        ({"voices": "[]"}, "voices must be a JSON object"),
        ({"voices": '{"Eve": "low"}'}, "no line of the text begins with a name"),
        ({"text_type": "text"}, "voices was sent for a plain text"),
    ],
)
async def test_a_dialogue_that_cannot_be_meant_is_refused_with_what_to_send(
    service: Front, changes: dict[str, str | None], why: str
) -> None:
    status, code, detail = await refused(service, "/synthesize", **changes)
    assert (status, code) == (400, "bad_request")
    assert why in detail


async def test_a_sentence_of_a_job_is_spoken_again_by_its_own_speaker(service: Front) -> None:
    _, anna = await create(service, parameters='{"speed": 2.0}')
    _, job = await send(service, "POST", "/jobs", data=form(**fields()))
    assert (await ended(service, job["id"]))["state"] == "done"
    _, asked = await send(service, "GET", f"/jobs/{job['id']}/request")
    assert asked["voices"] == {"Anna": f"{anna['id']}@1", "Paul": "builtin:high"}
    before = await shown(await service.get(f"/jobs/{job['id']}/sentences"))
    assert [each["text"] for each in before["sentences"]][1] == "Good morning."
    assert [each["voice"] for each in before["sentences"]][:2] == [
        f"{anna['id']}@1",
        "builtin:high",
    ]
    for index in (1, 2):
        await shown(await redone(service, job["id"], index, seed="7"))
    after = await shown(await service.get(f"/jobs/{job['id']}/sentences"))
    assert [each["seconds"] for each in after["sentences"]] == [
        each["seconds"] for each in before["sentences"]
    ]
    splits = await _announced(service)
    assert [split.voice for split in splits[-2:]] == ["builtin:high", f"{anna['id']}@1"]
    assert all(not split.voices for split in splits[-2:])


async def test_the_subtitles_of_a_dialogue_have_its_words_without_the_names(
    service: Front,
) -> None:
    headers = {"Request-Name": ID}
    await create(service)
    async with await service.post("/synthesize", headers=headers, **fields()) as response:
        assert response.status == 200, await response.text()
    async with await service.get(f"/requests/{ID}/subtitles.srt") as response:
        subtitles = await response.text()
    assert response.status == 200
    assert "Hello there, Paul." in subtitles
    assert "Anna:" not in subtitles


async def test_the_spoken_form_of_a_dialogue_has_its_lines_without_the_names(
    service: Front,
) -> None:
    only = {"text": LINES, "text_type": "dialogue", "voices": '{"Anna": "x", "Paul": "y"}'}
    async with await service.post(
        "/normalize", reference_audio=None, seed=None, **only
    ) as response:
        assert response.status == 200, await response.text()
        spoken: dict[str, Any] = await response.json()
    assert [each["text"] for each in spoken["sentences"]] == [
        "Hello there, Paul.",
        "Good morning.",
        "Good morning to you.",
    ]


async def _announced(service: Front) -> list[TextSplit]:
    stored = await service.bus.stored(topology.AUDIO, "tts.v1.audio.public.*.split", most=100)
    return [codec.decode(message.payload, TextSplit) for message in stored]
