"""Jobs: long texts without a waiting client, through the death of any process."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from services.common.audio.wav import wav_header, with_chunk_after
from services.common.bus import topology
from services.common.bus.nats.connection import NatsBus
from services.common.wire import codec, subjects
from services.common.wire.messages import CancelSpeech
from services.http_edge.encoders.tags import Tags
from tests.chaos.parts import house
from tests.support.events import Event, events_of
from tests.support.front import SETTINGS, Front, form, front
from tests.support.service import TEXT, digest, expected_pcm, sentence_count
from tests.support.wav import pcm_of

LONG = " ".join(f"{TEXT} That was number {number}." for number in range(3))


def whole(text: str = LONG, max_characters: int = 60) -> bytes:
    pcm = expected_pcm(text, max_characters=max_characters)
    return wav_header(sample_rate_hz=24_000, data_bytes=len(pcm)) + pcm


@pytest.fixture
async def service(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Front]:
    async with front(tmp_path, edges=2, real_time_factor=getattr(request, "param", 0.0)) as made:
        yield made


async def posted(service: Front, **fields: str | bytes | None) -> str:
    async with await service.post("/jobs", **fields) as response:
        assert response.status == 202, await response.text()
        job = await response.json()
        assert response.headers["Location"] == f"/jobs/{job['id']}"
        assert job["state"] in ("queued", "running")
        identity: str = job["id"]
        return identity


async def ended(service: Front, job: str) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while True:
            async with await service.get(f"/jobs/{job}") as response:
                shown: dict[str, Any] = await response.json()
            if shown["state"] in ("done", "failed", "cancelled"):
                return shown
            await asyncio.sleep(0.1)


async def problem(response: aiohttp.ClientResponse) -> tuple[int, str]:
    async with response:
        return response.status, (await response.json(content_type="application/problem+json"))[
            "code"
        ]


async def test_a_job_is_done_and_its_audio_is_a_wav_in_any_range(service: Front) -> None:
    job = await posted(service, text=None, text_file=b"\xef\xbb\xbf" + LONG.encode())
    shown = await ended(service, job)
    answer = with_chunk_after(whole(), Tags(job, "tone").riff_chunk())
    assert (shown["state"], shown["spoken"], shown["sentences"]) == (
        "done",
        sentence_count(LONG),
        sentence_count(LONG),
    )
    assert shown["audio_seconds"] == pytest.approx(len(pcm_of(answer)) / 48_000, abs=0.001)
    async with await service.get(f"/jobs/{job}/audio", edge=1) as response:
        assert (response.status, response.content_type) == (200, "audio/wav")
        assert digest([await response.read()]) == digest([answer])
        etag = response.headers["ETag"]
    size = len(answer)
    for asked, start, end in (
        ("bytes=0-", 0, size), ("bytes=0-43", 0, 44), ("bytes=40-50", 40, 51), ("bytes=99999-300000", 99_999, 300_001),
        ("bytes=-7", size - 7, size), ("bytes=-300", size - 300, size),
        (f"bytes={size - 50}-{size - 40}", size - 50, size - 39),
        (f"bytes={size - 1}-", size - 1, size), (f"bytes=5-{size * 2}", 5, size),
    ):  # fmt: skip
        async with await service.get(
            f"/jobs/{job}/audio", headers={"Range": asked, "If-Range": etag}
        ) as response:
            assert response.status == 206, asked
            assert response.headers["Content-Range"] == f"bytes {start}-{end - 1}/{size}"
            assert response.headers["Content-Length"] == str(end - start)
            assert await response.read() == answer[start:end], asked
    async with await service.get(
        f"/jobs/{job}/audio", headers={"Range": f"bytes={size}-"}
    ) as response:
        assert response.headers["Content-Range"] == f"bytes */{size}"
        assert await problem(response) == (416, "range_not_satisfiable")
    other = {"Range": "bytes=0-43", "If-Range": '"another"'}
    async with await service.get(f"/jobs/{job}/audio", headers=other) as response:
        assert response.status == 200
        assert await response.read() == answer
    async with service.session.head(f"{service.addresses[0]}/jobs/{job}/audio") as response:
        assert response.headers["Content-Length"] == str(size)
    for known in (etag, f"W/{etag}", f'"a", {etag}', "*"):
        cached = {"If-None-Match": known, "Range": "bytes=0-43"}
        async with await service.get(f"/jobs/{job}/audio", edge=1, headers=cached) as response:
            assert (response.status, response.headers["ETag"]) == (304, etag)
            assert await response.read() == b""
    for unknown in ('"another"', etag.strip('"'), ""):
        async with await service.get(
            f"/jobs/{job}/audio", headers={"If-None-Match": unknown}
        ) as response:
            assert (response.status, len(await response.read())) == (200, size)


async def test_every_response_with_audio_names_a_file(service: Front) -> None:
    job = await posted(service, text="Hello.")
    await ended(service, job)
    async with await service.post("/stream", text="Hello.") as response:
        name = response.headers["Request-Name"]
        assert response.headers["Content-Disposition"] == f'inline; filename="{name}.wav"'
        await response.read()
    for path, file_name in ((f"/jobs/{job}/audio", job), (f"/requests/{name}/audio", name)):
        async with await service.get(path) as response:
            assert response.headers["Content-Disposition"] == f'inline; filename="{file_name}.wav"'
            await response.read()
    async with await service.post("/synthesize", text="") as response:
        assert "Content-Disposition" not in response.headers


@pytest.mark.parametrize("service", [0.4], indirect=True)
async def test_progress_is_reported_sentence_by_sentence_and_from_the_last_event_received(
    service: Front,
) -> None:
    job = await posted(service, text=LONG)
    early: list[Event] = []
    async with await service.get(f"/jobs/{job}/events") as response:
        assert response.content_type == "text/event-stream"
        async for event in events_of(response):
            early.append(event)
            if event.number == "4":
                break
        response.close()
    assert [(event.name, event.number) for event in early] == [
        ("progress", str(n)) for n in range(1, 5)
    ]
    async with await service.get(f"/jobs/{job}") as response:
        shown = await response.json()
    assert shown["state"] == "running"
    assert shown["estimated_end"] > shown["created"]
    headers = {"Last-Event-ID": "4"}
    async with await service.get(f"/jobs/{job}/events", edge=1, headers=headers) as response:
        late = [event async for event in events_of(response)]
    count = sentence_count(LONG)
    assert [event.number for event in late[:-1]] == [str(n) for n in range(5, count + 1)]
    assert (late[-1].name, late[-1].data["spoken"], late[-1].data["sentences"]) == (
        "done",
        count,
        count,
    )
    seconds = [event.data["audio_seconds"] for event in (*early, *late)]
    assert seconds == sorted(seconds)
    assert seconds[-1] == pytest.approx(len(pcm_of(whole())) / 48_000, abs=0.001)


@pytest.mark.parametrize("service", [0.4], indirect=True)
async def test_the_audio_of_a_running_job_is_streamed_as_it_comes(service: Front) -> None:
    job = await posted(service, text=LONG)
    async with await service.get(f"/jobs/{job}/audio") as response:
        assert "ETag" not in response.headers
        begin = await response.content.readexactly(44 + 1_000)
        async with await service.get(f"/jobs/{job}") as other:
            assert (await other.json())["state"] == "running"
        body = begin + await response.read()
    assert digest([pcm_of(body)]) == digest([pcm_of(whole())])


@pytest.mark.parametrize("service", [2.0], indirect=True)
async def test_a_cancelled_job_ends_whether_it_runs_or_waits(service: Front) -> None:
    running = [await posted(service, text=LONG) for _ in range(8)]
    waiting = await posted(service, text=LONG)
    async with asyncio.timeout(60):
        for job in running:
            while True:
                async with await service.get(f"/jobs/{job}") as response:
                    if (await response.json())["state"] == "running":
                        break
                await asyncio.sleep(0.05)
    status, shown = await service.delete(f"/jobs/{waiting}")
    assert (status, shown["state"]) == (202, "cancelled")
    for job in running:
        assert (await service.delete(f"/jobs/{job}", edge=1))[0] == 202
    for job in (*running, waiting):
        assert (await ended(service, job))["state"] == "cancelled"
        assert await problem(await service.get(f"/jobs/{job}/audio")) == (409, "job_ended")
    async with await service.get(f"/jobs/{waiting}/events") as response:
        assert [event.name async for event in events_of(response)] == ["cancelled"]
    await service.until_idle()
    assert (await service.delete(f"/jobs/{waiting}"))[0] == 202


async def test_a_job_that_cannot_be_spoken_fails_with_its_reason(service: Front) -> None:
    job = await posted(service, text="?! ...")
    shown = await ended(service, job)
    assert (shown["state"], shown["code"]) == ("failed", "empty_text")
    assert await problem(await service.get(f"/jobs/{job}/audio")) == (409, "job_ended")


async def test_a_retry_of_a_job_is_the_same_job(service: Front) -> None:
    headers = {"Idempotency-Key": "a-book"}
    seen = set()
    for edge in (0, 1, 0):
        async with await service.post("/jobs", edge=edge, headers=headers) as response:
            assert response.status == 202
            seen.add((await response.json())["id"])
    [job] = seen
    assert (await ended(service, job))["state"] == "done"
    async with await service.post("/jobs", headers=headers) as response:
        assert (await response.json())["state"] == "done"
    assert await problem(await service.post("/jobs", headers=headers, seed="1")) == (
        422,
        "idempotency_key_reused",
    )
    assert await service.spoken() == sentence_count()


async def test_what_is_no_job_is_refused(tmp_path: Path) -> None:
    settings = msgspec.structs.replace(SETTINGS, max_job_characters=2_000, max_text_characters=100)
    async with front(tmp_path, settings=settings) as service:
        assert await problem(await service.post("/jobs", text="a" * 2_001)) == (
            413,
            "text_too_long",
        )
        assert await problem(await service.post("/jobs", text=None, text_file=b"a" * 9_000)) == (
            413,
            "text_too_long",
        )
        assert await problem(await service.post("/jobs", text_file=b"also")) == (400, "bad_request")
        assert await problem(await service.post("/jobs", text=None)) == (400, "bad_request")
        assert await problem(await service.post("/jobs", text=None, text_file=b"\xff\xfe")) == (
            400,
            "bad_request",
        )
        assert await problem(await service.post("/stream", text=None, text_file=b"Hello.")) == (
            400,
            "bad_request",
        )
        for path in ("/jobs/12345678", "/jobs/12345678/audio", "/jobs/12345678/events"):
            assert await problem(await service.get(path)) == (404, "unknown_job")
        assert (await service.delete("/jobs/12345678"))[0] == 404
        assert await problem(await service.get("/jobs/no")) == (400, "bad_request")
        job = await posted(service, text=LONG)
        assert (await ended(service, job))["state"] == "done"


async def test_a_text_over_the_limit_of_nats_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    async with front(tmp_path) as service:
        text = ("Grüß Gott. " * 100_000).encode()  # 1.3 MB
        service.bus._client._max_payload = 1024 * 1024
        answer = await service.post(
            "/jobs", text=None, text_file=text, headers={"Request-Name": "a-large-job"}
        )
        assert await problem(answer) == (413, "text_too_long")
        assert await problem(await service.get("/jobs/a-large-job")) == (404, "unknown_job")


async def test_a_full_queue_of_jobs_refuses(tmp_path: Path) -> None:
    async with front(tmp_path, real_time_factor=5.0) as service:
        for number in range(100):
            async with await service.post("/jobs", text=LONG) as response:
                assert response.status == 202, number
        assert await problem(await service.post("/jobs", text=LONG)) == (429, "tenant_queue_full")


async def test_a_job_survives_a_killed_edge_and_a_stopped_one_without_a_sample_spoken_twice(
    tmp_path: Path,
) -> None:
    settings = {"TONE_REAL_TIME_FACTOR": "0.3", "MAX_JOBS": "1"}
    async with (
        house(tmp_path, edges=2, splitters=1, workers=2, settings=settings) as service,
        aiohttp.ClientSession() as session,
    ):
        await service.until_ready(session)
        async with session.post(f"{service.address(0)}/jobs", data=form(text=LONG * 6)) as response:
            assert response.status == 202
            job = (await response.json())["id"]

        async def shown(edge: int) -> dict[str, Any]:
            async with session.get(f"{service.address(edge)}/jobs/{job}") as response:
                content: dict[str, Any] = await response.json()
                return content

        async with asyncio.timeout(120):
            for victim, number in ((0, signal.SIGKILL), (1, signal.SIGTERM)):
                before = (await shown(victim))["spoken"]
                while (await shown(victim))["spoken"] < before + 4:
                    await asyncio.sleep(0.05)
                service.edges[victim].signal(number)
                assert service.edges[victim].process is not None
                await service.edges[victim].process.wait()
                await service.edges[victim].start()
                await service.until_ready(session)
            while (state := (await shown(1))["state"]) == "running":
                await asyncio.sleep(0.1)
        assert state == "done"
        async with session.get(f"{service.address(1)}/jobs/{job}/audio") as response:
            body = await response.read()
        spoken = [
            (tmp_path / f"{part.name}.log").read_text().count('"sentence_spoken"')
            for part in service.workers
        ]
    assert digest([pcm_of(body)]) == digest([expected_pcm(LONG * 6, max_characters=250)])
    assert sum(spoken) == sentence_count(LONG * 6, max_characters=250)


async def test_a_job_whose_work_and_audio_expired_is_published_again_from_the_first_missing_sentence(
    tmp_path: Path,
) -> None:
    settings = {"TONE_REAL_TIME_FACTOR": "0.3"}
    async with (
        house(tmp_path, edges=1, splitters=1, workers=2, settings=settings) as service,
        aiohttp.ClientSession() as session,
    ):
        await service.until_ready(session)
        [edge] = service.edges
        async with session.post(f"{service.address()}/jobs", data=form(text=LONG * 2)) as response:
            job = (await response.json())["id"]

        async def shown() -> dict[str, Any]:
            async with session.get(f"{service.address()}/jobs/{job}") as response:
                content: dict[str, Any] = await response.json()
                return content

        async with asyncio.timeout(60):
            while (await shown())["spoken"] < 6:
                await asyncio.sleep(0.05)
            edge.signal(signal.SIGKILL)
            bus = await NatsBus.connect(service.nats.url, name="test")
            await bus.purge(topology.AUDIO, subjects.request_events("public", job))
            cancel = CancelSpeech(request=job, tenant="public", reason="test")
            await bus.send(subjects.cancel("public", job), codec.encode(cancel))
            while await bus.last(topology.AUDIO, subjects.request_failed("public", job)) is None:
                await asyncio.sleep(0.05)
            assert edge.process is not None
            await edge.process.wait()
            await edge.start()
            await service.until_ready(session)
            while (state := (await shown())["state"]) == "running":
                await asyncio.sleep(0.1)
        assert state == "done"
        async with session.get(f"{service.address()}/jobs/{job}/audio") as response:
            body = await response.read()
        taken_up = [
            json.loads(line) for line in (tmp_path / f"{edge.name}.log").read_text().splitlines()
        ]
        [place] = [line["sentence"] for line in taken_up if line["event"] == "request_resumed"]
        await bus.close()
    assert place >= 6
    assert digest([pcm_of(body)]) == digest([expected_pcm(LONG * 2, max_characters=250)])
