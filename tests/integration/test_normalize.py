"""A text is shown as it would be spoken; unspeakable parts are left out and reported; language
codes are normalized."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp.test_utils import TestServer

from services.common.bus.inbox import open_inbox
from services.common.wire import codec, subjects
from services.common.wire.messages import (
    NormalizeText,
    SpeechFailed,
    SpeechRequest,
    TextNormalized,
    TextSplit,
)
from services.http_edge.app import edge
from services.http_edge.speech.commands import publish_request
from tests.support.buses import bus_of
from tests.support.decoders import CachedDecoder
from tests.support.front import SETTINGS, Front, front
from tests.support.service import TEXT, sentence_count, speech_request, stored_clip

pytestmark = pytest.mark.asyncio(loop_scope="module")

THAI = "Hello there, my friend. สวัสดีครับ ไทย! Good bye."
SPANS = [{"start": 24, "end": 38}]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Front]:
    async with front(tmp_path_factory.mktemp("nats")) as made:
        yield made


async def normalized(service: Front, status: int = 200, **fields: str) -> dict[str, Any]:
    form = aiohttp.FormData()
    for name, value in fields.items():
        form.add_field(name, value, content_type="text/plain")
    async with service.session.post(f"{service.addresses[0]}/normalize", data=form) as response:
        answer: dict[str, Any] = await response.json(content_type=None)
        assert response.status == status, answer
        return answer


async def test_the_sentences_shown_are_those_that_are_spoken(service: Front) -> None:
    shown = await normalized(service, text=f"{TEXT} It cost $5.", language="en")
    assert len(shown["sentences"]) == sentence_count(f"{TEXT} It cost $5.")
    assert shown["sentences"][-1]["text"].endswith("It cost five dollars.")
    name = secrets.token_hex(16)
    async with await service.post(
        "/synthesize", text=f"{TEXT} It cost $5.", headers={"Request-Name": name}
    ) as response:
        await response.read()
        assert "X-Text-Left-Out" not in response.headers
    async with await service.get(f"/requests/{name}/sentences") as response:
        spoken = await response.json()
    places = [(sentence["start"], sentence["end"]) for sentence in spoken["sentences"]]
    assert [(sentence["start"], sentence["end"]) for sentence in shown["sentences"]] == places
    assert "left_out" not in spoken
    assert shown["left_out"] == []


async def test_every_field_of_the_text_counts(service: Front) -> None:
    assert (await normalized(service, text="5 km"))["sentences"][0]["text"] == "Cinq kilomètres"
    plain = await normalized(
        service, text="5 SQL", spoken_forms="false", pronunciations='{"SQL": "sequel"}'
    )
    assert plain["sentences"][0]["text"] == "5 sequel"
    ssml = '<speak>One <lang xml:lang="fr-FR">deux 2</lang></speak>'
    shown = await normalized(service, text=ssml, text_type="ssml", language="en_US")
    assert [(one["text"], one["language"]) for one in shown["sentences"]] == [
        ("One", "en"),
        ("deux deux", "fr"),
    ]
    assert (shown["language"], shown["languages"]) == ("en", ["en", "fr"])


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"text": " "}, 422, "empty_text"),
        ({"text": "…"}, 422, "empty_text"),
        ({"text": "สวัสดี", "language": "en"}, 422, "unspeakable_text"),
        ({"text": "a", "language": "sv"}, 422, "unsupported_language"),
        ({"text": "a" * 20_001}, 413, "text_too_long"),
        ({"text": "a", "seed": "1"}, 400, "bad_request"),
        ({"text": "<speak>", "text_type": "ssml"}, 400, "malformed_ssml"),
    ],
)
async def test_what_cannot_be_shown_is_refused(
    service: Front, fields: dict[str, str], status: int, code: str
) -> None:
    problem = await normalized(service, status, **fields)
    assert problem["code"] == code
    assert "สวัสดี" not in problem["detail"]


async def test_another_body_than_a_form_is_refused(service: Front) -> None:
    async with service.session.post(
        f"{service.addresses[0]}/normalize", json={"text": "a"}
    ) as response:
        assert response.status == 400
        assert "text and language" in (await response.json(content_type=None))["detail"]


@pytest.mark.parametrize("path", ["/synthesize", "/stream"])
async def test_what_is_left_out_is_reported_in_a_header_and_among_the_sentences(
    service: Front, path: str
) -> None:
    name = secrets.token_hex(16)
    headers = {"Request-Name": name, "Origin": "http://pages"}
    async with await service.post(path, text=THAI, headers=headers) as response:
        await response.read()
        assert response.status == 200
        assert response.headers["X-Text-Left-Out"] == '14;spans="24-38"'
    async with await service.get(f"/requests/{name}/sentences") as response:
        assert (await response.json())["left_out"] == SPANS
    async with await service.get(f"/requests/{name}/audio?from=0") as response:
        assert response.status == 200
    assert (await normalized(service, text=THAI, language="en"))["left_out"] == SPANS


async def test_a_retry_that_joins_a_finished_request_gets_the_report_as_well(
    service: Front,
) -> None:
    for _ in range(2):
        async with await service.post(
            "/synthesize", text=THAI, headers={"Idempotency-Key": "k"}
        ) as response:
            await response.read()
            assert response.headers["X-Text-Left-Out"] == '14;spans="24-38"'


async def test_a_job_reports_what_it_left_out(service: Front) -> None:
    async with await service.post("/jobs", text=THAI) as response:
        job = (await response.json())["id"]
    async with await service.get(f"/jobs/{job}/audio") as response:
        await response.read()
    async with await service.get(f"/requests/{job}/sentences") as response:
        assert (await response.json())["left_out"] == SPANS


@pytest.mark.parametrize("path", ["/synthesize", "/stream"])
async def test_a_text_of_which_nothing_can_be_spoken_is_refused(service: Front, path: str) -> None:
    async with await service.post(path, text="שלום עולם") as response:
        problem = await response.json(content_type=None)
        assert (response.status, problem["code"]) == (422, "unspeakable_text")
        assert problem["detail"].startswith(
            "the text is written in Hebrew, which the voices of language=en cannot"
        )


@pytest.mark.parametrize(("written", "code"), [("fr-FR", "fr"), ("EN_us", "en"), ("fra", "fr")])
async def test_a_language_is_understood_as_it_is_written_and_reported_by_its_code(
    service: Front, written: str, code: str
) -> None:
    async with await service.post("/synthesize", text="Bonjour 5", language=written) as response:
        await response.read()
        assert response.status == 200
        assert response.headers["X-Language"] == code


async def test_an_unknown_language_is_refused_by_the_name_of_its_field(service: Front) -> None:
    async with await service.post("/synthesize", language="sv-SE") as response:
        problem = await response.json(content_type=None)
        assert (response.status, problem["code"]) == (422, "unsupported_language")
        assert problem["detail"].startswith("language is unknown; send one of auto fr en es")


async def events(service: Front, request: SpeechRequest) -> TextSplit | SpeechFailed:
    """Publish a request on the bus and return how its text was divided, or why not."""
    async with open_inbox(service.bus, request.tenant, request.request) as inbox:
        await publish_request(service.bus, request)
        async with asyncio.timeout(60):
            while not isinstance(event := await inbox.next(5), TextSplit | SpeechFailed):
                pass
    return event


def on_the_bus(clip: str, **changes: object) -> SpeechRequest:
    content = codec.encode(speech_request(clip))
    return SpeechRequest(**{**_fields(codec.decode(content, SpeechRequest)), **changes})


def _fields(request: SpeechRequest) -> dict[str, Any]:
    return {name: getattr(request, name) for name in request.__struct_fields__}


async def test_the_bus_understands_a_language_as_it_is_written_and_reports_its_code(
    service: Front,
) -> None:
    request = on_the_bus(await stored_clip(service.bus), language="fr-FR", text="Il a 5 ans.")
    split = await events(service, request)
    assert isinstance(split, TextSplit)
    assert split.languages == ("fr",)


async def test_the_bus_refuses_an_unknown_language_by_its_field(service: Front) -> None:
    failed = await events(service, on_the_bus(await stored_clip(service.bus), language="sv-SE"))
    assert isinstance(failed, SpeechFailed)
    assert (failed.code, failed.detail.split(";")[0]) == (
        "unsupported_language",
        "language is not a supported language",
    )


async def test_a_question_on_the_bus_is_answered_and_a_wrong_one_refused(service: Front) -> None:
    question = NormalizeText(
        request=secrets.token_hex(8),
        tenant="public",
        engine="tone",
        language="de",
        text="Es ist 5 Uhr.",
    )
    payload = await service.bus.request(
        subjects.normalize("public"), codec.encode(question), timeout_s=5
    )
    answer = codec.decode(payload or b"", TextNormalized)
    assert [sentence.text for sentence in answer.sentences] == ["Es ist fünf Uhr."]
    payload = await service.bus.request(
        subjects.normalize("other"), codec.encode(question), timeout_s=5
    )
    assert codec.decode(payload or b"", SpeechFailed).code == "malformed_message"
    assert await service.bus.request(subjects.normalize("public"), b"\xc1", timeout_s=0.5) is None


async def test_without_a_splitter_the_edge_reports_that(tmp_path: Path) -> None:
    async with bus_of("nats", tmp_path) as bus, CachedDecoder() as decoder:
        async with edge(bus, decoder, SETTINGS, asyncio.Event()) as app, TestServer(app) as server:
            form = aiohttp.FormData()
            form.add_field("text", "Bonjour", content_type="text/plain")
            async with (
                aiohttp.ClientSession() as session,
                session.post(server.make_url("/normalize"), data=form) as got,
            ):
                problem = await got.json(content_type=None)
                assert (got.status, problem["code"], problem["retryable"]) == (
                    503,
                    "splitter_unavailable",
                    True,
                )
