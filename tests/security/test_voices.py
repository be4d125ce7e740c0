"""Voices of one tenant can be neither seen, used, changed nor erased by another; and nothing personal is logged."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.admin import keys as api_keys
from services.common.bus import topology
from services.common.runtime.settings import BadSettings, read_settings
from services.common.wire.voices import BUILT_IN_TENANT, SHARED_TENANT
from services.http_edge.auth.api_keys import ApiKeys
from services.http_edge.errors import CannotReadKeys
from services.http_edge.settings import Settings
from tests.integration.test_voices import CONSENT, OTHER_VOICE, send, voice_form
from tests.support.front import SETTINGS, Front, form, front

KEYS: dict[str, str] = {}


@pytest.fixture
async def service(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> AsyncIterator[Front]:
    keys = tmp_path / "keys.toml"
    for tenant in ("acme", "globex"):
        api_keys.main([str(keys), "--name", f"{tenant}-web", "--tenant", tenant])
        KEYS[tenant] = capsys.readouterr().out.strip()
    (tmp_path / "nats").mkdir()
    settings = msgspec.structs.replace(SETTINGS, api_keys_file=str(keys))
    async with front(tmp_path / "nats", edges=1, settings=settings) as made:
        yield made


def as_tenant(tenant: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {KEYS[tenant]}"}


async def call(
    service: Front, tenant: str, method: str, path: str, **options: Any
) -> tuple[int, Any]:
    return await send(service, method, path, headers=as_tenant(tenant), **options)


async def test_every_voice_route_needs_a_key(service: Front) -> None:
    for method, path in (
        ("POST", "/voices"),
        ("GET", "/voices"),
        ("POST", "/voices/import"),
        ("DELETE", "/voices/uploads"),
        ("GET", "/voices/Anna"),
        ("PATCH", "/voices/Anna"),
        ("PUT", "/voices/Anna/clips"),
        ("DELETE", "/voices/Anna"),
        ("GET", "/voices/Anna/preview"),
        ("GET", "/voices/Anna/export"),
    ):
        status, problem = await send(service, method, path)
        assert (status, problem["code"]) == (401, "key_missing"), path


async def test_a_tenant_reaches_no_voice_of_another_tenant(service: Front) -> None:
    status, made = await call(service, "acme", "POST", "/voices", data=voice_form())
    assert (status, made["uploaded_by"]) == (201, "acme-web")
    for given in ("Anna", made["id"], f"{made['id']}@1"):
        for method, path, options in (
            ("GET", f"/voices/{given}", {}),
            ("GET", f"/voices/{given}/preview", {}),
            ("GET", f"/voices/{given}/export", {}),
            ("PATCH", f"/voices/{given}", {"json": {"description": "mine now"}}),
            ("PUT", f"/voices/{given}/clips", {"data": voice_form((OTHER_VOICE,), name=None)}),
            ("DELETE", f"/voices/{given}", {}),
            ("POST", "/synthesize", {"data": form(voice=given, reference_audio=None)}),
        ):
            status, problem = await call(service, "globex", method, path, **options)
            assert (status, problem["code"]) == (404, "unknown_voice"), (method, path)
            assert "Anna" not in problem["detail"]
    _, listed = await call(service, "globex", "GET", "/voices?kind=library")
    assert listed["voices"] == []
    status, own = await call(service, "globex", "POST", "/voices", data=voice_form())
    assert status == 201, "names are unique within a tenant"
    assert own["id"] != made["id"]
    assert await call(service, "globex", "DELETE", "/voices/uploads") == (204, None)
    assert await call(service, "acme", "GET", "/voices/Anna") == (200, made)


async def test_deleting_uploads_leaves_those_of_other_tenants(service: Front) -> None:
    for tenant in ("acme", "globex"):
        async with await service.post("/synthesize", headers=as_tenant(tenant)) as response:
            assert response.status == 200, await response.text()
    assert await call(service, "acme", "DELETE", "/voices/uploads") == (204, None)
    computed = await service.bus.count_by_subject(f"KV_{topology.VOICES}", ">")
    assert [key.split(".")[4] for key in computed] == ["globex"]
    clips = topology.value_subject(topology.PROGRESS, "clip.>")
    counted = await service.bus.count_by_subject(f"KV_{topology.PROGRESS}", clips)
    assert [key.split(".")[3] for key in counted] == ["globex"]


@pytest.mark.parametrize("tenant", [SHARED_TENANT, BUILT_IN_TENANT])
def test_no_api_key_belongs_to_the_shared_or_built_in_voices(tmp_path: Path, tenant: str) -> None:
    keys = tmp_path / "keys.toml"
    keys.write_text(f'[[keys]]\nname = "x"\nhash = "{"0" * 64}"\ntenant = "{tenant}"\n')
    with pytest.raises(CannotReadKeys, match="reserved"):
        ApiKeys(keys)


@pytest.mark.parametrize("tenant", [SHARED_TENANT, BUILT_IN_TENANT])
def test_no_edge_starts_as_the_tenant_of_the_shared_or_built_in_voices(
    tmp_path: Path, tenant: str
) -> None:
    with pytest.raises(BadSettings, match=r"^TENANT: _builtin and _shared are reserved"):
        read_settings(Settings, {"TENANT": tenant})
    with pytest.raises(SystemExit, match=f"--tenant {tenant} is reserved"):
        api_keys.main([str(tmp_path / "keys.toml"), "--name", "x", "--tenant", tenant])


async def test_the_audit_log_has_ids_and_nothing_personal(
    service: Front, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    described = voice_form(name="Zaphod", description="two heads")
    _, made = await call(service, "acme", "POST", "/voices", data=described)
    clips = voice_form((OTHER_VOICE,), name=None)
    await call(service, "acme", "PUT", "/voices/Zaphod/clips", data=clips)
    await call(service, "acme", "PATCH", "/voices/Zaphod", json={"name": "Trillian"})
    async with await service.get("/voices/Trillian/export", headers=as_tenant("acme")) as file:
        assert file.status == 200
    await call(service, "acme", "GET", "/voices/Zaphodd")
    await call(service, "acme", "DELETE", "/voices/Trillian")
    logged = capsys.readouterr().out
    for event in ("created", "clips_replaced", "changed", "exported", "deleted"):
        [line] = [line for line in logged.splitlines() if f"voice_{event} " in line]
        assert "tenant=acme" in line
        assert f"voice={made['id']}" in line
        assert "key=acme-web" in line
    for personal in ("Zaphod", "Trillian", "two heads", CONSENT["speaker"]):
        assert personal not in logged
