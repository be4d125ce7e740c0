"""The list of jobs, their titles, and what they were made of."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
import pytest_asyncio

from services.admin import keys as api_keys
from services.common.bus import topology
from services.common.wire import codec, subjects
from services.common.wire.messages import SpeechRequest
from tests.integration.test_jobs import ended, posted, problem
from tests.support.front import SETTINGS, Front, front
from tests.support.service import speech_request, stored_clip

TITLE = "Alice’s Adventures; “one” @ 100 %"
CHAPTERS = '[{"title": "One", "start": 0}, {"title": "Two", "start": 9}]'


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Front]:
    async with front(tmp_path_factory.mktemp("nats"), edges=2) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def service(shared: Front) -> AsyncIterator[Front]:
    """Use the service of this file; the jobs of each test are deleted after it."""
    yield shared
    async with asyncio.timeout(120):
        while jobs := (await page(shared))["jobs"]:  # the first deletion cancels a job that runs
            for job in jobs:
                await shared.delete(f"/jobs/{job['id']}")
            await asyncio.sleep(0.05)


async def page(
    service: Front, query: str = "", *, edge: int = 0, headers: dict[str, str] | None = None
) -> dict[str, Any]:
    async with await service.get(f"/jobs{query}", edge=edge, headers=headers) as response:
        assert response.status == 200, await response.text()
        found: dict[str, Any] = await response.json()
        return found


async def test_a_list_has_each_job_with_its_title_and_times_newest_first(service: Front) -> None:
    assert await page(service) == {"jobs": []}
    first = await posted(service, text="The first.", title=TITLE)
    second = await posted(service, text="?! ...")
    await ended(service, first)
    await ended(service, second)

    jobs = (await page(service, edge=1))["jobs"]
    assert [job["id"] for job in jobs] == [second, first]
    assert (jobs[0]["state"], jobs[0]["code"]) == ("failed", "empty_text")
    done = jobs[1]
    assert (done["title"], done["language"], done["characters"]) == (TITLE, "en", 10)
    assert done["audio_seconds"] > 0
    assert done["created"] <= done["finished"] < done["expires"]
    assert "title" not in jobs[0]
    async with await service.get(f"/jobs/{first}") as response:
        assert await response.json() == done


async def test_pages_continue_after_their_cursor_while_jobs_come_and_go(service: Front) -> None:
    names = [f"a-job-number-{number}" for number in range(7)]
    for name in names:
        async with await service.post(
            "/jobs", text="Hello.", headers={"Request-Name": name}
        ) as response:
            assert response.status == 202
    for name in names:
        await ended(service, name)

    first = await page(service, "?limit=3")
    assert [job["id"] for job in first["jobs"]] == names[:3:-1]
    await posted(service, text="A later one.")
    assert (await service.delete(f"/jobs/{names[3]}"))[0] == 202
    second = await page(service, f"?limit=2&after={quote(first['next'])}", edge=1)
    assert [job["id"] for job in second["jobs"]] == [names[2], names[1]]
    last = await page(service, f"?limit=2&after={quote(second['next'])}")
    assert [job["id"] for job in last["jobs"]] == [names[0]]
    assert "next" not in last


async def test_a_list_can_have_only_jobs_in_some_states(service: Front) -> None:
    done = await posted(service, text="Hello.")
    failed = await posted(service, text="?! ...")
    for job in (done, failed):
        await ended(service, job)
    assert [job["id"] for job in (await page(service, "?state=done"))["jobs"]] == [done]
    assert [job["id"] for job in (await page(service, "?state=failed,queued"))["jobs"]] == [failed]
    assert await page(service, "?state=queued,running") == {"jobs": []}


BAD_QUERIES = (
    "limit=0",
    "limit=201",
    "limit=ten",
    "after=1",
    "after=1-short",
    "after=1-12345678*",
    "state=over",
    "state=done,",
    "page=2",
    "limit=1&limit=2",
)


async def test_a_bad_query_is_refused_by_name(service: Front) -> None:
    for query in BAD_QUERIES:
        async with await service.get(f"/jobs?{query}") as response:
            content = await response.json(content_type="application/problem+json")
        assert (response.status, content["code"]) == (400, "bad_request"), query
        assert query.split("=")[0] in content["detail"]


async def test_a_tenant_sees_only_its_own_jobs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = {}
    for name in ("acme", "globex"):
        api_keys.main([str(tmp_path / "keys.toml"), "--name", name, "--tenant", name])
        keys[name] = {"Authorization": f"Bearer {capsys.readouterr().out.strip()}"}
    (tmp_path / "nats").mkdir()
    settings = msgspec.structs.replace(SETTINGS, api_keys_file=str(tmp_path / "keys.toml"))

    async with front(tmp_path / "nats", settings=settings) as service:
        headers = keys["acme"] | {"Request-Name": "the-job-of-acme"}
        async with await service.post("/jobs", text="Mine.", headers=headers) as response:
            assert response.status == 202
        assert [job["id"] for job in (await page(service, headers=keys["acme"]))["jobs"]] == [
            "the-job-of-acme"
        ]
        assert await page(service, headers=keys["globex"]) == {"jobs": []}
        path = "/jobs/the-job-of-acme/request"
        assert await problem(await service.get(path, headers=keys["globex"])) == (
            404,
            "unknown_job",
        )
        assert await problem(await service.get("/jobs")) == (401, "key_missing")


async def test_the_text_and_parameters_of_a_job_can_be_read_until_it_is_deleted(
    service: Front,
) -> None:
    job = await posted(
        service,
        text="A first. A second.",
        title=TITLE,
        chapters=CHAPTERS,
        speed="1.5",
        pronunciations='{"second": "other"}',
    )
    await ended(service, job)
    async with await service.get(f"/jobs/{job}/request", edge=1) as response:
        assert (response.status, response.headers["Cache-Control"]) == (200, "no-store")
        found = await response.json()
    assert found == {
        "text": "A first. A second.",
        "text_type": "text",
        "language": "en",
        "seed": 42,
        "enable_text_splitting": True,
        "spoken_forms": True,
        "pronunciations": {"second": "other"},
        "parameters": {"speed": 1.5},
        "engine": "tone",
        "recordings": 1,
        "title": TITLE,
        "chapters": [{"title": "One", "start": 0}, {"title": "Two", "start": 9}],
    }
    assert (await service.delete(f"/jobs/{job}"))[0] == 202
    assert await page(service) == {"jobs": []}
    assert await problem(await service.get(f"/jobs/{job}/request")) == (404, "unknown_job")
    stored = await service.bus.count_by_subject(
        f"KV_{topology.PROGRESS}", topology.value_subject(topology.PROGRESS, "listed.>")
    )
    assert stored == {}
    name = f"public/{job}/request"
    assert await service.bus.get_object(topology.RESULTS, name) is None


async def test_the_text_of_a_job_that_failed_or_waits_can_be_read(service: Front) -> None:
    failed = await posted(service, text="?! ...")
    await ended(service, failed)
    async with await service.get(f"/jobs/{failed}/request") as response:
        assert (await response.json())["text"] == "?! ..."


async def test_a_job_over_nats_is_listed_with_its_title(service: Front) -> None:
    clip = await stored_clip(service.bus)
    request: SpeechRequest = msgspec.structs.replace(
        speech_request(clip, "Hello from NATS."), title="Over NATS"
    )
    subject = subjects.job("public")
    await service.bus.publish(subject, codec.encode(request), message_id=request.request)
    async with asyncio.timeout(30):
        while not (jobs := (await page(service, "?state=done"))["jobs"]):
            await asyncio.sleep(0.05)
    assert [(job["id"], job["title"]) for job in jobs] == [(request.request, "Over NATS")]


BAD_FIELDS = (
    ("title", "x" * 201, "title must be one line"),
    ("title", "two\nlines", "title must be one line"),
    ("chapters", "no JSON", "chapters must be a JSON array"),
    ("chapters", '{"title": "One", "start": 0}', "chapters must be a JSON array"),
    ("chapters", '[{"title": "", "start": 0}]', "chapters must be a JSON array"),
    ("chapters", '[{"title": "One", "start": -1}]', "chapters must be a JSON array"),
    ("chapters", '[{"title": "One", "begin": 1}]', "chapters must be a JSON array"),
    ("chapters", '[{"title": "A", "start": 5}, {"title": "B", "start": 5}]', "in order"),
    ("chapters", '[{"title": "One", "start": 6}]', "the text has 6"),
)


async def test_a_bad_title_or_chapter_is_refused(service: Front) -> None:
    for field, value, part in BAD_FIELDS:
        async with await service.post("/jobs", **{"text": "Hello.", field: value}) as response:
            content = await response.json(content_type="application/problem+json")
        assert (response.status, content["code"]) == (400, "bad_request"), value
        assert part in content["detail"]


async def test_only_jobs_have_titles(service: Front) -> None:
    assert await problem(await service.post("/synthesize", title="A title")) == (400, "bad_request")


async def test_an_entry_whose_job_has_expired_is_left_out(service: Front) -> None:
    job = await posted(service, text="Hello.")
    await ended(service, job)
    await service.bus.drop_value(topology.PROGRESS, f"job.public.{job}")
    assert await page(service) == {"jobs": []}
