"""Users of NATS, over TLS, on a real server: each role can do its own work, and nothing else."""

import asyncio
import os
import secrets
import shutil
import ssl
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import nats
import nats.errors
import nats.js.errors
import pytest
import pytest_asyncio
from nats.aio.client import Client

from services.admin import keys, nats_users, streams
from services.common.bus import topology
from services.common.bus.nats import accounts
from services.common.bus.nats.connection import connect
from services.common.bus.nats.roles import service_roles, tenant_role
from services.common.runtime.local_nats import find_nats_server, free_port, local_nats
from services.common.runtime.service_process import ProcessSettings
from services.common.wire import codec, subjects
from services.common.wire.failures import BusUnavailable
from services.common.wire.messages import ClipStored, StoreClip
from services.common.wire.voices import SHARED_TENANT
from tests.deploy.manifests import ROOT
from tests.support.front import VOICE, form
from tests.support.guarded import Guarded, guarded_nats, guarded_service, make_keys
from tests.support.service import TEXT, expected_pcm, speech_request
from tests.support.wav import pcm_of

ROLES = {role.name: role for role in [*service_roles(), tenant_role("acme"), tenant_role("globex")]}


SHARED = pytest.mark.asyncio(loop_scope="module")  # with the services of this file


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Guarded]:
    async with guarded_nats(tmp_path) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[tuple[Guarded, str]]:
    """Start one server with services for all tests that only use them."""
    folder = tmp_path_factory.mktemp("nats")
    async with guarded_nats(folder) as server, guarded_service(server, folder) as address:
        yield server, address


@pytest.fixture
def shared(running: tuple[Guarded, str]) -> Guarded:
    """Return the server that has services, and what it refused in this test."""
    server, _ = running
    server.refused.clear()
    return server


@pytest.fixture
def service(running: tuple[Guarded, str]) -> str:
    """Return the address of the edge of these services."""
    return running[1]


@pytest.fixture
async def own_service(guarded: Guarded, tmp_path: Path) -> AsyncIterator[str]:
    async with guarded_service(guarded, tmp_path) as address:
        yield address


@SHARED
async def test_every_process_does_its_work_in_its_own_role(service: str) -> None:
    owed = expected_pcm(TEXT, max_characters=250)
    async with aiohttp.ClientSession() as session:
        async with session.post(
            f"{service}/synthesize", data=form(), headers={"Idempotency-Key": "a-key"}
        ) as response:
            assert response.status == 200, await response.text()
            assert pcm_of(await response.read()) == owed
        text = aiohttp.FormData()
        text.add_field("text", "Il a 5 ans.", content_type="text/plain")
        async with session.post(f"{service}/normalize", data=text) as response:
            assert response.status == 200, await response.text()
            assert (await response.json())["sentences"][0]["text"] == "Il a cinq ans."
        async with session.post(f"{service}/jobs", data=form()) as response:
            assert response.status == 202, await response.text()
            job = (await response.json())["id"]
        async with asyncio.timeout(60):
            while (shown := await _shown(session, f"{service}/jobs/{job}"))["state"] != "done":
                assert shown["state"] in ("queued", "running"), shown
                await asyncio.sleep(0.1)
        async with session.get(f"{service}/jobs/{job}/audio") as response:
            assert pcm_of(await response.read()) == owed
        async with session.delete(f"{service}/requests/{secrets.token_hex(16)}") as response:
            assert response.status == 202


async def test_a_lost_race_for_a_value_is_reported_in_the_edges_role(guarded: Guarded) -> None:
    bus = await connect(guarded.settings("edge"), name="edge")
    assert await bus.create_value(topology.KEPT, "key.acme.a-key", b"first")
    assert not await bus.create_value(topology.KEPT, "key.acme.a-key", b"second")
    assert await bus.get_value(topology.KEPT, "key.acme.a-key") == b"first"
    await bus.close()


async def _shown(session: aiohttp.ClientSession, url: str) -> dict[str, str]:
    async with session.get(url) as response:
        shown: dict[str, str] = await response.json()
        return shown


async def stored_by_tenant(client: Client, tenant: str) -> str:
    """Store a clip as docs/wire.md describes, and return its name."""
    asked = StoreClip(tenant=tenant, audio=VOICE)
    reply = await client.request(subjects.clip(tenant), codec.encode(asked), timeout=60)
    return codec.decode(reply.data, ClipStored).clip


@SHARED
async def test_a_tenant_speaks_and_listens_on_nats_and_receives_only_its_own(
    shared: Guarded,
) -> None:
    acme, globex = await shared.client("tenant-acme"), await shared.client("tenant-globex")
    request = msgspec.structs.replace(
        speech_request(await stored_by_tenant(acme, "acme")), tenant="acme"
    )
    own = await acme.subscribe(f"tts.v1.audio.acme.{request.request}.>")
    foreign = [
        await globex.subscribe(subject)
        for subject in (
            "tts.v1.audio.acme.>",
            "tts.v1.audio.>",
            "tts.v1.>",
            ">",
            "_INBOX_tenant-acme.>",
        )
    ]
    stored = await acme.jetstream().publish(
        "tts.v1.request.acme", codec.encode(request), timeout=10
    )
    assert (stored.stream, stored.duplicate) == ("TTS_REQUESTS", None)
    async with asyncio.timeout(60):
        while not (await own.next_msg(timeout=20)).subject.endswith(".end"):
            pass
    for subscription in foreign:
        with pytest.raises(
            (
                nats.errors.TimeoutError,
                nats.errors.ConnectionClosedError,
                nats.errors.BadSubscriptionError,
            )
        ):
            await subscription.next_msg(timeout=0.2)
    assert sum(
        "permissions violation for subscription" in refusal for refusal in shared.refused
    ) == len(foreign)
    heard = await acme.jetstream().get_msg(
        "TTS_AUDIO", subject=f"tts.v1.audio.acme.{request.request}.0.0", direct=True
    )
    assert heard.data
    for client in (acme, globex):
        await client.close()


REFUSED = [
    ("tenant-globex", "tts.v1.request.acme"),
    ("tenant-globex", "tts.v1.cancel.acme.some-request"),
    ("tenant-globex", "tts.v1.audio.globex.some-request.0.0"),
    ("tenant-globex", "tts.v1.sentence.tone.express.globex.some-request.0"),
    ("tenant-globex", "tts.v1.worker.tone.no-worker"),
    ("tenant-globex", "$JS.API.DIRECT.GET.TTS_AUDIO.tts.v1.audio.acme.some-request.0.0"),
    ("tenant-globex", "$JS.API.DIRECT.GET.TTS_AUDIO"),
    ("tenant-globex", "$JS.API.STREAM.MSG.GET.TTS_AUDIO"),
    ("tenant-globex", "$JS.API.STREAM.MSG.GET.OBJ_TTS_CLIPS"),
    ("tenant-globex", "$JS.API.STREAM.INFO.TTS_REQUESTS"),
    ("tenant-globex", "$JS.API.STREAM.NAMES"),
    ("tenant-globex", "$JS.API.STREAM.PURGE.TTS_AUDIO"),
    ("tenant-globex", "$JS.API.STREAM.DELETE.TTS_AUDIO"),
    ("tenant-globex", "$JS.API.STREAM.UPDATE.TTS_AUDIO"),
    ("tenant-globex", "$JS.API.STREAM.SNAPSHOT.KV_TTS_VOICES"),
    ("tenant-globex", "$JS.API.CONSUMER.CREATE.TTS_AUDIO"),
    ("tenant-globex", "$JS.API.CONSUMER.MSG.NEXT.TTS_REQUESTS.splitter"),
    ("tenant-globex", "$JS.ACK.TTS_REQUESTS.splitter.1.1.1.1.1"),
    ("tenant-globex", "$KV.TTS_VOICES.some-voice"),
    ("worker", "tts.v1.request.acme"),
    ("worker", "tts.v1.cancel.acme.some-request"),
    ("worker", "tts.v1.sentence.tone.express.acme.some-request.0"),
    ("worker", "$JS.API.CONSUMER.MSG.NEXT.TTS_REQUESTS.splitter"),
    ("worker", "$JS.API.CONSUMER.MSG.NEXT.TTS_SENTENCES.worker-xtts-express"),
    ("worker", "$JS.API.STREAM.PURGE.KV_TTS_LIBRARY"),
    ("worker", "$JS.API.STREAM.PURGE.OBJ_TTS_VOICE_CLIPS"),
    ("worker", "$KV.TTS_LIBRARY.voice.acme.some-voice"),
    ("worker", "$JS.API.DIRECT.GET.KV_TTS_LIBRARY"),
    ("worker", "$O.TTS_VOICE_CLIPS.C.chunk"),
    ("worker", "$KV.TTS_KEPT.request.acme.some-request"),
    ("worker", "$O.TTS_CLIPS.C.chunk"),
    ("worker", "$JS.API.STREAM.PURGE.TTS_SENTENCES"),
    ("splitter", "tts.v1.request.acme"),
    ("splitter", "tts.v1.audio.acme.some-request.0.0"),
    ("splitter", "$JS.API.STREAM.MSG.GET.OBJ_TTS_CLIPS"),
    ("splitter", "$JS.API.STREAM.PURGE.TTS_AUDIO"),
    ("splitter", "$JS.API.DIRECT.GET.KV_TTS_KEPT.$KV.TTS_KEPT.request.acme.some-request"),
    ("tenant-globex", "$O.TTS_CLIPS.C.chunk"),
    ("tenant-globex", "$O.TTS_CLIPS.M.name"),
    ("tenant-globex", "tts.v1.door.request.globex"),
    ("tenant-globex", "tts.v1.clip.acme"),
    ("edge", "tts.v1.sentence.tone.express.acme.some-request.0"),
    ("edge", "tts.v1.audio.acme.some-request.0.0"),
    ("edge", "$JS.API.STREAM.PURGE.TTS_SENTENCES"),
    ("edge", "$JS.API.STREAM.DELETE.TTS_AUDIO"),
    ("edge", "$JS.API.STREAM.CREATE.SOMETHING"),
    ("edge", "$KV.TTS_VOICES.some-voice"),
    ("edge", "$JS.API.DIRECT.GET.KV_TTS_VOICES.$KV.TTS_VOICES.tone.1.acme.some-voice"),
    ("worker", "tts.v1.forget.acme"),
    ("splitter", "$KV.TTS_LIBRARY.voice.acme.some-voice"),
    ("splitter", "$JS.API.STREAM.PURGE.KV_TTS_LIBRARY"),
    ("splitter", "$JS.API.STREAM.MSG.GET.OBJ_TTS_VOICE_CLIPS"),
    ("tenant-globex", "tts.v1.voice.acme"),
    ("tenant-globex", "tts.v1.forget.globex"),
    ("tenant-globex", "$JS.API.DIRECT.GET.KV_TTS_LIBRARY"),
    ("tenant-globex", "$KV.TTS_LIBRARY.voice.globex.some-voice"),
    ("tenant-globex", "$O.TTS_VOICE_CLIPS.C.chunk"),
]


async def test_no_role_may_do_the_work_of_another(guarded: Guarded) -> None:
    clients = {role: await guarded.client(role) for role in ROLES}
    for role, subject in REFUSED:
        guarded.refused.clear()
        await clients[role].publish(subject, b"{}")
        await clients[role].flush()
        await asyncio.sleep(0.02)
        assert guarded.refused == [
            f'nats: permissions violation for publish to "{subject.lower()}"'
        ], (role, subject)
    for client in clients.values():
        await client.close()


@SHARED
async def test_the_example_speaks_as_a_tenant(shared: Guarded, tmp_path: Path) -> None:
    recording = tmp_path / "recording.wav"
    recording.write_bytes(VOICE)
    program = [
        sys.executable,
        ROOT / "examples" / "nats_client.py",
        shared.url,
        recording,
        "en",
        TEXT,
    ]
    example = await asyncio.create_subprocess_exec(
        *program,
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | shared.environment("tenant-acme") | {"TENANT": "acme", "ENGINE": "tone"},
    )
    audio, _ = await asyncio.wait_for(example.communicate(), 60)
    assert example.returncode == 0
    assert audio == expected_pcm(TEXT, seed=1, max_characters=250)


async def test_a_tenant_is_limited_to_its_number_of_connections(guarded: Guarded) -> None:
    seed = str(guarded.folder / "tenant-acme.seed")
    tls = ssl.create_default_context(cafile=guarded.folder / "ca.crt")
    held = [
        await nats.connect(guarded.url, nkeys_seed=seed, tls=tls)
        for _ in range(accounts.MAX_CONNECTIONS)
    ]
    with pytest.raises((nats.errors.Error, OSError)):
        await nats.connect(
            guarded.url, nkeys_seed=seed, tls=tls, allow_reconnect=False, max_reconnect_attempts=1
        )
    globex = await guarded.client("tenant-globex")
    for client in (*held, globex):
        await client.close()


@SHARED
async def test_a_request_in_another_tenants_name_is_refused(shared: Guarded) -> None:
    globex, victim = await shared.client("tenant-globex"), await shared.client("edge")
    request = speech_request("ab" * 32)  # it names the tenant "public"
    forged = await victim.subscribe("tts.v1.audio.>")
    await victim.flush()
    with pytest.raises(nats.js.errors.BadRequestError, match="malformed_message: tenant differs"):
        await globex.jetstream().publish("tts.v1.request.globex", codec.encode(request), timeout=10)
    with pytest.raises(nats.errors.TimeoutError):
        await forged.next_msg(timeout=0.5)
    for client in (globex, victim):
        await client.close()


async def test_a_tenant_is_refused_at_once_without_an_edge(guarded: Guarded) -> None:
    acme = await guarded.client("tenant-acme")
    with pytest.raises(nats.js.errors.NoStreamResponseError):
        await acme.jetstream().publish("tts.v1.request.acme", b"", timeout=20)
    await acme.close()


async def test_without_a_user_or_with_a_foreign_server_the_connection_fails_clearly(
    guarded: Guarded,
) -> None:
    async def refused(settings: ProcessSettings) -> None:
        with pytest.raises(BusUnavailable, match=r"NATS_NKEY_SEED_FILE|NATS does not answer"):
            await connect(settings, name="stranger")

    await asyncio.gather(
        refused(ProcessSettings(nats_url=guarded.url, nats_ca_file=str(guarded.folder / "ca.crt"))),
        refused(
            ProcessSettings(
                nats_url=guarded.url, nats_nkey_seed_file=str(guarded.folder / "edge.seed")
            )
        ),
        refused(ProcessSettings(nats_url=guarded.url, nats_nkey_seed_file="/no/such.seed")),
    )


async def test_a_service_reports_who_creates_a_missing_stream(tmp_path: Path) -> None:
    async with local_nats(tmp_path, free_port()) as server:
        settings = ProcessSettings(nats_url=server.url, nats_establish=False)
        bus = await connect(settings, name="service")
        with pytest.raises(
            BusUnavailable,
            match=r"TTS_REQUESTS does not exist; run `python -m services.admin streams`",
        ):
            await bus.require(topology.topology())
        await bus.close()


async def test_the_secure_server_starts_as_documented(tmp_path: Path) -> None:
    for name in ("nats.conf", "secure.conf"):
        shutil.copy(ROOT / "deploy" / "nats" / name, tmp_path)
    make_keys(tmp_path / "keys", "acme")
    assert (
        "(cd deploy/nats && nats-server -c secure.conf)"
        in (ROOT / "docs" / "deploy.md").read_text()
    )
    port = free_port()
    ports = ["--port", str(port), "--http_port", str(free_port())]
    running = await asyncio.create_subprocess_exec(
        find_nats_server(), "-c", "secure.conf", *ports, "-l", "log", cwd=tmp_path, env={}
    )
    try:
        seed, ca = tmp_path / "keys" / "operator.seed", tmp_path / "keys" / "ca.crt"
        settings = ProcessSettings(
            nats_url=f"nats://localhost:{port}",
            nats_nkey_seed_file=str(seed),
            nats_ca_file=str(ca),
            nats_inbox_prefix="_INBOX_operator",
        )
        await streams.establish(settings)
        assert (tmp_path / "data" / "jetstream" / "TTS").is_dir()
        bus = await connect(settings, name="operator")
        expires_s = (bus.certificate_expiry_unix_s or 0) - time.time()
        assert 364 < expires_s / 86_400 < 366
        await bus.close()
    finally:
        running.terminate()
        await running.wait()


def test_a_tenants_name_cannot_widen_its_role() -> None:
    for name in ("", "*", ">", "a.b", "a b", "x" * 58, "acme\n", "_shared"):
        with pytest.raises(ValueError, match="is not a tenant name"):
            tenant_role(name)


@pytest.mark.usefixtures("own_service")
async def test_a_tenant_is_added_without_interrupting_the_others(guarded: Guarded) -> None:
    acme = await guarded.client("tenant-acme")
    make_keys(guarded.folder, "initech")
    for _ in range(2):  # nats-server 2.15 follows a new account's imports from its second reload on
        guarded.server.reload()
        await asyncio.sleep(1)
    initech = await _admitted(guarded, "tenant-initech")
    for client, tenant in ((initech, "initech"), (acme, "acme")):
        clip = await stored_by_tenant(client, tenant)
        request = msgspec.structs.replace(speech_request(clip), tenant=tenant)
        heard = await client.subscribe(f"tts.v1.audio.{tenant}.{request.request}.>")
        await client.jetstream().publish(
            f"tts.v1.request.{tenant}", codec.encode(request), timeout=10
        )
        async with asyncio.timeout(60):
            while not (await heard.next_msg(timeout=20)).subject.endswith(".end"):
                pass
        await client.close()


async def _admitted(guarded: Guarded, role: str) -> Client:
    """Connect as a user that the server learns of soon."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await guarded.client(role)
            except (nats.errors.Error, OSError):
                await asyncio.sleep(0.2)


def test_existing_keys_stay_when_a_tenant_is_added(tmp_path: Path) -> None:
    nats_users.main([str(tmp_path), "--tenants", "acme"])
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.seed")}
    nats_users.main([str(tmp_path), "--tenants", "globex"])
    after = {path.name: path.read_bytes() for path in tmp_path.glob("*.seed")}
    assert before.items() <= after.items()
    assert after.keys() - before.keys() == {"tenant-globex.seed"}
    assert "# tenant-acme" in (tmp_path / "users.conf").read_text()
    assert (tmp_path / "users.conf").read_text().count('"TENANT_') > 2
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.iterdir())


def test_the_owner_of_published_voices_is_no_ones_tenant(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="is not a tenant name"):
        nats_users.main([str(tmp_path), "--tenants", SHARED_TENANT])
    file = tmp_path / "keys.toml"
    with pytest.raises(SystemExit, match="reserved"):
        keys.main([str(file), "--name", "acme-web", "--tenant", SHARED_TENANT])
    assert not file.exists()
