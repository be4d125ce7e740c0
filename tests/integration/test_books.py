"""Chapters of a job, its audio by chapter, and its audio book."""

import io
import json
from collections.abc import AsyncIterator
from pathlib import Path

import av
import pytest

from tests.integration.test_jobs import ended, posted, problem
from tests.integration.test_redo import done, redone, shown, wav
from tests.support.front import Front, front
from tests.support.wav import pcm_of

FIRST = "Chapter one.\n\nIt was a bright cold day in April. The clocks were striking thirteen!\n\n"
SECOND = "Chapter two.\n\nNobody looked up? Dust came in with him."
TEXT = FIRST + SECOND
TITLE = "A bright “cold” day; 1"
CHAPTERS = json.dumps([{"title": "I. Début", "start": 0}, {"title": "Ⅱ", "start": len(FIRST)}])


@pytest.fixture
async def service(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Front]:
    async with front(tmp_path, edges=2, real_time_factor=getattr(request, "param", 0.0)) as made:
        yield made


async def test_chapters_have_times_and_audio_that_together_are_the_whole(service: Front) -> None:
    job = await done(service, text=TEXT, title=TITLE, chapters=CHAPTERS)
    body = await shown(await service.get(f"/jobs/{job}"))
    one, two = body["chapters"]
    assert (one["title"], one["begins"], two["title"]) == ("I. Début", 0.0, "Ⅱ")
    assert one["seconds"] + two["seconds"] == pytest.approx(body["audio_seconds"], abs=0.002)
    assert two["begins"] == one["seconds"]

    _, etag, whole = await wav(service, job)
    parts = []
    for index in (0, 1):
        path = f"/jobs/{job}/audio?chapter={index}"
        async with await service.get(path, edge=1) as response:
            assert response.status == 200
            assert response.headers["ETag"] != etag
            content = await response.read()
            assert int(response.headers["Content-Length"]) == len(content)
            parts.append(pcm_of(content))
        headers = {"Range": "bytes=50-99", "If-Range": response.headers["ETag"]}
        async with await service.get(path, headers=headers) as response:
            assert (response.status, await response.read()) == (206, content[50:100])
    assert parts[0] + parts[1] == pcm_of(whole)
    assert len(parts[0]) / 48_000 == pytest.approx(one["seconds"], abs=0.001)

    assert await problem(await service.get(f"/jobs/{job}/audio?chapter=2")) == (
        404,
        "unknown_chapter",
    )
    assert await problem(await service.get(f"/jobs/{job}/audio?chapter=-1")) == (
        400,
        "bad_request",
    )


@pytest.mark.parametrize("kind", ["m4b", "mp3"])
async def test_a_book_has_its_title_chapters_and_audio_and_follows_a_redo(
    service: Front, kind: str
) -> None:
    job = await done(service, text=TEXT, title=TITLE, chapters=CHAPTERS)
    found = []
    for _ in range(2):
        times = (await shown(await service.get(f"/jobs/{job}")))["chapters"]
        async with await service.get(f"/jobs/{job}/book.{kind}") as response:
            assert response.status == 200
            assert response.headers["Content-Disposition"].endswith(f'{job}.{kind}"')
            etag = response.headers["ETag"]
            content = await response.read()
        with av.open(io.BytesIO(content)) as container:
            assert container.metadata["title"] == TITLE
            chapters = container.chapters()
            seconds = sum(frame.samples for frame in container.decode(audio=0)) / 24_000
        assert [each["metadata"]["title"] for each in chapters] == ["I. Début", "Ⅱ"]
        begins = [float(each["start"] * each["time_base"]) for each in chapters]
        assert begins == pytest.approx([each["begins"] for each in times], abs=0.002)
        total_s = times[1]["begins"] + times[1]["seconds"]
        assert seconds == pytest.approx(total_s, abs=0.2)
        cached = {"If-None-Match": etag}
        async with await service.get(f"/jobs/{job}/book.{kind}", headers=cached) as response:
            assert response.status == 304
        found.append((etag, total_s))
        await shown(await redone(service, job, 1, speed="0.5"))
    assert found[0][0] != found[1][0]
    assert found[0][1] < found[1][1]


async def test_a_job_without_chapters_is_a_book_without_chapters(
    service: Front,
) -> None:
    job = await done(service, text="Hello.")
    assert "chapters" not in await shown(await service.get(f"/jobs/{job}"))
    assert await problem(await service.get(f"/jobs/{job}/audio?chapter=0")) == (
        404,
        "unknown_chapter",
    )
    async with await service.get(f"/jobs/{job}/book.m4b") as response:
        content = await response.read()
        assert int(response.headers["Content-Length"]) == len(content)
    with av.open(io.BytesIO(content)) as container:
        assert container.chapters() == []
        assert "title" not in container.metadata


@pytest.mark.parametrize("service", [2.0], indirect=True)
async def test_a_job_that_is_not_done_is_no_book(service: Front) -> None:
    job = await posted(service, text=TEXT, chapters=CHAPTERS)
    for path in ("book.m4b", "book.mp3", "audio?chapter=0"):
        assert await problem(await service.get(f"/jobs/{job}/{path}")) == (409, "job_not_done")
    failed = await posted(service, text="?! ...")
    await ended(service, failed)
    assert await problem(await service.get(f"/jobs/{failed}/book.mp3")) == (409, "job_ended")
    async with await service.get(f"/jobs/{job}/book.ogg") as response:
        assert response.status == 404
