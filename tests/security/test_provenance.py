"""A tenant finds its own speech in a recording, and never another tenant's."""

import io
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from tests.support.front import SETTINGS, Front, front
from tests.support.service import TEXT, sentence_count


@pytest.fixture
async def service(tmp_path: Path, keys: dict[str, str]) -> AsyncIterator[Front]:
    assert keys
    settings = msgspec.structs.replace(SETTINGS, api_keys_file=str(tmp_path / "keys.toml"))
    (tmp_path / "nats").mkdir()
    async with front(tmp_path / "nats", settings=settings) as made:
        yield made


async def asked(
    service: Front, recording: bytes, headers: dict[str, str], **fields: str
) -> tuple[int, dict[str, Any]]:
    form = aiohttp.FormData(default_to_multipart=True)
    form.add_field("file", io.BytesIO(recording), filename="recording")
    for name, value in fields.items():
        form.add_field(name, value)
    url = f"{service.addresses[0]}/provenance"
    async with service.session.post(url, data=form, headers=headers) as response:
        return response.status, await response.json(content_type=None)


async def test_no_request_field_or_header_shows_a_tenant_the_speech_of_another_one(
    service: Front, keys: dict[str, str]
) -> None:
    acme, globex = ({"X-API-Key": keys[tenant]} for tenant in ("acme", "globex"))
    name = secrets.token_hex(16)
    async with await service.post("/synthesize", headers=acme | {"Request-Name": name}) as response:
        assert response.status == 200
        recording = await response.read()

    status, own = await asked(service, recording, acme)
    assert status == 200
    assert [one["request"] for one in own["sentences"]] == [name] * sentence_count(TEXT)

    status, other = await asked(service, recording, globex)
    assert status == 200
    assert (other["sentences"], other["voices"]) == ([], [])
    assert other["watermark"] == own["watermark"], "the mark is no secret"
    assert name not in str(other)

    for header in ("X-Tenant", "Tenant", "Request-Name", "X-Request-Id"):
        value = name if header.startswith(("Request", "X-Request")) else "acme"
        status, other = await asked(service, recording, globex | {header: value})
        assert (status, other["sentences"]) == (200, [])
    status, refused = await asked(service, recording, globex, tenant="acme")
    assert (status, refused["code"]) == (400, "bad_request")

    for headers in ({}, {"X-API-Key": "wrong"}):
        status, refused = await asked(service, recording, headers)
        assert status == 401
        assert "sentences" not in refused
