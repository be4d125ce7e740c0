"""A retry under the same Idempotency-Key joins the request that runs, or ran, and nothing is spoken twice."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from services.common.audio.wav import wav_header
from services.common.bus import topology
from tests.support.front import VOICE, Front, front
from tests.support.service import TEXT, digest, expected_pcm, sentence_count
from tests.support.wav import pcm_of

LONG = " ".join(f"{TEXT} That was number {number}." for number in range(3))
KEY = {"Idempotency-Key": '"8e03978e-40d5-43e8-bc93-6894a57f9324"'}


@pytest.fixture
async def service(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Front]:
    async with front(tmp_path, edges=2, real_time_factor=getattr(request, "param", 0.0)) as made:
        yield made


async def heard(
    asking: asyncio.Task[aiohttp.ClientResponse] | aiohttp.ClientResponse,
) -> tuple[str, str]:
    response = await asking if isinstance(asking, asyncio.Task) else asking
    async with response:
        assert response.status == 200, await response.text()
        return response.headers["Request-Name"], digest([pcm_of(await response.read())])


async def problem(response: aiohttp.ClientResponse) -> tuple[int, str]:
    async with response:
        return response.status, (await response.json(content_type="application/problem+json"))[
            "code"
        ]


@pytest.mark.parametrize("service", [0.3], indirect=True)
async def test_retries_while_it_runs_and_afterwards_at_either_edge_and_endpoint_are_one_request(
    service: Front,
) -> None:
    first = asyncio.create_task(service.post("/stream", text=LONG, headers=KEY, seed=None))
    await asyncio.sleep(0.5)
    retries = [
        asyncio.create_task(service.post(path, text=LONG, headers=KEY, seed=None, edge=edge))
        for path, edge in (("/stream", 1), ("/synthesize", 0), ("/synthesize", 1))
    ]
    answers = {await heard(asking) for asking in (first, *retries)}
    answers.add(await heard(await service.post("/stream", text=LONG, headers=KEY, seed=None)))
    assert len(answers) == 1
    assert await service.spoken() == sentence_count(LONG)


async def test_many_at_once_under_one_key_are_one_request(service: Front) -> None:
    asking = [
        asyncio.create_task(
            service.post("/stream", headers={"Idempotency-Key": "at-once"}, edge=number % 2)
        )
        for number in range(8)
    ]
    answers = {await heard(one) for one in asking}
    assert {sound for _, sound in answers} == {digest([expected_pcm()])}
    assert len(answers) == 1
    assert await service.spoken() == sentence_count()


async def test_a_key_stands_for_one_form_and_a_refused_one_frees_it(service: Front) -> None:
    refused = await service.post("/stream", headers=KEY, reference_audio=b"no sound at all " * 100)
    assert await problem(refused) == (422, "unusable_reference")
    request, _ = await heard(await service.post("/stream", headers=KEY))
    for path, change in (
        ("/stream", {"text": "Other."}),
        ("/synthesize", {"seed": "43"}),
        ("/stream", {"seed": None}),
        ("/stream", {"speed": "1.5"}),
        ("/stream", {"reference_audio": VOICE + b"\0"}),
    ):
        answer = await service.post(path, headers=KEY, edge=1, **change)
        assert await problem(answer) == (422, "idempotency_key_reused"), change
    assert (await heard(await service.post("/stream", headers=KEY)))[0] == request
    for bad in ("", "ü", "x" * 256):
        assert await problem(await service.post("/stream", headers={"Idempotency-Key": bad})) == (
            400,
            "bad_request",
        )


@pytest.mark.parametrize("service", [0.5], indirect=True)
async def test_a_client_that_left_finds_its_work_running_and_without_listeners_it_ends(
    service: Front,
) -> None:
    async with await service.post("/stream", text=LONG, headers=KEY) as response:
        request = response.headers["Request-Name"]
        await response.content.readexactly(1_000)
        response.close()
    await asyncio.sleep(0.4)
    assert await service.bus.message_count(topology.REQUESTS) == 1, "within the grace it goes on"
    again = await service.post("/stream", text=LONG, headers=KEY, edge=1)
    assert await heard(again) == (request, digest([expected_pcm(LONG)]))
    assert await service.spoken() == sentence_count(LONG)
    async with await service.post(
        "/stream", text=LONG, headers={"Idempotency-Key": "another"}
    ) as response:
        await response.content.readexactly(1_000)
        response.close()
    async with asyncio.timeout(60):  # the grace is 1 s
        await service.until_idle()
    assert await service.spoken() < 2 * sentence_count(LONG)


@pytest.mark.parametrize("service", [0.3], indirect=True)
async def test_a_listener_that_leaves_does_not_take_the_audio_from_another_one(
    service: Front,
) -> None:
    first = await service.post("/stream", text=LONG, headers=KEY)
    second = await service.post("/stream", text=LONG, headers=KEY, edge=1)
    await first.content.readexactly(1_000)
    first.close()
    async with second:
        body = await second.read()
    assert body[:44] == wav_header(sample_rate_hz=24_000, data_bytes=None)
    assert digest([pcm_of(body)]) == digest([expected_pcm(LONG)])
    assert await service.spoken() == sentence_count(LONG)
