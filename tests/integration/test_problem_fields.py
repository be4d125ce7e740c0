"""The member `field` of a problem: what a program has to change, at a real edge."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
import pytest_asyncio

from tests.support.front import SETTINGS, VOICE, Front, front

SHORT = msgspec.structs.replace(SETTINGS, max_text_characters=200, max_job_characters=400)
JSON = {"Content-Type": "application/json"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Front]:
    async with front(tmp_path_factory.mktemp("nats"), settings=SHORT) as made:
        yield made


async def problem(response: aiohttp.ClientResponse) -> dict[str, Any]:
    async with response:
        found: dict[str, Any] = await response.json(content_type="application/problem+json")
        return found


@pytest.mark.asyncio(loop_scope="module")
class TestFieldsOfProblems:
    @pytest.mark.parametrize(
        ("fields", "code", "field"),
        [
            ({"text": None}, "bad_request", "text"),
            ({"text": "  "}, "empty_text", "text"),
            ({"text": "a" * 300}, "text_too_long", "text"),
            ({"text": "a" * 3_000}, "text_too_long", "text"),
            ({"text": "<speak>", "text_type": "ssml"}, "malformed_ssml", "text"),
            ({"text": "Hi", "text_type": "html"}, "bad_request", "text_type"),
            ({"language": "xx"}, "unsupported_language", "language"),
            ({"language": "l" * 100}, "bad_request", "language"),
            ({"voice": "Anna"}, "bad_request", "reference_audio"),
            ({"voice": "Nobody", "reference_audio": None}, "unknown_voice", "voice"),
            ({"voice": "v" * 200, "reference_audio": None}, "bad_request", "voice"),
            ({"reference_audio": b"no audio"}, "unusable_reference", "reference_audio"),
            ({"reference_audio": b""}, "bad_request", "reference_audio"),
            ({"spoken_forms": "perhaps"}, "bad_request", "spoken_forms"),
            ({"enable_text_splitting": "2"}, "bad_request", "enable_text_splitting"),
            ({"pronunciations": "[1]"}, "bad_request", "pronunciations"),
            ({"seed": "-1"}, "bad_request", "seed"),
            ({"speed": "fast"}, "bad_request", "speed"),
            ({"speed": "99"}, "bad_request", "speed"),
            ({"temperature": "0.5"}, "unsupported_parameter", "temperature"),
            ({"response_format": "mid"}, "bad_request", "response_format"),
            ({"sample_rate": "11"}, "bad_request", "sample_rate"),
            ({"emotion": "sad"}, "bad_request", "emotion"),
        ],
    )
    async def test_a_form_with_one_fault_names_its_field(
        self, service: Front, fields: dict[str, str | bytes | None], code: str, field: str
    ) -> None:
        for path in ("/synthesize", "/stream"):
            found = await problem(await service.post(path, **fields))
            assert (found["code"], found["field"]) == (code, field), found["detail"]

    @pytest.mark.parametrize(
        ("fields", "field"),
        [
            ({"text": "Hi", "text_file": b"Hi"}, "text_file"),
            ({"text": None, "text_file": b"\xff\xfe"}, "text_file"),
            ({"text": None, "text_file": b"a" * 500}, "text_file"),
            ({"language": "xx"}, "language"),
        ],
    )
    async def test_a_job_names_its_field(
        self, service: Front, fields: dict[str, str | bytes | None], field: str
    ) -> None:
        assert (await problem(await service.post("/jobs", **fields)))["field"] == field

    @pytest.mark.parametrize(
        ("headers", "field"),
        [
            ({"Request-Name": "a b"}, "Request-Name"),
            ({"Idempotency-Key": ""}, "Idempotency-Key"),
        ],
    )
    async def test_a_header_is_named(
        self, service: Front, headers: dict[str, str], field: str
    ) -> None:
        found = await problem(await service.post("/synthesize", headers=headers))
        assert (found["status"], found["field"]) == (400, field)

    async def test_a_body_without_a_form_names_its_content_type(self, service: Front) -> None:
        for content_type in ("application/json", "multipart/form-data"):
            headers = {"Content-Type": content_type}
            for path in ("/synthesize", "/stream", "/jobs", "/normalize", "/voices"):
                url = f"{service.addresses[0]}{path}"
                response = await service.session.post(url, data=b"{}", headers=headers)
                assert (await problem(response))["field"] == "Content-Type", path

    @pytest.mark.parametrize(
        ("path", "field"),
        [
            ("/voices?limit=0", "limit"),
            ("/voices?after=x", "after"),
            ("/voices?kind=any", "kind"),
            ("/voices?language=xx", "language"),
            (f"/voices?q={'q' * 100}", "q"),
            ("/voices?limits=1", "limits"),
            ("/voices?limit=1&limit=2", "limit"),
            (f"/voices/{'v' * 200}", "voice"),
            ("/voices/nobody", "voice"),
            ("/jobs/short", "id"),
            ("/requests/short/audio", "id"),
            ("/requests/some-name/audio?from=x", "from"),
            ("/requests/some-name/audio?from=1&response_format=mp3", "from"),
            ("/requests/some-name/audio?response_format=mid", "response_format"),
            ("/requests/some-name/sentences?from=-1", "from"),
        ],
    )
    async def test_a_path_and_its_query_name_their_part(
        self, service: Front, path: str, field: str
    ) -> None:
        assert (await problem(await service.get(path)))["field"] == field

    @pytest.mark.parametrize(
        ("fields", "field"),
        [
            ({"name": None}, "name"),
            ({"name": "a/b"}, "name"),
            ({"name": "uploads"}, "name"),
            ({"language": "xx"}, "language"),
            ({"description": "d" * 600}, "description"),
            ({"consent": "{}"}, "consent"),
            ({"consent": None}, "consent"),
            ({"parameters": '{"speed": 99}'}, "parameters"),
            ({"reference_audio": None}, "reference_audio"),
            ({"reference_audio": b"no audio"}, "reference_audio"),
        ],
    )
    async def test_a_voice_names_its_field(
        self, service: Front, fields: dict[str, str | bytes | None], field: str
    ) -> None:
        consent = {"speaker": "A", "statement": "yes", "date": "2026-01-31", "method": "written"}
        usual = {"name": "Anna", "consent": json.dumps(consent), "text": None, "seed": None}
        response = await service.post("/voices", **(usual | fields))
        assert (await problem(response))["field"] == field

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ('{"path": "/voices"}', "path"),
            ("{}", "path"),
            ('{"path": 1}', "path"),
            ('{"path": "/jobs/some-name/audio", "expires_in": 0}', "expires_in"),
            ("[]", None),
        ],
    )
    async def test_a_signed_url_names_its_field(
        self, service: Front, body: str, field: str | None
    ) -> None:
        url = f"{service.addresses[0]}/signed-urls"
        found = await problem(await service.session.post(url, data=body, headers=JSON))
        assert (found["status"], found.get("field")) == (400, field)

    async def test_a_problem_that_no_field_causes_has_none(self, service: Front) -> None:
        for path in ("/nothing", "/synthesize"):
            assert "field" not in await problem(await service.get(path))

    async def test_the_document_lists_the_member_as_optional(self, service: Front) -> None:
        async with await service.get("/openapi.json") as response:
            schema = (await response.json())["components"]["schemas"]["Problem"]
        assert schema["properties"]["field"]["type"] == "string"
        assert "field" not in schema["required"]

    async def test_openai_clients_get_the_same_field_as_param(self, service: Front) -> None:
        for change, param in (
            ({"input": None}, "input"),
            ({"input": " "}, "input"),
            ({"speed": 99}, "speed"),
            ({"temperature": 0.5}, "temperature"),
            ({"voice": "Nobody"}, "voice"),
            ({"model": "no-such"}, "model"),
        ):
            body = {"input": "Hello.", "voice": "low", **change}
            url = f"{service.addresses[0]}/v1/audio/speech"
            async with service.session.post(url, json=body) as response:
                assert (await response.json())["error"]["param"] == param


async def test_a_reference_that_another_service_refuses_names_its_field(tmp_path: Path) -> None:
    async with front(tmp_path) as service:
        text = "\u2603"  # has nothing to speak, which only the splitter finds
        found = await problem(await service.post("/synthesize", text=text, reference_audio=VOICE))
        assert found["code"] in ("empty_text", "unspeakable_text")
        assert found["field"] == "text"
