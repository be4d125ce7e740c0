"""A finished request is stored as a job: its audio stays, can be listed, changed and deleted, and is not charged."""

import asyncio
import struct
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from services.admin import keys as api_keys
from services.common.bus import topology
from tests.integration.test_job_list import page
from tests.integration.test_jobs import ended, posted, problem
from tests.support.front import SETTINGS, Front, front
from tests.support.wav import pcm_of

SSML = '<speak>One. <mark name="here"/>Two.</speak>'


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Front]:
    async with front(tmp_path, edges=2) as made:
        yield made


async def streamed(service: Front, name: str, **fields: str) -> bytes:
    headers = {"Request-Name": name}
    async with await service.post("/stream", headers=headers, **fields) as response:
        assert response.status == 200, await response.text()
        return await response.read()


async def store(
    service: Front, name: str, *, edge: int = 0, body: object = None, **headers: str
) -> aiohttp.ClientResponse:
    url = f"{service.addresses[edge]}/requests/{name}/job"
    return await service.session.post(url, json=body, headers=headers)


async def stored_job(service: Front, name: str, *, edge: int = 0, **body: str) -> dict[str, Any]:
    async with await store(service, name, edge=edge, body=body or None) as response:
        assert response.status == 201, await response.text()
        assert response.headers["Location"] == f"/jobs/{name}"
        found: dict[str, Any] = await response.json()
        return found


async def content(service: Front, path: str) -> bytes:
    async with await service.get(path, edge=1) as response:
        assert response.status == 200, await response.text()
        return await response.read()


async def test_a_stored_request_has_the_audio_subtitles_and_text_of_its_response(
    service: Front,
) -> None:
    wav = await streamed(service, "my-request", text="A first. A second.", speed="1.5")
    job = await stored_job(service, "my-request", title="Greeting", label="drafts")
    assert (job["state"], job["origin"], job["label"]) == ("done", "request", "drafts")
    assert (job["title"], job["sentences"], job["characters"]) == ("Greeting", 2, 18)
    assert job["finished"] < job["expires"]
    assert await stored_job(service, "my-request", edge=1, label="other") == job

    assert pcm_of(await content(service, "/jobs/my-request/audio")) == pcm_of(wav)
    assert await content(service, "/jobs/my-request/subtitles.srt") == await content(
        service, "/requests/my-request/subtitles.srt"
    )
    async with await service.get("/jobs/my-request/request") as response:
        request = await response.json()
    assert (request["seed"], request["parameters"]) == (42, {"speed": 1.5})
    headers = {"Request-Name": "my-request"}
    assert await problem(await service.post("/stream", headers=headers)) == (
        409,
        "request_id_taken",
    )


async def test_a_sentence_of_a_stored_request_is_spoken_again_and_all_of_it_is_deleted(
    service: Front,
) -> None:
    wav = await streamed(service, "my-request", text=SSML, text_type="ssml")
    await stored_job(service, "my-request")
    async with await service.get("/jobs/my-request/events") as response:
        assert b"event: mark" in await response.read()
    form = aiohttp.FormData(default_to_multipart=True)
    form.add_field("text", "Three and four.")
    url = f"{service.addresses[0]}/jobs/my-request/sentences/1"
    async with service.session.post(url, data=form) as response:
        assert (await response.json())["job"]["revision"] == 1
    assert len(await content(service, "/jobs/my-request/audio")) > len(wav)

    assert (await service.delete("/jobs/my-request"))[0] == 202
    assert await problem(await service.get("/jobs/my-request")) == (404, "unknown_job")
    assert await problem(await store(service, "my-request")) == (404, "unknown_request")
    left = await service.bus.count_by_subject(
        f"OBJ_{topology.RESULTS}", f"$O.{topology.RESULTS}.C.>"
    )
    assert left == {}


async def test_stored_requests_and_queued_jobs_are_listed_apart(service: Front) -> None:
    job = await posted(service, text="Hello.")
    await ended(service, job)
    for name, label in (("request-one", "mine"), ("request-two", "yours")):
        await streamed(service, name, text="Hello.")
        await stored_job(service, name, label=label)
    listed = {
        query: [each["id"] for each in (await page(service, query))["jobs"]]
        for query in ("?origin=job", "?origin=request", "?label=mine", "?label=none")
    }
    assert listed == {
        "?origin=job": [job],
        "?origin=request": ["request-two", "request-one"],
        "?label=mine": ["request-one"],
        "?label=none": [],
    }


async def test_what_is_not_complete_or_not_ones_own_is_not_stored(service: Front) -> None:
    assert await problem(await store(service, "no-such-request")) == (404, "unknown_request")
    await streamed(service, "my-request", text="A first. A second.")
    for body in ({"label": "a b"}, {"title": "two\nlines"}, {"other": 1}, ["label"]):
        assert await problem(await store(service, "my-request", body=body)) == (400, "bad_request")
    subject = "tts.v1.audio.public.my-request.1.0"
    await service.bus.purge(topology.AUDIO, subject)
    assert await problem(await store(service, "my-request")) == (409, "audio_incomplete")
    assert await page(service) == {"jobs": []}
    assert await problem(await service.get("/jobs/my-request/audio")) == (404, "unknown_job")


async def test_concurrent_copies_of_one_request_are_one_job(service: Front) -> None:
    wav = await streamed(service, "my-request", text="A first. A second. A third.")
    answers = await asyncio.gather(
        *(store(service, "my-request", edge=number % 2) for number in range(6))
    )
    assert {response.status for response in answers} <= {201, 409}
    assert 201 in {response.status for response in answers}
    for response in answers:
        response.close()
    assert pcm_of(await content(service, "/jobs/my-request/audio")) == pcm_of(wav)
    assert len((await page(service))["jobs"]) == 1


async def test_storing_costs_a_key_no_quota_and_other_tenants_cannot_do_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = {}
    for name in ("acme", "globex"):
        arguments = [str(tmp_path / "keys.toml"), "--name", name, "--tenant", name]
        api_keys.main([*arguments, "--audio-seconds-a-day", "100"])
        keys[name] = {"Authorization": f"Bearer {capsys.readouterr().out.strip()}"}
    (tmp_path / "nats").mkdir()
    settings = msgspec.structs.replace(SETTINGS, api_keys_file=str(tmp_path / "keys.toml"))
    async with front(tmp_path / "nats", settings=settings) as service:
        headers = keys["acme"] | {"Request-Name": "my-request"}
        async with await service.post("/stream", text="Mine.", headers=headers) as response:
            seconds = (len(await response.read()) - 44) / 48_000
        async with asyncio.timeout(60):
            while await spent_s(service) != pytest.approx(seconds):
                await asyncio.sleep(0.05)
        assert await problem(await store(service, "my-request", **keys["globex"])) == (
            404,
            "unknown_request",
        )
        async with await store(service, "my-request", **keys["acme"]) as response:
            assert response.status == 201
        assert await spent_s(service) == pytest.approx(seconds)


async def spent_s(service: Front) -> float:
    """Return the audio that the key of acme has used today."""
    today = datetime.now(UTC).date().isoformat()
    content = await service.bus.get_value(topology.PROGRESS, f"spent.acme.acme.{today}")
    seconds: float = struct.unpack("<d", content)[0] if content else 0.0
    return seconds
