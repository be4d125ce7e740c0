"""Attempts to use up the storage of other tenants' job results, and what DELETE frees."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.admin import keys as api_keys
from services.common.bus import topology
from services.common.wire.failures import QueueFull
from services.http_edge.jobs import results
from services.http_edge.jobs.results_quota import ResultsQuota
from tests.support.front import SETTINGS, Front, front

SENTENCE = "It was a bright cold day in April and the clocks were striking. "  # 64 characters, 4.9 s by estimate
LONG = SENTENCE * 20  # 4.7 MB by estimate, 4 MB as it is spoken
STORE_BYTES = 20_000_000
TENANT_BYTES = 8_000_000
REQUEST_BYTES = 4 * len(LONG) + results.SENTENCE_BYTES  # at most, of the request of a job


@pytest.fixture
def keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    made = {}
    for name in ("acme", "globex"):
        api_keys.main([str(tmp_path / "keys.toml"), "--name", name, "--tenant", name])
        made[name] = capsys.readouterr().out.strip()
    return made


@pytest.fixture
async def service(
    tmp_path: Path, keys: dict[str, str], request: pytest.FixtureRequest
) -> AsyncIterator[Front]:
    """Run two edges with a small store of job results, of which each tenant has less than half."""
    assert keys
    settings = msgspec.structs.replace(
        SETTINGS, api_keys_file=str(tmp_path / "keys.toml"), job_results_tenant_bytes=TENANT_BYTES
    )
    (tmp_path / "nats").mkdir()
    factor = getattr(request, "param", 0.0)
    async with front(
        tmp_path / "nats", edges=2, settings=settings, real_time_factor=factor
    ) as made:
        jetstream = made.bus.client.jetstream()
        config = (await jetstream.stream_info(f"OBJ_{topology.RESULTS}")).config
        config.max_bytes = STORE_BYTES
        await jetstream.update_stream(config)
        yield made


@pytest.fixture
def acme(keys: dict[str, str]) -> dict[str, str]:
    return {"Authorization": f"Bearer {keys['acme']}"}


@pytest.fixture
def globex(keys: dict[str, str]) -> dict[str, str]:
    return {"Authorization": f"Bearer {keys['globex']}"}


async def posted(
    service: Front, headers: dict[str, str], text: str = LONG
) -> tuple[int, dict[str, Any]]:
    async with await service.post("/jobs", headers=headers, text=text) as response:
        return response.status, await response.json(content_type=None)


async def shown(service: Front, headers: dict[str, str], job: str) -> dict[str, Any]:
    async with await service.get(f"/jobs/{job}", headers=headers) as response:
        found: dict[str, Any] = await response.json(content_type=None)
        return found


async def until(state: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await state():
            await asyncio.sleep(0.05)


async def ended(service: Front, headers: dict[str, str], job: str) -> dict[str, Any]:
    async def over() -> bool:
        return (await shown(service, headers, job))["state"] in ("done", "failed", "cancelled")

    await until(over)
    return await shown(service, headers, job)


async def deleted(service: Front, headers: dict[str, str], job: str, edge: int = 0) -> int:
    async with service.session.delete(
        f"{service.addresses[edge]}/jobs/{job}", headers=headers
    ) as response:
        return response.status


async def stored_bytes(service: Front) -> int:
    return (await service.bus.storage_use(f"OBJ_{topology.RESULTS}")).used


async def counted_bytes(service: Front, tenant: str) -> int:
    return await ResultsQuota(service.bus, kept_s=86_400).used_bytes(tenant)


async def test_a_tenant_fills_its_own_storage_and_no_other_tenants(
    service: Front, acme: dict[str, str], globex: dict[str, str]
) -> None:
    answers = await asyncio.gather(*(posted(service, acme) for _ in range(6)))
    taken = [answer["id"] for status, answer in answers if status == 202]
    assert len(taken) == 1
    assert {(status, answer["code"]) for status, answer in answers if status != 202} == {
        (507, "results_full")
    }
    assert all("DELETE /jobs" in answer["detail"] for status, answer in answers if status != 202)
    assert (await ended(service, acme, taken[0]))["state"] == "done"
    assert await counted_bytes(service, "acme") == pytest.approx(
        await stored_bytes(service), rel=0.02
    )
    status, other = await posted(service, globex)
    assert status == 202
    assert (await ended(service, globex, other["id"]))["state"] == "done"
    assert await deleted(service, acme, taken[0], edge=1) == 202
    assert await counted_bytes(service, "acme") == 0
    status, again = await posted(service, acme)
    assert status == 202
    assert (await ended(service, acme, again["id"]))["state"] == "done"


async def test_deleting_a_job_deletes_everything_stored_of_it_and_its_name_stays_taken(
    service: Front, acme: dict[str, str], globex: dict[str, str]
) -> None:
    named = acme | {"Request-Name": "the-job-of-acme", "Idempotency-Key": "a-key"}
    status, job = await posted(service, named)
    assert status == 202
    assert (await ended(service, acme, job["id"]))["state"] == "done"
    assert await deleted(service, globex, job["id"]) == 404
    async with await service.get(f"/jobs/{job['id']}/audio", headers=acme) as response:
        assert response.status == 200
    assert await deleted(service, acme, job["id"]) == 202
    assert await stored_bytes(service) < 10_000
    for path in ("", "/audio", "/events"):
        async with await service.get(f"/jobs/{job['id']}{path}", headers=acme) as response:
            assert response.status == 404, path
    assert await deleted(service, acme, job["id"]) == 404
    assert (await posted(service, acme | {"Request-Name": "the-job-of-acme"}))[0] == 409
    assert (await posted(service, named))[0] == 404
    jetstream = service.bus.client.jetstream()
    values = await jetstream.stream_info(
        f"KV_{topology.PROGRESS}", subjects_filter="$KV.TTS_PROGRESS.>"
    )
    left = {subject.split(".")[2] for subject in values.state.subjects or {}}
    assert left <= {"deleted", "room", "key", "clip"}  # a clip is no part of a job


@pytest.mark.parametrize("service", [0.4], indirect=True)
async def test_a_job_that_is_cancelled_frees_what_was_spoken_of_it(
    service: Front, acme: dict[str, str]
) -> None:
    _, job = await posted(service, acme)

    async def half_way() -> bool:
        return (await shown(service, acme, job["id"]))["spoken"] >= 3

    await until(half_way)
    assert await stored_bytes(service) > 100_000
    assert await deleted(service, acme, job["id"], edge=1) == 202
    assert (await ended(service, acme, job["id"]))["state"] == "cancelled"

    async def freed() -> bool:
        only_the_request = await counted_bytes(service, "acme") == REQUEST_BYTES
        return only_the_request and await stored_bytes(service) < REQUEST_BYTES

    await until(freed)
    async with await service.get(f"/jobs/{job['id']}/audio", headers=acme) as response:
        assert response.status == 409
    assert await deleted(service, acme, job["id"]) == 202
    assert await counted_bytes(service, "acme") == 0
    assert await stored_bytes(service) < 1_000
    assert await deleted(service, acme, job["id"]) == 404


@pytest.mark.parametrize("service", [0.4], indirect=True)
async def test_in_a_store_that_is_full_a_job_fails_soon_with_its_reason_and_frees_what_it_has(
    service: Front, acme: dict[str, str], globex: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "_FULL_STORE_S", 2.0)
    status, job = await posted(service, acme)
    assert status == 202
    filler = 0
    with pytest.raises(QueueFull):
        while True:
            await service.bus.put_object(
                topology.RESULTS, f"of-another/release/{filler}", bytes(500_000)
            )
            filler += 1
    with suppress(QueueFull):
        await service.bus.put_object(topology.RESULTS, "of-another/release/last", bytes(400_000))
    failed = await ended(service, acme, job["id"])
    assert (failed["state"], failed["code"]) == ("failed", "results_full")
    assert failed["spoken"] < 20

    async def freed() -> bool:
        return await counted_bytes(service, "acme") == REQUEST_BYTES

    await until(freed)
    status, refused = await posted(service, globex)
    assert (status, refused["code"]) == (503, "queue_full")
    assert await counted_bytes(service, "globex") == 0
    for number in range(filler):
        await service.bus.drop_object(topology.RESULTS, f"of-another/release/{number}")
    assert (await posted(service, globex))[0] == 202
