"""A sentence of a finished job is spoken again: its audio, times, subtitles and validators follow."""

import asyncio
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
import pytest_asyncio

from services.common.audio.pcm import silence, to_pcm16
from services.common.bus import topology
from services.common.wire.seeds import sentence_seed
from services.splitter.segmentation.sentences import split
from services.synth_worker.engines.tone import SAMPLE_RATE_HZ, SAMPLES_PER_CHARACTER, watermark
from tests.integration.test_jobs import ended, posted, problem
from tests.support.front import Front, front
from tests.support.service import MAX_CHARACTERS, TEXT
from tests.support.wav import pcm_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> AsyncIterator[Front]:
    factor = getattr(request, "param", 0.0)
    async with front(tmp_path_factory.mktemp("nats"), edges=2, real_time_factor=factor) as made:
        yield made


async def done(service: Front, **fields: str | bytes | None) -> str:
    job = await posted(service, **fields)
    assert (await ended(service, job))["state"] == "done"
    return job


async def redone(
    service: Front, job: str, index: int, *, edge: int = 0, **fields: str
) -> aiohttp.ClientResponse:
    form = aiohttp.FormData(default_to_multipart=True)
    for name, value in fields.items():
        form.add_field(name, value)
    url = f"{service.addresses[edge]}/jobs/{job}/sentences/{index}"
    return await service.session.post(url, data=form if fields else None)


async def shown(response: aiohttp.ClientResponse) -> dict[str, Any]:
    async with response:
        assert response.status == 200, await response.text()
        found: dict[str, Any] = await response.json()
        return found


async def wav(service: Front, job: str, **headers: str) -> tuple[int, str, bytes]:
    async with await service.get(f"/jobs/{job}/audio", edge=1, headers=headers) as response:
        content = await response.read()
        assert response.status < 400, content
        return response.status, response.headers["ETag"], content


def sentence_pcm(spoken: str, seed: int, pause_ms: int) -> bytes:
    sound = watermark(sentence_seed(seed, 0), 0, len(spoken) * SAMPLES_PER_CHARACTER)
    return to_pcm16(np.concatenate([sound, silence(pause_ms, SAMPLE_RATE_HZ)]))


async def test_only_the_redone_sentence_changes_and_everything_follows_it(service: Front) -> None:
    job = await done(service, text=TEXT)
    _, etag, before = await wav(service, job)
    old = await shown(await service.get(f"/jobs/{job}/sentences"))
    assert old["revision"] == 0
    assert [sentence["text"] for sentence in old["sentences"]][
        1
    ] == "The clocks were striking thirteen!"

    made = await shown(await redone(service, job, 1, seed="7", text="The clocks struck one!"))
    assert (made["job"]["revision"], made["index"], made["seed"]) == (1, 1, 7)
    new = await shown(await service.get(f"/jobs/{job}/sentences", edge=1))
    assert new["revision"] == 1
    assert new["sentences"][1]["text"] == "The clocks struck one!"
    assert new["sentences"][0] == old["sentences"][0]

    first, second = (round(each["seconds"] * 48_000) for each in old["sentences"][:2])
    pause_ms = split(TEXT, "en", max_characters=MAX_CHARACTERS).sentences[1].pause_after_ms
    expected = sentence_pcm("The clocks struck one!", 7, pause_ms)
    status, other_etag, after = await wav(service, job)
    assert status == 200
    assert pcm_of(after) == pcm_of(before)[:first] + expected + pcm_of(before)[first + second :]
    assert made["digest"] == new["sentences"][1]["digest"] == sha256(expected).hexdigest()
    assert int.from_bytes(after[40:44], "little") == len(pcm_of(after))
    assert other_etag != etag

    seconds = len(pcm_of(after)) / 48_000
    assert made["job"]["audio_seconds"] == pytest.approx(seconds, abs=0.001)
    begins = [sentence["begins"] for sentence in new["sentences"]]
    assert begins[2] == pytest.approx((first + len(expected)) / 48_000, abs=0.001)
    async with await service.get(f"/requests/{job}/sentences") as response:
        listed = (await response.json())["sentences"]
    assert [each["seconds"] for each in listed] == [each["seconds"] for each in new["sentences"]]
    async with await service.get(f"/jobs/{job}/subtitles.srt") as response:
        subtitles = await response.text()
    assert "The clocks struck one!" in subtitles
    assert "thirteen" not in subtitles


async def test_a_range_of_the_old_revision_is_never_mixed_with_the_new_one(service: Front) -> None:
    job = await done(service, text=TEXT)
    _, etag, before = await wav(service, job)
    await shown(await redone(service, job, 0, speed="2"))
    status, new_etag, body = await wav(service, job, **{"Range": "bytes=100-", "If-Range": etag})
    assert status == 200
    assert len(body) < len(before)
    assert await wav(service, job, **{"If-None-Match": etag}) == (200, new_etag, body)
    assert (await wav(service, job, **{"If-None-Match": new_etag}))[0] == 304
    part = await wav(service, job, **{"Range": "bytes=100-", "If-Range": new_etag})
    assert part == (206, new_etag, body[100:])


async def test_a_sentence_can_be_redone_again_with_the_words_that_it_has_by_then(
    service: Front,
) -> None:
    job = await done(service, text=TEXT)
    await shown(await redone(service, job, 2, text="Did they look up?"))
    made = await shown(await redone(service, job, 2, edge=1, seed="9"))
    assert (made["text"], made["job"]["revision"]) == ("Did they look up?", 2)
    made = await shown(await redone(service, job, 0))
    assert made["text"] == "It was a bright cold day in April."
    assert made["seed"] != 42


async def test_two_redos_of_one_job_at_once_are_one_redo_and_one_refusal(service: Front) -> None:
    job = await done(service, text=TEXT)
    await service.bus.put_value(
        topology.PROGRESS, f"redo.public.{job}", b"\x92\xa4held\xcb\x42\x6d\x1a\x94\xa2\x00\x00\x00"
    )
    assert await problem(await redone(service, job, 0)) == (409, "job_busy")
    await service.bus.drop_value(topology.PROGRESS, f"redo.public.{job}")
    answers = await asyncio.gather(
        *(redone(service, job, number, edge=number % 2) for number in range(4))
    )
    statuses = [response.status for response in answers]
    assert set(statuses) <= {200, 409}
    assert statuses.count(200) >= 1
    new = await shown(await service.get(f"/jobs/{job}/sentences"))
    assert new["revision"] == statuses.count(200)
    assert sum("revision" in sentence for sentence in new["sentences"]) == statuses.count(200)


async def test_a_lock_that_an_edge_left_behind_ends(service: Front) -> None:
    job = await done(service, text="Hello.")
    past = b"\x92\xa4held\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00"  # until one second after 1970
    await service.bus.put_value(topology.PROGRESS, f"redo.public.{job}", past)
    assert (await shown(await redone(service, job, 0)))["job"]["revision"] == 1


async def test_what_cannot_be_redone_is_refused(service: Front) -> None:
    job = await done(service, text="Hello.")
    assert await problem(await redone(service, job, 1)) == (404, "unknown_sentence")
    assert await problem(await redone(service, job, 99_999_999)) == (404, "unknown_sentence")
    assert await problem(await redone(service, "12345678", 0)) == (404, "unknown_job")
    for fields in ({"seed": "x"}, {"speed": "9"}, {"text": "a" * 2_001}, {"title": "a"}):
        assert await problem(await redone(service, job, 0, **fields)) == (400, "bad_request")
    assert await problem(await redone(service, job, 0, text="?!")) == (422, "empty_text")
    assert await problem(await redone(service, job, 0, top_k="5")) == (
        422,
        "unsupported_parameter",
    )
    assert (await shown(await redone(service, job, 0)))["job"]["revision"] == 1

    failed = await posted(service, text="?! ...")
    await ended(service, failed)
    assert await problem(await redone(service, failed, 0)) == (409, "job_ended")
    ssml = await done(service, text="<speak>Hello there.</speak>", text_type="ssml")
    assert await problem(await redone(service, ssml, 0)) == (400, "bad_request")
    assert (await shown(await redone(service, ssml, 0, text="Hello.")))["text"] == "Hello."

    await service.bus.drop_object(topology.RESULTS, f"public/{job}/request")
    assert await problem(await redone(service, job, 0)) == (404, "unknown_job")


@pytest.mark.parametrize("service", [2.0], indirect=True)
async def test_a_job_that_runs_has_no_sentences_to_redo(service: Front) -> None:
    job = await posted(service, text=TEXT)
    assert await problem(await redone(service, job, 0)) == (409, "job_not_done")
    assert await problem(await service.get(f"/jobs/{job}/sentences")) == (409, "job_not_done")


async def test_deleting_a_job_deletes_its_replaced_sentences(tmp_path: Path) -> None:
    async with front(tmp_path) as service:
        job = await done(service, text=TEXT)
        await shown(await redone(service, job, 0))
        await shown(await redone(service, job, 1, text="Other words."))
        assert (await service.delete(f"/jobs/{job}"))[0] == 202
        assert (await service.bus.storage_use(f"OBJ_{topology.RESULTS}")).used < 1_000
        left = await service.bus.count_by_subject(
            f"KV_{topology.PROGRESS}", topology.value_subject(topology.PROGRESS, ">")
        )
        assert {subject.split(".")[2] for subject in left} <= {"deleted", "room", "clip"}
