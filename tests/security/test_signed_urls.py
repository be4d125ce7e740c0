"""A signed URL gives what its key can read, and nothing else."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.front import SETTINGS, Front, front

SECRET = "5" * 64


@pytest.fixture
async def service(tmp_path: Path, keys: dict[str, str]) -> AsyncIterator[Front]:
    assert keys
    (tmp_path / "secrets").write_text(SECRET)
    settings = msgspec.structs.replace(
        SETTINGS,
        api_keys_file=str(tmp_path / "keys.toml"),
        url_secrets_file=str(tmp_path / "secrets"),
    )
    (tmp_path / "nats").mkdir()
    async with front(tmp_path / "nats", edges=2, settings=settings) as made:
        yield made


def bearing(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


async def sign(service: Front, key: str, **body: Any) -> tuple[int, dict[str, Any]]:
    async with service.session.post(
        f"{service.addresses[0]}/signed-urls", data=json.dumps(body), headers=bearing(key)
    ) as response:
        return response.status, await response.json(content_type=None)


async def job_of(service: Front, key: str) -> str:
    async with await service.post("/jobs", headers=bearing(key)) as response:
        job: str = (await response.json())["id"]
    async with asyncio.timeout(60):
        while True:
            async with await service.get(f"/jobs/{job}", headers=bearing(key)) as response:
                if (await response.json())["state"] == "done":
                    return job
            await asyncio.sleep(0.1)


async def code_of(service: Front, path: str, method: str = "GET") -> tuple[int, str]:
    async with service.session.request(method, service.addresses[1] + path) as response:
        body = await response.read()
        code = json.loads(body)["code"] if response.status >= 400 and body else ""
        return response.status, code


async def test_a_signed_url_is_read_without_a_key_at_any_edge_with_ranges(
    service: Front, keys: dict[str, str]
) -> None:
    job = await job_of(service, keys["acme"])
    path = f"/jobs/{job}/audio"
    async with await service.get(path, headers=bearing(keys["acme"])) as response:
        whole = await response.read()
    status, answer = await sign(service, keys["acme"], path=path, expires_in=60)
    assert status == 200
    assert answer["expires_at"].endswith("+00:00")
    async with await service.get(answer["url"], edge=1) as response:
        assert await response.read() == whole
    ranged = {"Range": "bytes=100-199"}
    async with await service.get(answer["url"], edge=1, headers=ranged) as response:
        assert response.status == 206
        assert await response.read() == whole[100:200]
    assert (await code_of(service, answer["url"], "HEAD"))[0] == 200

    for suffix in ("events", "subtitles.vtt"):
        _, answer = await sign(service, keys["acme"], path=f"/jobs/{job}/{suffix}")
        assert (await code_of(service, answer["url"]))[0] == 200


async def test_a_signed_url_gives_nothing_else(service: Front, keys: dict[str, str]) -> None:
    job = await job_of(service, keys["acme"])
    _, answer = await sign(service, keys["acme"], path=f"/jobs/{job}/audio")
    url = answer["url"]
    refused = (403, "signed_url_invalid")
    assert await code_of(service, url.replace("/audio", "/events")) == refused
    assert await code_of(service, url.replace("acme-web", "globex-web")) == refused
    assert await code_of(service, url[:-1] + ("A" if url[-1] != "A" else "B")) == refused
    assert await code_of(service, url + "&from=1") == (401, "key_missing")
    assert await code_of(service, url, "DELETE") == (401, "key_missing")
    assert await code_of(service, url.replace("signature", "sig")) == (401, "key_missing")

    # of another tenant: signed, but there is no such job
    _, answer = await sign(service, keys["globex"], path=f"/jobs/{job}/audio")
    assert await code_of(service, answer["url"]) == (404, "unknown_job")

    _, answer = await sign(service, keys["acme"], path=f"/jobs/{job}/audio", expires_in=1)
    async with asyncio.timeout(60):
        while await code_of(service, answer["url"]) != refused:
            await asyncio.sleep(0.2)


async def test_the_urls_of_a_removed_key_are_refused(
    service: Front, keys: dict[str, str], tmp_path: Path
) -> None:
    job = await job_of(service, keys["acme"])
    _, answer = await sign(service, keys["acme"], path=f"/jobs/{job}/audio")
    assert (await code_of(service, answer["url"]))[0] == 200
    (tmp_path / "keys.toml").write_text("keys = []")
    async with asyncio.timeout(60):
        while await code_of(service, answer["url"]) != (403, "signed_url_invalid"):
            await asyncio.sleep(0.2)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"path": "/voices"},
        {"path": "/jobs/book-0001"},
        {"path": "/jobs/book-0001/audio", "expires_in": 0},
        {"path": "/jobs/book-0001/audio", "expires_in": 3601},
        {"path": "/jobs/book-0001/audio", "method": "DELETE"},
        {"path": "//evil.example/jobs/book-0001/audio"},
    ],
)
async def test_what_cannot_be_signed_is_refused(
    service: Front, keys: dict[str, str], body: dict[str, Any]
) -> None:
    status, problem = await sign(service, keys["acme"], **body)
    assert (status, problem["code"]) == (400, "bad_request")


async def test_without_a_secret_nothing_is_signed(tmp_path: Path, keys: dict[str, str]) -> None:
    settings = msgspec.structs.replace(SETTINGS, api_keys_file=str(tmp_path / "keys.toml"))
    async with front(tmp_path, settings=settings) as service:
        status, problem = await sign(service, keys["acme"], path="/jobs/book-0001/audio")
        assert (status, problem["code"]) == (501, "signed_urls_off")
        forged = "/jobs/book-0001/audio?expires=9999999999&key=acme-web&signature=" + "A" * 43
        async with await service.get(forged) as response:
            assert response.status == 401


async def test_without_keys_a_path_needs_no_signature(tmp_path: Path) -> None:
    async with front(tmp_path) as service:
        path = "/jobs/book-0001/audio"
        assert await sign(service, "any", path=path) == (200, {"url": path})
