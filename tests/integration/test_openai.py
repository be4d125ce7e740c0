"""OpenAI's clients, unmodified, against `/v1`. On a real nats-server, with tone workers."""

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import av
import openai
import pytest
import pytest_asyncio

from services.http_edge.encoders.registry import FORMATS
from services.http_edge.intake.openai.openai_body import ALIASES
from services.http_edge.intake.openai.openai_voices import OPENAI_VOICES
from tests.integration.test_voices import create, send
from tests.support.front import SETTINGS, Front
from tests.support.other_engine import other_worker
from tests.support.service import TEXT, expected_pcm
from tests.support.wav import pcm_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

EXTRA = {"language": "en", "seed": 42}


@pytest_asyncio.fixture(loop_scope="module")
async def client(service: Front) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        api_key="unused", base_url=f"{service.addresses[0]}/v1", max_retries=0
    ) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def anna(service: Front) -> AsyncIterator[str]:
    """The id of a stored voice named Anna, which is deleted after the test."""
    async with stored_voice(service, "Anna") as voice:
        yield voice


@asynccontextmanager
async def stored_voice(service: Front, name: str) -> AsyncIterator[str]:
    _, made = await create(service, name=name)
    yield made["id"]
    await send(service, "DELETE", f"/voices/{made['id']}")


async def post(service: Front, body: Any, path: str = "/v1/audio/speech") -> tuple[int, Any]:
    """Return the status and the JSON of the answer to a body, which is sent as it is if it is bytes."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    async with service.session.post(
        service.addresses[0] + path, data=data, headers=headers
    ) as response:
        return response.status, json.loads(await response.read())


async def test_the_async_client_gets_the_expected_samples(client: openai.AsyncOpenAI) -> None:
    speech = await client.audio.speech.create(
        model="tts-1", voice="alloy", input=TEXT, response_format="pcm", extra_body=EXTRA
    )
    assert speech.content == expected_pcm()
    assert speech.response.headers["Content-Type"] == "audio/pcm"


async def test_word_times_come_in_one_json_object_with_the_audio(service: Front) -> None:
    text = "In 1997, Dr. Lee came. Then he sat down at once."
    body = {"input": text, "voice": "alloy", "stream_format": "json", "timestamps": "word"} | EXTRA
    status, answer = await post(service, body | {"response_format": "pcm"})
    pcm = base64.b64decode(answer["audio"])
    assert (status, pcm) == (200, expected_pcm(text))
    assert (answer["response_format"], answer["sample_rate"]) == ("pcm", 24_000)
    assert answer["duration"] == pytest.approx(len(pcm) / 48_000, abs=1e-4)
    assert [word["word"] for word in answer["words"]] == text.split()
    assert " ".join(sentence["text"] for sentence in answer["sentences"]) == text
    assert answer["sentences"][-1]["end"] == answer["duration"]
    assert answer["times"] == "estimated"
    times = [time for word in answer["words"] for time in (word["start"], word["end"])]
    assert times == sorted(times)
    second = answer["sentences"][1]["start"]
    assert answer["words"][text.split().index("Then")]["start"] == second

    del body["timestamps"]
    _, plain = await post(service, body)
    assert "words" not in plain
    with av.open(io.BytesIO(base64.b64decode(plain["audio"]))) as container:
        assert container.streams.audio[0].codec_context.name.startswith("mp3")


async def test_word_times_of_each_sentence_follow_its_audio_in_events(service: Front) -> None:
    body = {"input": TEXT, "stream_format": "sse", "timestamps": "word", "response_format": "pcm"}
    async with service.session.post(
        f"{service.addresses[0]}/v1/audio/speech", json=body | EXTRA
    ) as response:
        lines = (await response.read()).decode().split("\n\n")
    events = [json.loads(line.removeprefix("data: ")) for line in lines if line]
    heard_s = 0.0
    words: list[str] = []
    for event in events:
        if event["type"] == "speech.audio.delta":
            heard_s += len(base64.b64decode(event["audio"])) / 48_000
        if event["type"] == "speech.audio.timestamps":
            assert event["end"] <= heard_s + 1e-4
            words += [word["word"] for word in event["words"]]
    assert words == TEXT.split()
    assert events[-1]["type"] == "speech.audio.done"


@pytest.mark.parametrize(
    ("field", "value", "status"),
    [
        ("timestamps", "word", 400),
        ("timestamps", "letter", 400),
        ("stream_format", "xml", 400),
        ("stream_format", "json", 413),
    ],
)
async def test_times_that_cannot_be_sent_are_refused(
    service: Front, field: str, value: str, status: int
) -> None:
    text = "Hello. " * 1_000 if status == 413 else "Hello."
    found, answer = await post(service, {"input": text, field: value} | EXTRA)
    assert found == status
    assert answer["error"]["param"] == ("input" if status == 413 else field)


async def test_the_sync_client_gets_the_expected_samples(service: Front) -> None:
    def speak() -> bytes:
        with openai.OpenAI(
            api_key="unused", base_url=f"{service.addresses[0]}/v1", max_retries=0
        ) as client:
            return client.audio.speech.create(
                model="tts-1-hd", voice="nova", input=TEXT, response_format="wav", extra_body=EXTRA
            ).content

    wav = await asyncio.to_thread(speak)
    assert pcm_of(wav) == expected_pcm()


async def test_the_client_streams_the_response(client: openai.AsyncOpenAI) -> None:
    async with client.audio.speech.with_streaming_response.create(
        model="gpt-4o-mini-tts",
        voice="coral",
        input=TEXT,
        instructions="Speak cheerfully.",
        response_format="pcm",
        extra_body=EXTRA,
    ) as speech:
        received = b"".join([block async for block in speech.iter_bytes()])
    assert received == expected_pcm()


async def test_events_contain_the_whole_audio_and_end_with_the_usage(
    client: openai.AsyncOpenAI,
) -> None:
    async with client.audio.speech.with_streaming_response.create(
        model="gpt-4o-mini-tts",
        voice="coral",
        input=TEXT,
        response_format="pcm",
        stream_format="sse",
        extra_body=EXTRA,
    ) as speech:
        assert speech.headers["Content-Type"].startswith("text/event-stream")
        lines = [line async for line in speech.iter_lines() if line]
    events = [json.loads(line.removeprefix("data: ")) for line in lines]
    deltas, done = events[:-1], events[-1]
    assert {event["type"] for event in deltas} == {"speech.audio.delta"}
    assert b"".join(base64.b64decode(event["audio"]) for event in deltas) == expected_pcm()
    assert done["type"] == "speech.audio.done"
    usage = done["usage"]
    assert usage["input_tokens"] == len(TEXT)
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


async def test_mp3_is_the_default_and_every_format_can_be_decoded(
    client: openai.AsyncOpenAI,
) -> None:
    types: dict[str, str] = {}
    for name in (None, "mp3", "opus", "aac", "flac", "wav"):
        chosen = {} if name is None else {"response_format": name}
        speech = await client.audio.speech.create(
            model="tts-1", voice="alloy", input=TEXT, extra_body=EXTRA, **chosen
        )
        types[str(name)] = speech.response.headers["Content-Type"]
        with av.open(io.BytesIO(speech.content)) as container:
            seconds = sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))
        assert seconds == pytest.approx(len(expected_pcm()) / 48_000, abs=0.15)
    assert types.pop("None") == types["mp3"] == "audio/mpeg"
    assert types == {name: FORMATS[name].media_types[0] for name in types}


async def test_a_stored_voice_is_used_by_name_and_by_id(
    client: openai.AsyncOpenAI, anna: str
) -> None:
    for voice in ("Anna", anna, {"id": anna}):
        speech = await client.audio.speech.create(
            model="tts-1", voice=voice, input=TEXT, response_format="pcm", extra_body=EXTRA
        )
        assert speech.response.headers["X-Voice"] == f"{anna}@1"


async def test_a_stored_voice_with_the_name_of_one_of_openai_replaces_its_stand_in(
    service: Front, client: openai.AsyncOpenAI
) -> None:
    async def voice_of(name: str) -> str:
        speech = await client.audio.speech.create(
            model="tts-1", voice=name, input=TEXT, response_format="pcm"
        )
        return speech.response.headers["X-Voice"]

    for name in OPENAI_VOICES:
        assert (await voice_of(name)).startswith("builtin:")
    async with stored_voice(service, "Alloy") as alloy:
        assert await voice_of("alloy") == f"{alloy}@1"


async def test_null_and_unknown_fields_are_ignored(service: Front) -> None:
    body = {
        "model": "tts-1",
        "input": "Hello.",
        "voice": None,
        "speed": None,
        "instructions": "x",
        "lang_code": "a",
        "volume_multiplier": 1.0,
        "stream": True,
        "normalization_options": {"normalize": True},
    }
    async with service.session.post(
        f"{service.addresses[0]}/v1/audio/speech", json=body
    ) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "audio/mpeg"


async def test_a_short_text_whose_language_cannot_be_detected_is_spoken(service: Front) -> None:
    async with service.session.post(
        f"{service.addresses[0]}/v1/audio/speech", json={"model": "tts-1", "input": "Ok."}
    ) as response:
        assert response.status == 200
        assert response.headers["X-Language"]


INVALID = [
    ({"model": "gpt-5"}, 404, "model", "model_not_found"),
    ({"voice": "zzqqxx"}, 404, "voice", "unknown_voice"),
    ({"voice": 7}, 400, "voice", "bad_request"),
    ({"voice": {"name": "x"}}, 400, "voice", "bad_request"),
    ({"input": None}, 400, "input", "bad_request"),
    ({"input": "  "}, 422, "input", "empty_text"),
    ({"input": ["a"]}, 400, "input", "bad_request"),
    (
        {"input": "x" * (SETTINGS.max_text_characters + 1)},
        413,
        "input",
        "text_too_long",
    ),
    ({"response_format": "ogg"}, 400, "response_format", "bad_request"),
    ({"speed": 9}, 400, "speed", "bad_request"),
    ({"speed": "fast"}, 400, "speed", "bad_request"),
    ({"stream_format": "xml"}, 400, "stream_format", "bad_request"),
    ({"language": "klingon"}, 422, "language", "unsupported_language"),
    ({"seed": -1}, 400, "seed", "bad_request"),
    ({"sample_rate": 11_025}, 400, "sample_rate", "bad_request"),
]


async def test_an_invalid_field_is_refused_by_its_name(service: Front) -> None:
    usual = {"model": "tts-1", "input": "Hello.", "voice": "alloy"}
    for change, status, param, code in INVALID:
        found, body = await post(service, usual | change)
        error = body["error"]
        assert (found, error["param"], error["code"]) == (status, param, code), error
        assert param in error["message"] or code == "unknown_voice"
        assert error["type"].endswith("_error")


async def test_a_body_that_is_no_json_object_is_refused(service: Front) -> None:
    for body in (b"", b"[]", b"{", b"\xff\xfe", b'"text"', b"{" * 10_000):
        status, answer = await post(service, body)
        assert (status, answer["error"]["type"]) == (400, "invalid_request_error"), body[:10]


async def test_the_client_raises_its_own_errors(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        await client.audio.speech.create(model="tts-1", voice="zzqqxx", input="Hello.")
    assert refused.value.code == "unknown_voice"
    assert refused.value.param == "voice"
    with pytest.raises(openai.BadRequestError):
        await client.audio.speech.create(model="tts-1", voice="alloy", input="Hi.", speed=100)


async def test_models_and_voices_are_listed(
    service: Front, client: openai.AsyncOpenAI, anna: str
) -> None:
    assert [model.id async for model in client.models.list()] == ["tone", *ALIASES]
    assert (await client.models.retrieve("tts-1")).id == "tts-1"
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("gpt-5")
    async with await service.get("/v1/audio/voices") as response:
        voices = (await response.json())["voices"]
    named = {voice["name"]: voice["id"] for voice in voices}
    assert named["Anna"] == anna
    assert {"low", "high", *OPENAI_VOICES} <= named.keys()
    assert len(named) == len(voices)


@pytest.mark.parametrize("service", [3.0], indirect=True)
async def test_a_client_that_leaves_cancels_its_request(
    service: Front, client: openai.AsyncOpenAI
) -> None:
    async with client.audio.speech.with_streaming_response.create(
        model="tts-1", voice="alloy", input=TEXT * 20, response_format="pcm"
    ) as speech:
        async for _ in speech.iter_bytes(1000):
            break
    await service.until_idle()


async def until_models(service: Front, *others: str) -> None:
    """Wait until these engines are listed besides the edge's own."""
    async with asyncio.timeout(60):
        while True:
            async with await service.get("/v1/models") as response:
                listed = [model["id"] for model in (await response.json())["data"]]
            if listed == ["tone", *others, *ALIASES]:
                return
            await asyncio.sleep(0.1)


async def test_the_name_of_another_engine_that_runs_routes_to_it(service: Front) -> None:
    body = {"input": TEXT, "voice": "alloy", "response_format": "pcm"} | EXTRA
    status, answer = await post(service, body | {"model": "other"})
    assert (status, answer["error"]["code"]) == (404, "model_not_found")

    async with other_worker(service.bus):
        await until_models(service, "other")
        for model, engine in (("other", "other"), ("tone", "tone"), ("tts-1", "tone")):
            headers = {"Content-Type": "application/json"}
            async with service.session.post(
                f"{service.addresses[0]}/v1/audio/speech",
                data=json.dumps(body | {"model": model}).encode(),
                headers=headers,
            ) as response:
                assert response.headers["X-Engine"] == engine
                assert await response.read() == expected_pcm()
        async with await service.get("/v1/models/other") as response:
            assert (await response.json())["id"] == "other"

    await until_models(service)
    status, answer = await post(service, body | {"model": "other"})
    assert (status, answer["error"]["param"]) == (404, "model")
