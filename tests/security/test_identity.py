"""Two tenants that choose one id, and one tenant that chooses it twice, never get each other's audio."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import pytest

from services.admin import keys as api_keys
from services.common.bus import topology
from tests.support.front import SETTINGS, Front, front
from tests.support.service import TEXT, digest, expected_pcm
from tests.support.wav import pcm_of

OTHER_TEXT = "Something else altogether. It has two sentences."
NAME = "book-0001"


@pytest.fixture
async def service(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> AsyncIterator[Front]:
    keys = tmp_path / "keys.toml"
    for tenant in ("acme", "globex"):
        api_keys.main([str(keys), "--name", tenant, "--tenant", tenant])
        KEYS[tenant] = capsys.readouterr().out.strip()
    (tmp_path / "nats").mkdir()
    settings = msgspec.structs.replace(SETTINGS, api_keys_file=str(keys))
    async with front(tmp_path / "nats", edges=2, settings=settings) as made:
        yield made


KEYS: dict[str, str] = {}


def as_tenant(tenant: str, name: str | None = NAME, **more: str) -> dict[str, str]:
    chosen = {} if name is None else {"Request-Name": name}
    return {"Authorization": f"Bearer {KEYS[tenant]}"} | chosen | more


async def done(service: Front, tenant: str, job: str = NAME) -> None:
    """Wait until a job is done."""
    async with asyncio.timeout(60):
        while True:
            async with await service.get(f"/jobs/{job}", headers=as_tenant(tenant)) as response:
                shown = await response.json()
            assert shown["state"] in ("queued", "running", "done"), shown
            if shown["state"] == "done":
                return
            await asyncio.sleep(0.1)


async def audio_of(service: Front, tenant: str, job: str = NAME) -> str:
    async with await service.get(f"/jobs/{job}/audio", headers=as_tenant(tenant)) as response:
        assert response.status == 200
        body = await response.read()
        assert len(body) == response.content_length
        return digest([pcm_of(body)])


async def code_of(response: aiohttp.ClientResponse) -> tuple[int, str]:
    async with response:
        content = await response.json(content_type=None) if response.status != 200 else {}
        return response.status, content.get("code", "")


async def forget_message_ids(service: Front) -> None:
    """Do what two minutes do: make every stream forget the message ids that it has seen."""
    for stream in (topology.REQUESTS, topology.JOBS, topology.SENTENCES, topology.AUDIO):
        config = (await service.bus._jetstream.stream_info(stream)).config
        config.duplicate_window = 0.1
        await service.bus._jetstream.update_stream(config)
    await asyncio.sleep(0.3)


async def test_two_tenants_may_give_their_jobs_one_name_and_each_hears_its_own(
    service: Front,
) -> None:
    texts = {"acme": TEXT, "globex": OTHER_TEXT}
    for edge, (tenant, text) in enumerate(texts.items()):
        async with await service.post(
            "/jobs", edge=edge, text=text, headers=as_tenant(tenant)
        ) as response:
            assert response.status == 202, await response.text()
        await done(service, tenant)
        await forget_message_ids(service)
    for tenant, text in texts.items():
        assert await audio_of(service, tenant) == digest([expected_pcm(text)])


async def test_two_tenants_may_give_their_requests_one_name_at_the_same_time(
    service: Front,
) -> None:
    async def spoken(edge: int, tenant: str, text: str) -> str:
        async with await service.post(
            "/synthesize", edge=edge, text=text, headers=as_tenant(tenant)
        ) as response:
            assert response.status == 200, await response.text()
            return digest([pcm_of(await response.read())])

    heard = await asyncio.gather(spoken(0, "acme", TEXT), spoken(0, "globex", OTHER_TEXT))
    assert heard == [digest([expected_pcm(TEXT)]), digest([expected_pcm(OTHER_TEXT)])]


@pytest.mark.parametrize(
    ("first", "second"), [("/synthesize", "/jobs"), ("/jobs", "/synthesize"), ("/jobs", "/jobs")]
)
async def test_a_tenant_cannot_use_a_name_twice_over_requests_and_jobs(
    service: Front, first: str, second: str
) -> None:
    async with await service.post(first, headers=as_tenant("acme")) as response:
        assert response.status in (200, 202), await response.text()
        await response.read()
    refused = await code_of(
        await service.post(second, edge=1, text=OTHER_TEXT, headers=as_tenant("acme"))
    )
    assert refused == (409, "request_id_taken")
    if first == "/jobs":
        await done(service, "acme")
        assert await audio_of(service, "acme") == digest([expected_pcm(TEXT)])


async def test_of_a_request_and_a_job_that_choose_one_name_at_once_at_most_one_is_taken(
    service: Front,
) -> None:
    async def asked(edge: int, path: str) -> tuple[int, str]:
        return await code_of(await service.post(path, edge=edge, headers=as_tenant("acme")))

    answers = await asyncio.gather(asked(0, "/synthesize"), asked(1, "/jobs"))
    taken = [answer for answer in answers if answer != (409, "request_id_taken")]
    assert len(taken) <= 1
    assert all(status in (200, 202) for status, _ in taken)


async def test_a_refused_name_leaves_the_one_that_runs_counted(service: Front) -> None:
    headers = as_tenant("acme")
    async with await service.post("/stream", text=TEXT * 20, headers=headers) as running:
        await running.content.readexactly(1_000)
        assert await code_of(await service.post("/stream", headers=headers)) == (
            409,
            "request_id_taken",
        )
        body = await running.read()
    assert digest([body[-1_000:]]) == digest([expected_pcm(TEXT * 20)[-1_000:]])


async def test_gateways_ids_are_correlation_ids_and_may_repeat(service: Front) -> None:
    for _ in range(2):
        headers = as_tenant("acme", None, **{"X-Request-Id": "order/0001: gateway"[:10]})
        async with await service.post("/synthesize", headers=headers) as response:
            assert response.status == 200, await response.text()
            assert response.headers["X-Request-Id"] == "order/0001"
            assert len(response.headers["Request-Name"]) == 32
            assert digest([pcm_of(await response.read())]) == digest([expected_pcm(TEXT)])


async def test_another_tenants_request_can_be_neither_stopped_nor_resumed_by_its_name(
    service: Front,
) -> None:
    text = TEXT * 20
    async with await service.post("/stream", text=text, headers=as_tenant("acme")) as running:
        begin = await running.content.readexactly(1_000)
        name = f"{service.addresses[0]}/requests/{NAME}"
        async with service.session.delete(name, headers=as_tenant("globex")) as response:
            assert response.status == 202
        assert await code_of(
            await service.session.get(f"{name}/audio", headers=as_tenant("globex"))
        ) == (
            404,
            "unknown_request",
        )
        body = begin + await running.read()
    assert digest([pcm_of(body)]) == digest([expected_pcm(text)])
