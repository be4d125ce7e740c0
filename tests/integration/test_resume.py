"""A lost answer is resumed at the byte that the client has, and a request is stopped by its id."""

import asyncio
import secrets
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from services.common.audio.wav import wav_header
from tests.chaos.parts import house
from tests.support.front import Front, form, front
from tests.support.service import TEXT, digest, expected_pcm, sentence_count

LONG = " ".join(f"{TEXT} That was number {number}." for number in range(4))


def whole(text: str = LONG, max_characters: int = 60) -> bytes:
    return wav_header(sample_rate_hz=24_000, data_bytes=None) + expected_pcm(
        text, max_characters=max_characters
    )


@pytest.fixture
async def service(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Front]:
    async with front(tmp_path, edges=2, real_time_factor=getattr(request, "param", 0.0)) as made:
        yield made


async def problem(response: aiohttp.ClientResponse) -> tuple[int, str]:
    async with response:
        return response.status, (await response.json(content_type="application/problem+json"))[
            "code"
        ]


@pytest.mark.parametrize("service", [0.3], indirect=True)
async def test_a_client_that_lost_its_stream_gets_exactly_the_rest_from_another_edge(
    service: Front,
) -> None:
    async with await service.post("/stream", text=LONG) as response:
        request = response.headers["Request-Name"]
        had = await response.content.readexactly(300_001)
        response.close()
    async with await service.get(f"/requests/{request}/audio?from={len(had)}", edge=1) as response:
        assert response.status == 200
        assert response.headers["Request-Name"] == request
        rest = await response.read()
    assert digest([had, rest]) == digest([whole()])
    await service.until_idle()
    again = sorted(sentence for run, sentence in await service.ends() if run != request)
    assert again == list(range(again[0], sentence_count(LONG)))
    assert again[0] >= 3, "the first three sentences were stored whole"


@pytest.mark.parametrize("service", [0.3], indirect=True)
async def test_an_answer_that_is_lost_again_and_again_is_whole_in_the_end(service: Front) -> None:
    async with await service.post("/stream", text=LONG) as response:
        request = response.headers["Request-Name"]
        had = await response.content.readexactly(1)
        response.close()
    for number in range(4):
        async with await service.get(
            f"/requests/{request}/audio?from={len(had)}", edge=number % 2
        ) as response:
            had += await response.content.readexactly(150_000 + number)
            response.close()
    async with await service.get(f"/requests/{request}/audio?from={len(had)}") as response:
        had += await response.read()
    assert digest([had]) == digest([whole()])


async def test_a_stream_can_be_resumed_at_every_byte_and_at_no_later_one(service: Front) -> None:
    async with await service.post("/stream") as response:
        request = response.headers["Request-Name"]
        answer = await response.read()
    assert digest([answer]) == digest([whole(TEXT)])
    spoken = await service.spoken()
    for offset in (0, 1, 43, 44, 45, 46, 100_003, len(answer) - 1, len(answer)):
        async with await service.get(f"/requests/{request}/audio?from={offset}") as response:
            assert response.status == 200, offset
            assert await response.read() == answer[offset:], offset
    async with await service.get(f"/requests/{request}/audio?from={len(answer) + 1}") as response:
        assert response.headers["Content-Range"] == f"bytes */{len(answer)}"
        assert await problem(response) == (416, "range_not_satisfiable")
    assert await problem(await service.get(f"/requests/{request}/audio?from=-1")) == (
        400,
        "bad_request",
    )
    assert await problem(await service.get(f"/requests/{'0' * 32}/audio?from=1")) == (
        404,
        "unknown_request",
    )
    assert await problem(await service.get("/requests/a.b.c.d.e.f/audio?from=1")) == (
        400,
        "bad_request",
    )
    assert await service.spoken() == spoken


async def test_a_request_is_cancelled_by_the_id_that_its_client_chose_before_its_answer_begins(
    tmp_path: Path,
) -> None:
    async with front(tmp_path, real_time_factor=3.0) as service:
        chosen = secrets.token_hex(16)
        asking = asyncio.create_task(
            service.post("/synthesize", text=LONG, headers={"Request-Name": chosen})
        )
        await asyncio.sleep(1.0)
        for _ in range(2):
            assert await service.delete(f"/requests/{chosen}") == (
                202,
                {"id": chosen, "state": "cancelled"},
            )
        response = await asyncio.wait_for(asking, 5)
        assert response.headers["Request-Name"] == chosen
        assert await problem(response) == (499, "cancelled")
        await service.until_idle()
        assert await problem(await service.get(f"/requests/{chosen}/audio")) == (499, "cancelled")
        assert (await service.delete("/requests/not.an.id.at.all"))[0] == 400


async def test_an_id_is_one_requests_alone_and_a_refused_request_frees_it(service: Front) -> None:
    chosen = {"Request-Name": "my-request-0001"}
    assert await problem(await service.post("/stream", headers=chosen, language="xx")) == (
        422,
        "unsupported_language",
    )
    noise = b"no sound at all " * 100
    refused = await service.post("/stream", headers=chosen, reference_audio=noise)
    assert await problem(refused) == (422, "unusable_reference")
    async with await service.post("/stream", headers=chosen) as response:
        assert (response.status, response.headers["Request-Name"]) == (200, "my-request-0001")
        second = await service.post("/stream", headers=chosen, edge=1)
        assert await problem(second) == (409, "request_id_taken")
        assert digest([await response.read()]) == digest([whole(TEXT)])
    for bad in ("short", "with.dots.in.it", "x" * 65, "späße-und-mehr"):
        assert await problem(await service.post("/stream", headers={"Request-Name": bad})) == (
            400,
            "bad_request",
        )


async def test_a_stream_of_a_killed_edge_is_resumed_at_another_one(tmp_path: Path) -> None:
    settings = {"TONE_REAL_TIME_FACTOR": "0.3"}
    async with (
        house(tmp_path, edges=2, splitters=1, workers=2, settings=settings) as service,
        aiohttp.ClientSession() as session,
    ):
        await service.until_ready(session)
        async with session.post(f"{service.address(0)}/stream", data=form(text=LONG)) as response:
            request = response.headers["Request-Name"]
            had = await response.content.readexactly(200_000)
            service.edges[0].signal(signal.SIGKILL)
            with pytest.raises(aiohttp.ClientError):
                while piece := await response.content.read(100_000):
                    had += piece
        url = f"{service.address(1)}/requests/{request}/audio?from={len(had)}"
        async with session.get(url) as response:
            assert response.status == 200
            had += await response.read()
    assert digest([had]) == digest([whole(max_characters=250)])
