"""SSML over HTTP: silence to the sample, marks at their offsets in the audio, languages and speeds by sentence."""

import secrets
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from services.common.wire.seeds import sentence_seed
from services.synth_worker.engines.tone import SAMPLES_PER_CHARACTER, watermark
from tests.support.events import events_of
from tests.support.front import Front, front
from tests.support.wav import pcm_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Front]:
    async with front(tmp_path_factory.mktemp("nats")) as made:
        yield made


def tone(place: int, text: str, speed: float = 1.0) -> np.ndarray:
    samples = watermark(
        sentence_seed(42, place), 0, round(len(text) * SAMPLES_PER_CHARACTER / speed)
    )
    return (samples * 32768).astype(np.int16)


def silence(milliseconds: int) -> np.ndarray:
    return np.zeros(24 * milliseconds, np.int16)


async def synthesised(service: Front, **fields: str) -> tuple[np.ndarray, dict[str, Any], str]:
    name = secrets.token_hex(16)
    async with await service.post(
        "/synthesize", headers={"Request-Name": name}, **fields
    ) as response:
        wav = await response.read()
        assert response.status == 200, wav
        languages = response.headers["X-Language"]
    async with await service.get(f"/requests/{name}/sentences") as response:
        return np.frombuffer(pcm_of(wav), np.int16), await response.json(), languages


MARKED = (
    '<speak><break time="100ms"/><mark name="begin"/><s>Hello <mark name="within"/>there</s><mark name="silence"/>'
    '<break time="1.2345s"/><mark name="next"/><prosody rate="200%">Faster now</prosody>'
    '<break strength="none"/><lang xml:lang="fr">3 chats</lang><break time="250ms"/><mark name="end"/></speak>'
)


async def test_breaks_marks_languages_and_rates_are_exactly_where_they_stand(
    service: Front,
) -> None:
    sound, answer, languages = await synthesised(
        service, text=MARKED, text_type="ssml", speed="0.5"
    )
    first, second, third = (
        tone(0, "Hello there", 0.5),
        tone(1, "Faster now", 1.0),
        tone(2, "Trois chats", 0.5),
    )
    expected = np.concatenate([silence(100), first, silence(1234), second, third, silence(250)])
    assert np.array_equal(sound, expected)
    assert languages == "en, fr"
    assert [one["language"] for one in answer["sentences"]] == ["en", "en", "fr"]
    samples = {mark["name"]: mark["sample"] for mark in answer["marks"]}
    assert samples == {
        "begin": 2_400,
        "within": 2_400,
        "silence": 2_400 + len(first),
        "next": 2_400 + len(first) + 24 * 1234,
        "end": len(sound),
    }
    assert [mark["name"] for mark in answer["marks"] if mark.get("within")] == ["within"]
    assert all(
        mark["seconds"] == pytest.approx(mark["sample"] / 24_000, abs=1e-4)
        for mark in answer["marks"]
    )


async def told(service: Front, job: str, last: str) -> list[tuple[str, Any]]:
    """Return a job's events, in order: a mark as it is, the others by their number."""
    async with await service.get(
        f"/jobs/{job}/events", headers={"Last-Event-ID": last}
    ) as response:
        events = [event async for event in events_of(response)]
    return [(event.name, event.data if event.name == "mark" else event.number) for event in events]


async def test_the_marks_of_a_job_are_events_before_those_of_their_sentences(
    service: Front,
) -> None:
    async with await service.post("/jobs", text=MARKED, text_type="ssml", speed="0.5") as response:
        job = (await response.json())["id"]
    events = await told(service, job, "")
    async with await service.get(f"/requests/{job}/sentences") as response:
        marks = [("mark", mark) for mark in (await response.json())["marks"]]
    assert [mark["name"] for _, mark in marks] == ["begin", "within", "silence", "next", "end"]
    begin, within, silence, following, end = marks
    of_next = [silence, following, ("progress", "2")]
    assert events == [
        begin,
        within,
        ("progress", "1"),
        *of_next,
        ("progress", "3"),
        end,
        ("done", "3"),
    ]
    assert await told(service, job, "1") == events[3:]
    assert await told(service, job, "3") == [end, ("done", "3")]


REFUSED = [
    ("<speak><b>x</b></speak>", "malformed_ssml", "line 1, column 8"),
    ("<!DOCTYPE s><speak>x</speak>", "malformed_ssml", "document type"),
    ("Hello", "malformed_ssml", "not XML"),
    ("<speak><break/></speak>", "empty_text", "contains no text"),
]


async def test_what_is_not_understood_is_refused_before_any_work(service: Front) -> None:
    await service.until_idle()
    before = await service.spoken()
    for path in ("/synthesize", "/jobs"):
        for text, code, detail in REFUSED:
            async with await service.post(path, text=text, text_type="ssml") as response:
                problem = await response.json(content_type=None)
            assert response.status == (400 if code == "malformed_ssml" else 422)
            assert problem["code"] == code
            assert detail in problem["detail"]
    async with await service.post("/stream", text_type="html") as response:
        assert response.status == 400
        assert "text or ssml" in (await response.json(content_type=None))["detail"]
    await service.until_idle()
    assert await service.spoken() == before


async def test_each_paragraph_of_a_mixed_text_is_spoken_in_its_language(service: Front) -> None:
    text = "Good morning to all of you, it is 5 past nine.\n\nGuten Morgen, es gibt heute 5 schöne Brötchen für euch."
    sound, answer, languages = await synthesised(
        service, text=text, language="auto", enable_text_splitting="true"
    )
    assert set(languages.split(", ")) == {"en", "de"}
    assert {one["language"] for one in answer["sentences"]} == {"en", "de"}
    said = "Guten Morgen, es gibt heute fünf schöne Brötchen für euch."
    assert np.array_equal(
        sound[-len(said) * SAMPLES_PER_CHARACTER :], tone(answer["count"] - 1, said)
    )


async def test_pronunciations_reach_the_engine(service: Front) -> None:
    sound, _, _ = await synthesised(
        service, text="Say SQL to me.", pronunciations='{"SQL": "sequel"}'
    )
    assert np.array_equal(sound, tone(0, "Say sequel to me."))
