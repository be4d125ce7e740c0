"""Requests that name a voice, or none, over HTTP; and previews. On a real nats-server, with tone workers."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec
import pytest
import pytest_asyncio

from services.common.bus import topology
from services.common.wire import codec, subjects
from services.common.wire.identity import identity_of
from services.common.wire.languages import LANGUAGES
from services.common.wire.messages import AudioChunk, RequestEvent, SentenceSpoken
from services.http_edge.voices.previews import SENTENCES
from tests.integration.test_voices import (
    CONSENT,
    OTHER_VOICE,
    create,
    delete_voices,
    send,
    voice_form,
)
from tests.support.front import Front, form, front
from tests.support.messages import CLIP
from tests.support.service import TEXT, digest, expected_pcm, speech_request
from tests.support.wav import pcm_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

LONG = " ".join(f"{TEXT} That was number {number}." for number in range(4))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> AsyncIterator[Front]:
    factor = getattr(request, "param", 0.0)
    async with front(tmp_path_factory.mktemp("nats"), edges=2, real_time_factor=factor) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def service(shared: Front) -> AsyncIterator[Front]:
    """Use the service of this file; the voices of each test are deleted after it."""
    yield shared
    await delete_voices(shared)


@pytest.fixture
def key() -> dict[str, str]:
    return {"Idempotency-Key": secrets.token_hex(16)}


async def speak(
    service: Front, path: str = "/synthesize", *, edge: int = 0, **fields: Any
) -> tuple[str, str]:
    """Return the voice and the digest of the audio."""
    headers = fields.pop("headers", None)
    async with await service.post(
        path, edge=edge, headers=headers, reference_audio=None, **fields
    ) as response:
        assert response.status == 200, await response.text()
        return response.headers["X-Voice"], digest([pcm_of(await response.read())])


async def refused(service: Front, path: str = "/synthesize", **fields: Any) -> tuple[int, str, str]:
    async with await service.post(path, **fields) as response:
        problem = await response.json(content_type="application/problem+json")
        return response.status, problem["code"], problem["detail"]


async def test_a_text_alone_is_spoken_in_the_default_voice(service: Front) -> None:
    only_text = aiohttp.FormData(default_to_multipart=True)
    only_text.add_field("text", "Bonjour.")
    url = f"{service.addresses[0]}/synthesize"
    async with service.session.post(url, data=only_text) as response:
        assert response.status == 200, await response.text()
        assert response.headers["X-Voice"] == "builtin:low"
        assert response.headers["X-Language"] == "fr"
        assert len(await response.read()) > 1_000


async def test_a_voice_is_named_by_name_id_or_reference_and_returned_resolved(
    service: Front,
) -> None:
    _, made = await create(service)
    for given in ("Anna", "ANNA", made["id"], f"{made['id']}@1"):
        for path in ("/synthesize", "/stream"):
            spoken = await speak(service, path, voice=given)
            assert spoken == (f"{made['id']}@1", digest([expected_pcm()]))
    assert (await speak(service, voice="high"))[0] == "builtin:high"
    assert (await speak(service, voice=""))[0] == "builtin:low", "an empty field is not sent"


async def test_the_parameters_of_a_voice_apply_unless_the_request_sets_them(
    service: Front,
) -> None:
    # the engine does not support `temperature`
    await create(service, parameters='{"speed": 2.0, "temperature": 0.5}')
    _, slow = await speak(service, voice="Anna")
    assert slow == digest([expected_pcm(speed=2.0)])
    _, usual = await speak(service, voice="Anna", speed="1.0")
    assert usual == digest([expected_pcm()])


async def bus_audio(service: Front, voice: str) -> str:
    """Publish a request with this voice on the bus, like `form` otherwise; return the digest of its audio."""
    request = msgspec.structs.replace(speech_request(CLIP), clips=(), voice=voice)
    events = subjects.request_events(request.tenant, request.request)
    await service.bus.publish(
        subjects.request(request.tenant),
        codec.encode(request),
        message_id=identity_of(request).message_id(),
    )

    async with asyncio.timeout(60):
        while True:
            stored = await service.bus.stored(topology.AUDIO, events, most=1_000)
            read = [codec.decode(message.payload, RequestEvent) for message in stored]
            ended = [event for event in read if isinstance(event, SentenceSpoken)]
            if ended and len(ended) == ended[0].sentences:
                break
            await asyncio.sleep(0.05)

    chunks = [event for event in read if isinstance(event, AudioChunk)]
    chunks.sort(key=lambda chunk: (chunk.sentence, chunk.chunk))
    return digest([chunk.pcm for chunk in chunks])


@pytest.mark.parametrize("given", ["{id}", "{id}@1", "Anna"])
async def test_a_voice_gives_the_same_audio_over_http_and_nats(service: Front, given: str) -> None:
    _, made = await create(service, parameters='{"speed": 2.0, "temperature": 0.5}')
    voice = given.format(id=made["id"])
    _, over_http = await speak(service, voice=voice)
    assert over_http == digest([expected_pcm(speed=2.0)])
    assert await bus_audio(service, voice) == over_http


async def test_a_voice_and_recordings_or_an_unknown_voice_are_refused_before_any_work(
    service: Front, key: dict[str, str]
) -> None:
    clips = await service.bus.message_count(f"OBJ_{topology.CLIPS}")
    await create(service, name="Annabelle")
    for path in ("/synthesize", "/stream", "/jobs"):
        status, code, detail = await refused(service, path, voice="Annabelle")
        assert (status, code) == (400, "bad_request")
        assert "voice and reference_audio" in detail
        status, code, detail = await refused(
            service, path, voice="Anabel", reference_audio=None, headers=key
        )
        assert (status, code) == (404, "unknown_voice")
        assert "Annabelle" in detail
    for voice in ("x" * 101, "a\x00b"):
        status, code, detail = await refused(service, voice=voice, reference_audio=None)
        assert (status, code) == (400, "bad_request")
        assert "voice must be" in detail
    assert not await service.bus.message_count(topology.REQUESTS)
    assert await service.bus.message_count(f"OBJ_{topology.CLIPS}") == clips


async def test_a_job_shows_its_voice_and_a_resumed_response_has_it(service: Front) -> None:
    _, made = await create(service)
    data = form(voice="Anna", reference_audio=None)
    status, job = await send(service, "POST", "/jobs", data=data)
    assert (status, job["voice"]) == (202, f"{made['id']}@1")
    _, shown = await send(service, "GET", f"/jobs/{job['id']}", edge=1)
    assert shown["voice"] == f"{made['id']}@1"
    async with await service.post("/jobs") as response:
        assert "voice" not in await response.json(), "it has recordings"

    await speak(service, "/stream", voice="Anna", headers={"Request-Name": "named-one"})
    async with await service.get("/requests/named-one/audio?from=100", edge=1) as response:
        assert response.status == 200
        assert response.headers["X-Voice"] == f"{made['id']}@1"
        assert digest([await response.read()]) == digest([expected_pcm()[56:]])


async def test_a_retry_joins_the_first_request_whatever_the_name_leads_to_by_then(
    service: Front, key: dict[str, str]
) -> None:
    _, first = await create(service)
    before = await speak(service, voice="Anna", headers=key)
    await send(service, "DELETE", "/voices/Anna")
    assert await speak(service, voice="Anna", headers=key, edge=1) == before
    await create(service, files=(OTHER_VOICE,))
    assert await speak(service, voice="Anna", headers=key) == before
    assert before[0] == f"{first['id']}@1"
    status, code, _ = await refused(service, voice="high", reference_audio=None, headers=key)
    assert (status, code) == (422, "idempotency_key_reused")


async def test_a_deleted_or_replaced_voice_is_never_spoken_by_another(service: Front) -> None:
    _, first = await create(service)
    await speak(service, voice="Anna")
    data = voice_form((OTHER_VOICE,), name=None)
    assert (await send(service, "PUT", "/voices/Anna/clips", data=data))[0] == 200
    assert (await speak(service, voice="Anna", edge=1))[0] == f"{first['id']}@2"
    old = f"{first['id']}@1"
    status, code, _ = await refused(service, voice=old, reference_audio=None)
    assert (status, code) == (404, "unknown_voice")

    await send(service, "DELETE", "/voices/Anna")
    _, second = await create(service)
    for gone in (first["id"], f"{first['id']}@2"):
        status, code, _ = await refused(service, voice=gone, reference_audio=None)
        assert (status, code) == (404, "unknown_voice")
    assert (await speak(service, voice="Anna"))[0] == f"{second['id']}@1"


async def preview(
    service: Front, voice: str, query: str = "", *, edge: int = 0
) -> tuple[int, str, bytes]:
    async with await service.get(f"/voices/{voice}/preview{query}", edge=edge) as response:
        return response.status, response.headers["Content-Type"], await response.read()


async def test_there_is_a_sentence_for_the_preview_of_every_language() -> None:
    assert SENTENCES.keys() == LANGUAGES.keys()
    assert all(len(text) < 40 for text in SENTENCES.values())


async def test_a_preview_is_synthesized_once_and_again_when_the_voice_changes(
    service: Front,
) -> None:
    before = await service.spoken()
    kept = await service.bus.count_by_subject(f"KV_{topology.VOICES}", ">")
    await create(service, language="en")
    answers = await asyncio.gather(*(preview(service, "Anna") for _ in range(5)))
    assert set(answers) == {answers[0]}
    status, kind, wav = answers[0]
    assert (status, kind, wav[:4]) == (200, "audio/wav", b"RIFF")
    assert pcm_of(wav) == expected_pcm(SENTENCES["en"], seed=0, max_characters=60)
    assert await service.spoken() == before + 1
    assert await preview(service, "Anna", edge=1) == answers[0]
    assert await service.spoken() == before + 1, "it was stored"

    assert (await preview(service, "Anna", "?language=fr"))[2] != wav
    assert await service.spoken() == before + 2
    await send(service, "PATCH", "/voices/Anna", json={"parameters": {"speed": 2.0}})
    fast = await preview(service, "Anna")
    assert len(fast[2]) < len(wav)
    data = voice_form((OTHER_VOICE,), name=None)
    await send(service, "PUT", "/voices/Anna/clips", data=data)
    assert await preview(service, "Anna") == fast, "tones do not depend on the voice"
    assert await service.spoken() == before + 4

    await send(service, "DELETE", "/voices/Anna")
    assert (await preview(service, "Anna"))[0] == 404
    assert await service.bus.count_by_subject(f"KV_{topology.VOICES}", ">") == kept


async def test_built_in_voices_are_listed_and_have_previews(service: Front) -> None:
    before = await service.spoken()
    _, listed = await send(service, "GET", "/voices?kind=builtin")
    assert [voice["id"] for voice in listed["voices"]] == ["builtin:low", "builtin:high"]
    assert listed["voices"][0] == (await send(service, "GET", "/voices/low"))[1]
    assert (await send(service, "GET", "/voices/builtin%3Alow"))[0] == 200
    assert await preview(service, "low", "?language=en") == await preview(
        service, "low", "?language=en", edge=1
    )
    assert await service.spoken() == before + 1
    for query in ("?language=xx", "?lang=en"):
        status, _, content = await preview(service, "low", query)
        assert (status, json.loads(content)["code"]) == (400, "bad_request")
    assert CONSENT["speaker"] not in json.dumps(listed)


@pytest.mark.parametrize("shared", [0.5], indirect=True)
async def test_a_voice_deleted_while_a_request_runs_ends_it(service: Front) -> None:
    await create(service)
    async with await service.post(
        "/stream", voice="Anna", reference_audio=None, text=LONG, seed="42"
    ) as response:
        assert response.status == 200
        begun = await response.content.readexactly(10_044)
        assert (await send(service, "DELETE", "/voices/Anna"))[0] == 204
        await create(service, files=(OTHER_VOICE,))
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.content.read()
    assert pcm_of(begun) == expected_pcm(LONG)[:10_000]
    async with asyncio.timeout(60):
        await service.until_idle()
