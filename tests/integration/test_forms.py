"""Spellings of the same form: empty fields, switches, and parameters in the wrong place."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from tests.support.front import VOICE, Front, form, front
from tests.support.service import digest, expected_pcm
from tests.support.wav import pcm_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

BOUNDARY = "form-boundary"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Front]:
    async with front(tmp_path_factory.mktemp("nats")) as made:
        yield made


async def problem(response: aiohttp.ClientResponse) -> tuple[int, str, str]:
    """Return status, code and detail of a refusal."""
    async with response:
        content = await response.json(content_type="application/problem+json")
        return response.status, content["code"], content["detail"]


def raw_form(*parts: tuple[str, bytes]) -> tuple[bytes, dict[str, str]]:
    """Return a body of parts with these Content-Dispositions, and its headers."""
    body = b"".join(
        f"--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode()
        + content
        + b"\r\n"
        for disposition, content in parts
    )
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    return body + f"--{BOUNDARY}--\r\n".encode(), headers


async def test_an_empty_field_counts_as_not_sent_everywhere(service: Front) -> None:
    empty = (
        "text_type", "language", "voice", "enable_text_splitting", "spoken_forms", "pronunciations",
        "seed", "temperature", "top_k", "top_p", "repetition_penalty", "length_penalty", "speed",
        "gpt_cond_len", "loudness_lufs",
    )  # fmt: skip
    for value in ("", " "):
        for path in ("/synthesize", "/stream"):
            async with await service.post(path, **dict.fromkeys(empty, value)) as response:
                assert (response.status, response.headers.get("X-Language")) == (200, "fr")
                await response.read()

        fields = {name: value for name in empty[:3] + empty[3:6] if name != "voice"}
        normalize = form(reference_audio=None, seed=None, **fields)
        async with service.session.post(
            f"{service.addresses[0]}/normalize", data=normalize
        ) as response:
            assert response.status == 200


async def test_a_switch_is_understood_as_forms_and_programs_write_it(service: Front) -> None:
    name = "enable_text_splitting"
    for value in ("true", "1", "on", "yes", "ON", " Yes ", "false", "0", "off", "no", "No"):
        async with await service.post("/synthesize", **{name: value}) as response:
            assert response.status == 200, value
            await response.read()
    for name in ("enable_text_splitting", "spoken_forms"):
        for value in ("perhaps", "2", "o n", "oui", "null"):
            refused = await problem(await service.post("/synthesize", **{name: value}))
            assert refused == (400, "bad_request", f"{name} must be true or false")


async def test_a_switch_that_is_off_leaves_the_text_as_it_is(service: Front) -> None:
    text = "One. Two."  # without numbers, as it is spoken
    async with await service.post("/synthesize", text=text, spoken_forms="off") as response:
        body = await response.read()
    assert digest([pcm_of(body)]) == digest([expected_pcm(text)])


async def test_a_file_that_was_not_selected_in_a_browser_counts_as_not_sent(service: Front) -> None:
    none = ('name="reference_audio"; filename=""', b"")
    chosen = ('name="reference_audio"; filename="a.wav"', VOICE)
    text = ('name="text"', b"Hello.")
    for parts in ((text, none, chosen), (text, chosen, none)):
        body, headers = raw_form(*parts)
        async with service.session.post(
            f"{service.addresses[0]}/synthesize", data=body, headers=headers
        ) as response:
            assert response.status == 200
            await response.read()

    body, headers = raw_form(text, ('name="reference_audio"; filename="a.wav"', b""))
    status, _, detail = await problem(
        await service.session.post(f"{service.addresses[0]}/synthesize", data=body, headers=headers)
    )
    assert status == 400
    assert "reference_audio is empty" in detail


async def test_a_job_takes_a_text_or_a_file_whichever_is_not_empty(service: Front) -> None:
    for fields in ({"text_file": b""}, {"text": "", "text_file": b"Hello."}):
        async with await service.post("/jobs", **fields) as response:
            assert response.status == 202
    both = await service.post("/jobs", text="Hello.", text_file=b"Hello.")
    assert (await problem(both))[0] == 400


async def test_a_form_in_the_query_is_refused_by_the_name_of_the_parameter(service: Front) -> None:
    queries = ("language=en&speed=99", "bogus=", "text=Hello.", "%0d%0a=1", "a%C3%A9=1")
    for path in ("/synthesize", "/stream", "/jobs", "/normalize", "/voices"):
        fields = {"reference_audio": None, "seed": None} if path == "/normalize" else {}
        for query in queries:
            refused = await problem(await service.post(f"{path}?{query}", **fields))
            status, code, detail = refused
            assert (status, code) == (400, "bad_request")
            assert detail.startswith("unknown query parameter")
            assert "fields of the form" in detail
            assert ("language, speed;" in detail) == query.startswith("language")
            assert detail.isascii()
            assert detail.isprintable()


async def test_a_path_that_does_not_have_the_method_names_those_that_it_has(service: Front) -> None:
    for method, path, allowed in (
        ("GET", "/synthesize", "POST"),
        ("PUT", "/stream", "POST"),
        ("OPTIONS", "/", "GET, HEAD"),
        ("POST", "/health", "GET, HEAD"),
        ("PATCH", "/jobs/abcdefgh", "DELETE, GET, HEAD"),
        ("POST", "/requests/abcdefgh/audio", "GET"),
    ):
        async with service.session.request(method, service.addresses[0] + path) as response:
            assert response.headers["Allow"] == allowed
        refused = await service.session.request(method, service.addresses[0] + path)
        status, code, detail = await problem(refused)
        assert (status, code) == (405, "method_not_allowed")
        assert detail.endswith(f"send {allowed.replace(', ', ' or ')}")
    async with await service.get("/nothing") as response:
        assert (response.status, response.headers.get("Allow")) == (404, None)
