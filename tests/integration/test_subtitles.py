"""Subtitles and word times of requests and jobs, from any edge."""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest

from services.common.bus import topology
from services.common.wire import codec, subjects
from services.common.wire.messages import SentenceSpoken
from tests.support.front import Front, front
from tests.support.service import TEXT, sentence_count
from tests.support.wav import pcm_of

ID = "a-request-of-mine"


@pytest.fixture
async def service(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Front]:
    async with front(tmp_path, edges=2, real_time_factor=getattr(request, "param", 0.0)) as made:
        yield made


async def text_of(service: Front, path: str, *, edge: int = 1) -> tuple[int, str, str]:
    async with await service.get(path, edge=edge) as response:
        return response.status, response.headers["Content-Type"], await response.text()


async def job_done(service: Front, **fields: str) -> str:
    async with await service.post("/jobs", **fields) as response:
        job: str = (await response.json())["id"]
    async with asyncio.timeout(60):
        while True:
            async with await service.get(f"/jobs/{job}") as response:
                if (await response.json())["state"] == "done":
                    return job
            await asyncio.sleep(0.1)


async def test_a_request_has_subtitles_that_last_as_long_as_its_audio(service: Front) -> None:
    async with await service.post("/synthesize", headers={"Request-Name": ID}) as response:
        wav = await response.read()
    status, content_type, vtt = await text_of(service, f"/requests/{ID}/subtitles.vtt")
    assert (status, content_type) == (200, "text/vtt; charset=utf-8")
    assert vtt.startswith("WEBVTT\n\n00:00:00.000 --> ")
    assert " ".join(line for line in vtt.split("\n")[1:] if "-->" not in line).split() == (
        TEXT.split()
    )
    seconds = len(pcm_of(wav)) / 48_000
    last = [line for line in vtt.splitlines() if "-->" in line][-1].split()[-1]
    assert float(last.rpartition(":")[2]) == pytest.approx(seconds % 60, abs=0.001)

    status, content_type, srt = await text_of(service, f"/requests/{ID}/subtitles.srt")
    assert (status, content_type) == (200, "application/x-subrip; charset=utf-8")
    assert srt.count("-->") == vtt.count("-->") >= sentence_count(TEXT)


async def test_a_job_has_the_same_subtitles_as_a_request_until_it_is_deleted(
    service: Front,
) -> None:
    async with await service.post("/synthesize", headers={"Request-Name": ID}) as response:
        await response.read()
    job = await job_done(service)
    for kind in ("vtt", "srt"):
        expected = await text_of(service, f"/requests/{ID}/subtitles.{kind}")
        assert await text_of(service, f"/jobs/{job}/subtitles.{kind}") == expected
    await service.bus.purge(topology.AUDIO, subjects.AUDIO)
    assert (await text_of(service, f"/jobs/{job}/subtitles.vtt"))[0] == 200

    await service.delete(f"/jobs/{job}")
    status, _, problem = await text_of(service, f"/jobs/{job}/subtitles.vtt")
    assert status == 404
    assert "unknown_job" in problem
    for name in (f"public/{job}/captions-0", f"public/{job}/split"):
        assert await service.bus.get_object(topology.RESULTS, name) is None


async def test_a_job_of_ssml_has_subtitles_without_markup(service: Front) -> None:
    ssml = "<speak>Dr. Lee &amp; <sub alias='two people'>2 p.</sub> came.<break time='10s'/>Bye.</speak>"
    job = await job_done(service, text=ssml, text_type="ssml")
    _, _, srt = await text_of(service, f"/jobs/{job}/subtitles.srt")
    assert "Dr. Lee & 2 p. came.\n" in srt
    assert "Bye.\n" in srt


@pytest.mark.parametrize("service", [0.5], indirect=True)
async def test_there_are_no_subtitles_of_a_part_of_the_audio(service: Front) -> None:
    async with await service.post("/jobs") as response:
        job = (await response.json())["id"]
    status, _, problem = await text_of(service, f"/jobs/{job}/subtitles.vtt")
    assert status == 409
    assert "audio_incomplete" in problem
    async with await service.post("/stream", headers={"Request-Name": ID}) as response:
        await response.content.readexactly(100)
        status, _, problem = await text_of(service, f"/requests/{ID}/subtitles.vtt")
    assert status == 409
    assert "audio_incomplete" in problem


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/requests/never-was-any/subtitles.vtt", 404),
        ("/jobs/never-was-any/subtitles.srt", 404),
        ("/jobs/never-was-any/subtitles.ass", 404),
    ],
)
async def test_what_does_not_exist_has_no_subtitles(service: Front, path: str, status: int) -> None:
    assert (await text_of(service, path))[0] == status


async def test_an_end_marker_has_the_times_of_the_words_as_they_were_written(
    service: Front,
) -> None:
    text = "In 1997, Dr. Lee paid $5."
    headers = {"Request-Name": ID}
    async with await service.post("/synthesize", headers=headers, text=text) as response:
        await response.read()
    payload = await service.bus.last(topology.AUDIO, subjects.end("public", ID, 0))
    assert payload is not None
    end = codec.decode(payload, SentenceSpoken)
    assert end.word_times == "estimated"
    assert isinstance(end.words, tuple)
    assert [text[word.start : word.end] for word in end.words] == text.split()
    assert end.words[0].first_sample == 0
    assert all(one.end_sample <= other.first_sample for one, other in pairwise(end.words))
    longest = max(end.words, key=lambda word: word.end_sample - word.first_sample)
    assert text[longest.start : longest.end] == "1997,"
