"""Users of NATS, over TLS, on a real server: each role can do its own work, and nothing of anybody else's."""

import asyncio
import base64
import hashlib
import json
import secrets
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import nats
import nats.errors
import nats.js.errors
import pytest
from nats.aio.client import Client

from services import establish, nats_keys
from services.common.audio.clip import Clip
from services.common.audio.wav import write_wav
from services.common.bus import topology
from services.common.bus.connection import connect
from services.common.bus.roles import service_roles, tenant_role
from services.common.runtime.local_nats import free_port, local_nats
from services.common.runtime.process import ProcessSettings
from services.common.wire import codec, subjects
from services.common.wire.failures import BusUnavailable
from tests.chaos.parts import Part
from tests.support.front import form
from tests.support.recordings import speech_of
from tests.support.service import TEXT, expected_pcm, speech_request

ROLES = {role.name: role for role in [*service_roles(), tenant_role("acme"), tenant_role("globex")]}


@dataclass
class Guarded:
    """A server that asks who is there, and the keys to it."""

    folder: Path
    url: str
    refused: list[str]  # what it refused to the clients below

    def environment(self, role: str) -> dict[str, str]:
        return {
            "NATS_URL": self.url,
            "NATS_NKEY_SEED_FILE": str(self.folder / f"{role}.seed"),
            "NATS_CA_FILE": str(self.folder / "ca.crt"),
            "NATS_INBOX_PREFIX": f"_INBOX_{role}",
            "NATS_ESTABLISH": "false",
        }

    def settings(self, role: str) -> ProcessSettings:
        said = self.environment(role)
        return ProcessSettings(
            nats_url=self.url,
            nats_nkey_seed_file=said["NATS_NKEY_SEED_FILE"],
            nats_ca_file=said["NATS_CA_FILE"],
            nats_inbox_prefix=said["NATS_INBOX_PREFIX"],
            nats_establish=False,
        )

    async def client(self, role: str) -> Client:
        async def note(error: Exception) -> None:
            self.refused.append(str(error).lower())

        return await nats.connect(
            self.url,
            nkeys_seed=str(self.folder / f"{role}.seed"),
            tls=ssl.create_default_context(cafile=self.folder / "ca.crt"),
            inbox_prefix=f"_INBOX_{role}".encode(),
            error_cb=note,
        )


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Guarded]:
    keys = tmp_path / "keys"
    nats_keys.main(
        [str(keys), "--tenants", "acme", "globex", "--engines", "embedded", "tone", "--hosts", "localhost", "127.0.0.1"]
    )
    more = f'tls {{ cert_file: "{keys}/tls.crt", key_file: "{keys}/tls.key" }}\ninclude "keys/users.conf"\n'
    async with local_nats(tmp_path, more=more) as server:
        made = Guarded(keys, server.url.replace("127.0.0.1", "localhost"), [])
        await establish.establish(made.settings("operator"))
        yield made


@pytest.fixture
async def service(guarded: Guarded, tmp_path: Path) -> AsyncIterator[str]:
    """Run an edge, a splitter and a worker, each in its own role, and yield the edge's address."""
    modules = {"edge": "services.http_edge", "splitter": "services.splitter", "worker": "services.synth_worker"}
    parts = [Part(module, 0, tmp_path, guarded.environment(role)) for role, module in modules.items()]
    for part in parts:
        await part.start()
    address = f"http://127.0.0.1:{parts[0].http_port}"
    try:
        async with asyncio.timeout(30), aiohttp.ClientSession() as session:
            while not await _ready(session, address):
                await asyncio.sleep(0.1)
        yield address
    finally:
        statuses = [await part.stop() for part in parts]
    logs = "".join((tmp_path / f"{part.name}.log").read_text() for part in parts)
    assert statuses == [0, 0, 0], logs
    assert "permissions violation" not in logs.lower(), logs


async def _ready(session: aiohttp.ClientSession, address: str) -> bool:
    try:
        async with session.get(f"{address}/readyz") as response:
            return response.status == 200
    except aiohttp.ClientConnectionError:
        return False


async def test_every_process_does_its_work_in_its_own_role(service: str) -> None:
    owed = expected_pcm(TEXT, max_characters=250)
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{service}/synthesize", data=form(), headers={"Idempotency-Key": "a-key"}) as response:
            assert response.status == 200, await response.text()
            assert (await response.read())[44:] == owed
        text = aiohttp.FormData()
        text.add_field("text", "Il a 5 ans.", content_type="text/plain")
        async with session.post(f"{service}/normalize", data=text) as response:
            assert response.status == 200, await response.text()
            assert (await response.json())["sentences"][0]["text"] == "Il a cinq ans."
        async with session.post(f"{service}/jobs", data=form()) as response:
            assert response.status == 202, await response.text()
            job = (await response.json())["id"]
        async with asyncio.timeout(30):
            while (shown := await _shown(session, f"{service}/jobs/{job}"))["state"] != "done":
                assert shown["state"] in ("queued", "running"), shown
                await asyncio.sleep(0.1)
        async with session.get(f"{service}/jobs/{job}/audio") as response:
            assert (await response.read())[44:] == owed
        async with session.delete(f"{service}/requests/{secrets.token_hex(16)}") as response:
            assert response.status == 202


async def _shown(session: aiohttp.ClientSession, url: str) -> dict[str, str]:
    async with session.get(url) as response:
        shown: dict[str, str] = await response.json()
        return shown


async def stored_by_tenant(client: Client) -> str:
    """Store a clip as docs/wire.md tells a tenant to, and return its name."""
    wav = write_wav(Clip(speech_of(7).samples, 24_000))
    clip, place = hashlib.sha256(wav).hexdigest(), secrets.token_hex(11)
    stream = client.jetstream()
    pieces = [wav[begin : begin + 131_072] for begin in range(0, len(wav), 131_072)]
    for piece in pieces:
        await stream.publish(f"$O.TTS_CLIPS.C.{place}", piece)
    digest = "SHA-256=" + base64.urlsafe_b64encode(bytes.fromhex(clip)).decode()
    described = {"name": clip, "bucket": "TTS_CLIPS", "nuid": place, "size": len(wav), "chunks": len(pieces)}
    name = base64.urlsafe_b64encode(clip.encode()).decode()
    await stream.publish(
        f"$O.TTS_CLIPS.M.{name}",
        json.dumps(described | {"digest": digest}).encode(),
        headers={"Nats-Rollup": "sub"},
    )
    return clip


@pytest.mark.usefixtures("service")
async def test_a_tenant_speaks_and_listens_on_nats_alone_and_hears_nobody_else(guarded: Guarded) -> None:
    acme, globex = await guarded.client("tenant-acme"), await guarded.client("tenant-globex")
    request = speech_request(await stored_by_tenant(acme))
    request = type(request)(**{name: getattr(request, name) for name in request.__struct_fields__} | {"tenant": "acme"})
    own = await acme.subscribe(f"tts.v1.audio.acme.{request.request}.>")
    foreign = [
        await globex.subscribe(subject)
        for subject in ("tts.v1.audio.acme.>", "tts.v1.audio.>", "tts.v1.>", ">", "_INBOX_tenant-acme.>")
    ]
    await acme.jetstream().publish("tts.v1.request.acme", codec.encode(request))
    async with asyncio.timeout(20):
        while not (await own.next_msg(timeout=20)).subject.endswith(".end"):
            pass
    for subscription in foreign:
        with pytest.raises(
            (nats.errors.TimeoutError, nats.errors.ConnectionClosedError, nats.errors.BadSubscriptionError)
        ):
            await subscription.next_msg(timeout=0.2)
    assert sum("permissions violation for subscription" in refusal for refusal in guarded.refused) == len(foreign)
    heard = await acme.jetstream().get_msg("TTS_AUDIO", subject=f"tts.v1.audio.acme.{request.request}.0.0", direct=True)
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
    ("worker", "$KV.TTS_KEPT.request.acme.some-request"),
    ("worker", "$O.TTS_CLIPS.C.chunk"),
    ("worker", "$JS.API.STREAM.PURGE.TTS_SENTENCES"),
    ("splitter", "tts.v1.request.acme"),
    ("splitter", "tts.v1.audio.acme.some-request.0.0"),
    ("splitter", "$JS.API.STREAM.MSG.GET.OBJ_TTS_CLIPS"),
    ("splitter", "$JS.API.STREAM.PURGE.TTS_AUDIO"),
    ("splitter", "$JS.API.DIRECT.GET.KV_TTS_KEPT.$KV.TTS_KEPT.request.acme.some-request"),
    ("edge", "tts.v1.sentence.tone.express.acme.some-request.0"),
    ("edge", "tts.v1.audio.acme.some-request.0.0"),
    ("edge", "$JS.API.STREAM.PURGE.TTS_SENTENCES"),
    ("edge", "$JS.API.STREAM.DELETE.TTS_AUDIO"),
    ("edge", "$JS.API.STREAM.CREATE.SOMETHING"),
    ("edge", "$KV.TTS_VOICES.some-voice"),
]


async def test_no_role_may_do_the_work_of_another(guarded: Guarded) -> None:
    clients = {role: await guarded.client(role) for role in ROLES}
    for role, subject in REFUSED:
        guarded.refused.clear()
        await clients[role].publish(subject, b"{}")
        await clients[role].flush()
        await asyncio.sleep(0.02)
        assert guarded.refused == [f'nats: permissions violation for publish to "{subject.lower()}"'], (role, subject)
    for client in clients.values():
        await client.close()


@pytest.mark.usefixtures("service")
async def test_a_request_in_another_tenants_name_is_refused(guarded: Guarded) -> None:
    acme, globex = await guarded.client("tenant-acme"), await guarded.client("tenant-globex")
    request = speech_request("ab" * 32)  # says that it is of the tenant "public"
    victim = await guarded.client("edge")
    forged = await victim.subscribe("tts.v1.audio.public.>")
    told = await globex.subscribe(subjects.request_events("globex", request.request))
    await globex.jetstream().publish("tts.v1.request.globex", codec.encode(request))
    assert b"malformed" in (await told.next_msg(timeout=10)).data
    with pytest.raises(nats.errors.TimeoutError):
        await forged.next_msg(timeout=0.5)
    for client in (acme, globex, victim):
        await client.close()


async def test_without_a_user_or_over_a_stranger_there_is_no_connection_and_it_says_so(guarded: Guarded) -> None:
    for settings in (
        ProcessSettings(nats_url=guarded.url, nats_ca_file=str(guarded.folder / "ca.crt")),
        ProcessSettings(nats_url=guarded.url, nats_nkey_seed_file=str(guarded.folder / "edge.seed")),
        ProcessSettings(nats_url=guarded.url, nats_nkey_seed_file="/no/such.seed"),
    ):
        with pytest.raises(BusUnavailable, match=r"NATS_NKEY_SEED_FILE|NATS does not answer"):
            await connect(settings, name="stranger")


async def test_a_service_says_who_creates_what_is_missing(tmp_path: Path) -> None:
    async with local_nats(tmp_path, free_port()) as server:
        settings = ProcessSettings(nats_url=server.url, nats_establish=False)
        bus = await connect(settings, name="service")
        with pytest.raises(BusUnavailable, match=r"TTS_REQUESTS does not exist; run `python -m services.establish`"):
            await bus.require(topology.topology())
        await bus.close()


def test_a_tenants_name_cannot_widen_its_role() -> None:
    for name in ("", "*", ">", "a.b", "a b", "x" * 58, "acme\n"):
        with pytest.raises(ValueError, match="is no tenant"):
            tenant_role(name)


def test_keys_are_kept_when_a_tenant_is_added(tmp_path: Path) -> None:
    nats_keys.main([str(tmp_path), "--tenants", "acme"])
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.seed")}
    nats_keys.main([str(tmp_path), "--tenants", "globex"])
    after = {path.name: path.read_bytes() for path in tmp_path.glob("*.seed")}
    assert before.items() <= after.items()
    assert after.keys() - before.keys() == {"tenant-globex.seed"}
    assert "# tenant-acme" in (tmp_path / "users.conf").read_text()
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.iterdir())
