"""Two engines behind one edge: `model` decides which one, what a key allows, and whose queue it enters."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import openai
import pytest

from services.admin import keys as api_keys
from services.http_edge.intake.openai.openai_body import ALIASES
from tests.support.front import SETTINGS, Front, front
from tests.support.other_engine import other_worker
from tests.support.service import TEXT, expected_pcm

EXTRA = {"language": "en", "seed": 42}
OF_THE_EDGE = ["tone", *ALIASES]


@pytest.fixture
def keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """Make a file of keys, and return them by their names."""
    made = {}
    for name, engines in (("any", []), ("own", ["tone"]), ("other", ["other"]), ("none", ["xtts"])):
        limits = ["--engines", *engines] if engines else []
        api_keys.main([str(tmp_path / "keys.toml"), "--name", name, *limits])
        made[name] = capsys.readouterr().out.strip()
    return made


@pytest.fixture
async def service(tmp_path: Path, keys: dict[str, str]) -> AsyncIterator[Front]:
    assert keys
    settings = msgspec.structs.replace(SETTINGS, api_keys_file=str(tmp_path / "keys.toml"))
    (tmp_path / "nats").mkdir()
    async with (
        front(tmp_path / "nats", settings=settings) as made,
        other_worker(made.bus),
    ):
        await until_listed(made, keys["any"], "other")
        yield made


def bearing(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


async def listed(service: Front, secret: str) -> list[str]:
    async with await service.get("/v1/models", headers=bearing(secret)) as response:
        return [model["id"] for model in (await response.json())["data"]]


async def until_listed(service: Front, secret: str, engine: str) -> None:
    async with asyncio.timeout(20):
        while engine not in await listed(service, secret):
            await asyncio.sleep(0.1)


async def until_due(service: Front, seconds: float) -> None:
    """Wait until the near-term backlog of all engines is this long."""
    async with asyncio.timeout(30):
        while True:
            async with await service.get("/metrics") as response:
                lines = (await response.text()).splitlines()
            [due] = [line for line in lines if line.startswith("tts_due_audio_seconds ")]
            if float(due.split()[1]) >= seconds:
                return
            await asyncio.sleep(0.1)


async def spoken(service: Front, secret: str, model: str | None, **headers: str) -> tuple[int, str]:
    """Return the status, and the engine or the code of the failure."""
    body: dict[str, Any] = {"input": TEXT, "response_format": "pcm"} | EXTRA
    async with service.session.post(
        f"{service.addresses[0]}/v1/audio/speech",
        json=body if model is None else body | {"model": model},
        headers=bearing(secret) | headers,
    ) as response:
        if response.status != 200:
            return response.status, (await response.json())["error"]["code"]
        assert await response.read() == expected_pcm()
        return 200, response.headers["X-Engine"]


async def test_the_model_decides_which_engine_a_key_needs(
    service: Front, keys: dict[str, str]
) -> None:
    denied = (403, "engine_not_allowed")
    for name, own, other in (
        ("any", (200, "tone"), (200, "other")),
        ("own", (200, "tone"), denied),
        ("other", denied, (200, "other")),
        ("none", denied, denied),
    ):
        assert await spoken(service, keys[name], "other") == other, name
        for model in ("tone", "tts-1", None):
            assert await spoken(service, keys[name], model) == own, (name, model)


async def test_the_client_of_openai_speaks_with_the_only_engine_of_its_key(
    service: Front, keys: dict[str, str]
) -> None:
    async with openai.AsyncOpenAI(
        api_key=keys["other"], base_url=f"{service.addresses[0]}/v1", max_retries=0
    ) as client:
        [model] = (await client.models.list()).data
        speech = await client.audio.speech.create(
            model=model.id, voice="alloy", input=TEXT, response_format="pcm", extra_body=EXTRA
        )
        assert speech.content == expected_pcm()


async def test_a_key_sees_the_models_that_it_can_use(service: Front, keys: dict[str, str]) -> None:
    for name, models in (
        ("any", ["tone", "other", *ALIASES]),
        ("own", OF_THE_EDGE),
        ("other", ["other"]),
        ("none", []),
    ):
        assert await listed(service, keys[name]) == models, name
        for model in ("tone", "other", "tts-1"):
            path = f"/v1/models/{model}"
            async with await service.get(path, headers=bearing(keys[name])) as response:
                assert response.status == (200 if model in models else 404), (name, model)
    async with await service.get("/v1/audio/voices", headers=bearing(keys["other"])) as response:
        assert {"low", "high"} <= {voice["name"] for voice in (await response.json())["voices"]}


async def test_paths_that_use_the_edges_engine_refuse_a_key_for_another_one(
    service: Front, keys: dict[str, str]
) -> None:
    headers = bearing(keys["other"])
    for path in ("/synthesize", "/stream", "/jobs", "/normalize"):
        async with await service.post(path, headers=headers) as response:
            assert (response.status, (await response.json(content_type=None))["code"]) == (
                403,
                "engine_not_allowed",
            )
    async with await service.get("/voices/low/preview", headers=headers) as response:
        assert response.status == 403


async def test_such_a_key_resumes_and_reads_its_own_requests(
    service: Front, keys: dict[str, str]
) -> None:
    named = {"Request-Name": "of-the-other-engine"}
    assert await spoken(service, keys["other"], "other", **named) == (200, "other")
    path = "/requests/of-the-other-engine"
    headers = bearing(keys["other"])
    async with await service.get(
        f"{path}/audio?from=1000&response_format=pcm", headers=headers
    ) as response:
        assert response.status == 200
        assert await response.read() == expected_pcm()[1000:]
    for part in ("/sentences", "/subtitles.vtt"):
        async with await service.get(path + part, headers=headers) as response:
            assert response.status == 200, part
    async with await service.get("/voices", headers=headers) as response:
        assert response.status == 200


async def test_a_full_queue_of_one_engine_refuses_nothing_of_another(tmp_path: Path) -> None:
    settings = msgspec.structs.replace(SETTINGS, queue_audio_s=12.0, tenant_share=0.8)
    body = {"input": TEXT, "response_format": "pcm"} | EXTRA
    long = body | {"model": "other", "input": "Hello there. " * 20}
    async with (
        front(tmp_path, settings=settings) as service,
        other_worker(service.bus, real_time_factor=1.0),
    ):
        await until_listed(service, "", "other")
        url = f"{service.addresses[0]}/v1/audio/speech"
        slow = [asyncio.create_task(service.session.post(url, json=long)) for _ in range(2)]
        await until_due(service, 10.0)  # of two requests at most 5 s each
        async with service.session.post(url, json=long) as response:
            assert (response.status, (await response.json())["error"]["code"]) == (
                429,
                "tenant_queue_full",
            )

        async with service.session.post(url, json=body | {"model": "tts-1"}) as response:
            assert response.status == 200
            assert await response.read() == expected_pcm()
        async with await service.post("/synthesize") as response:
            assert response.status == 200
            await response.read()

        for task in slow:
            task.cancel()
        for result in await asyncio.gather(*slow, return_exceptions=True):
            if isinstance(result, aiohttp.ClientResponse):
                result.close()
