"""The rendered configuration of NATS, in three real servers: on loopback, with a certificate of one's own."""

import asyncio
import json
import os
import re
import shutil
import ssl
import subprocess
import urllib.request
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nats
import nats.errors
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from services.admin import nats_users
from services.admin.streams import establish
from services.common.bus.nats.connection import connect
from services.common.bus.topology import SENTENCES, sentences_consumer, topology
from services.common.runtime.local_nats import find_nats_server, free_port
from services.common.runtime.service_process import ProcessSettings
from services.common.wire import subjects
from services.common.wire.failures import BusUnavailable
from tests.deploy.manifests import ROOT, Manifests, Object, quantity, rendered

PAGE = ROOT / "docs" / "deploy.md"
NAMES = ("nats", "*.nats-headless")  # as docs/deploy.md has the certificate made for


def keys(folder: Path, *tenants: str) -> None:
    """Make users and a certificate as an operator does; `localhost` is where this test has the servers."""
    assert (
        f"--hosts {' '.join(NAMES)}".replace("*.nats-headless", "'*.nats-headless'")
        in PAGE.read_text()
    )
    nats_users.main([str(folder), "--tenants", *tenants, "--hosts", *NAMES, "localhost"])


@dataclass
class Server:
    """One of the servers, as a pod would have it."""

    name: str
    folder: Path
    client: int
    routes: int
    monitoring: int

    def configure(self, files: dict[str, str], routes: dict[str, int]) -> None:
        """Write the configuration, its places and addresses those of this machine."""
        self.folder.mkdir()
        top = self.folder.parent
        places = {
            "/etc/nats-tls/": f"{top}/",
            "/etc/nats-ca/": f"{top}/",
            '"/data"': f'"{self.folder}/data"',
            "/tmp/nats.pid": f"{self.folder}/pid",
            "0.0.0.0:4222": f"127.0.0.1:{self.client}",
            "0.0.0.0:6222": f"127.0.0.1:{self.routes}",
            "0.0.0.0:8222": f"127.0.0.1:{self.monitoring}",
        } | {f"{name}.nats-headless:6222": f"localhost:{port}" for name, port in routes.items()}
        for name, text in files.items():
            here = re.sub("|".join(map(re.escape, places)), lambda found: places[found[0]], text)
            (self.folder / name).write_text(here)
        for secret in ("users.conf", "store-key.conf"):
            shutil.copy(top / secret, self.folder)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.subprocess.Process]:
        process = await asyncio.create_subprocess_exec(
            find_nats_server(), "-c", self.folder / "nats.conf", "-l", self.folder / "log",
            env=os.environ | {"POD_NAME": self.name},
        )  # fmt: skip
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    def ask(self, path: str) -> dict[str, Any]:
        with urllib.request.urlopen(
            f"http://127.0.0.1:{self.monitoring}{path}", timeout=2
        ) as answer:
            found: dict[str, Any] = json.load(answer)
            return found


def configuration(overlay: str) -> dict[str, str]:
    files: dict[str, str] = rendered(overlay).one("ConfigMap", "nats-config")["data"]
    return files


async def until_healthy(servers: list[Server], within_s: float = 30) -> None:
    async with asyncio.timeout(within_s):
        for server in servers:
            while True:
                try:
                    if (await asyncio.to_thread(server.ask, "/healthz"))["status"] == "ok":
                        break
                except OSError:
                    await asyncio.sleep(0.2)


@asynccontextmanager
async def cluster(
    folder: Path, *tenants: str
) -> AsyncIterator[tuple[list[Server], list[asyncio.subprocess.Process]]]:
    keys(folder, *tenants)
    servers = [
        Server(f"nats-{n}", folder / str(n), free_port(), free_port(), free_port())
        for n in range(3)
    ]
    async with AsyncExitStack() as stack:
        running = []
        for server in servers:
            server.configure(configuration("cpu"), {each.name: each.routes for each in servers})
            running.append(await stack.enter_async_context(server.running()))
        await until_healthy(servers)
        yield servers, running


async def test_three_servers_keep_all_streams_and_one_may_die(tmp_path: Path) -> None:
    async with cluster(tmp_path) as (servers, running):
        bus_settings = settings(tmp_path, servers)
        await establish(bus_settings)
        bus = await connect(bus_settings, name="test")
        stream, consumer = (
            bus.client.jetstream(timeout=10),
            sentences_consumer("embedded", "express"),
        )
        await bus.pull(consumer)
        await bus.publish(sentence_subject(0), b"to be spoken", message_id="0")
        await keda_finds(consumer.name, servers)

        leader = (await stream.stream_info(SENTENCES)).cluster.leader
        running[[server.name for server in servers].index(leader)].kill()
        async with asyncio.timeout(60):
            while True:
                with suppress(BusUnavailable):
                    await bus.publish(sentence_subject(1), b"and this", message_id="1")
                    break
        assert await bus.message_count(SENTENCES) == 2
        await bus.close()


async def test_a_tenant_is_served_across_servers_and_another_is_added_by_restarting_one_by_one(
    tmp_path: Path,
) -> None:
    async with cluster(tmp_path, "acme") as (servers, running), AsyncExitStack() as stack:
        await establish(settings(tmp_path, servers))
        edge = await user(tmp_path, servers, "edge", servers[2])

        async def answer(message: Msg) -> None:
            await message.respond(b"taken: " + message.data)

        heard: list[str] = []

        async def note(message: Msg) -> None:
            heard.append(message.subject)

        await edge.subscribe(subjects.INGRESS_REQUESTS, queue="edges", cb=answer)
        await edge.subscribe(subjects.AUDIO, cb=note)
        await edge.flush()
        acme = await user(tmp_path, servers, "tenant-acme", servers[0])
        assert await asked(acme, subjects.request("acme")) == b"taken: speak"
        await acme.publish(
            subjects.request("acme"), b"speak", reply="tts.v1.audio.globex.some-request.0.0"
        )
        await acme.flush()

        keys(tmp_path, "globex")
        for number, server in enumerate(servers):
            running[number].terminate()
            await running[number].wait()
            shutil.copy(tmp_path / "users.conf", server.folder)
            running[number] = await stack.enter_async_context(server.running())
            await until_healthy(servers)
        globex = await user(tmp_path, servers, "tenant-globex", servers[1])
        for client, tenant in ((globex, "globex"), (acme, "acme")):
            assert await asked(client, subjects.request(tenant)) == b"taken: speak"
        assert heard == []
        for client in (edge, acme, globex):
            await client.close()


async def user(folder: Path, servers: list[Server], role: str, first: Server) -> Client:
    """Connect in a role, at one of the servers while it runs."""
    urls = [
        f"nats://localhost:{server.client}"
        for server in sorted(servers, key=lambda server: server != first)
    ]
    return await nats.connect(
        urls,
        nkeys_seed=str(folder / f"{role}.seed"),
        tls=ssl.create_default_context(cafile=folder / "ca.crt"),
        inbox_prefix=f"_INBOX_{role}".encode(),
        dont_randomize=True,
        reconnect_time_wait=0.1,
        max_reconnect_attempts=-1,
        error_cb=_silent,
    )


async def _silent(_error: Exception) -> None:
    """Log nothing about servers that are away for a moment."""


async def asked(client: Client, subject: str) -> bytes:
    """Return the answer to a question, repeated while servers find each other."""
    async with asyncio.timeout(60):
        while True:
            with suppress(nats.errors.Error):
                return (await client.request(subject, b"speak", timeout=2)).data
            await asyncio.sleep(0.2)


def sentence_subject(place: int) -> str:
    return subjects.sentence("embedded", "express", "public", "a", place)


def settings(folder: Path, servers: list[Server]) -> ProcessSettings:
    """Return what the operator connects with."""
    return ProcessSettings(
        nats_url=",".join(f"nats://localhost:{server.client}" for server in servers),
        nats_nkey_seed_file=str(folder / "operator.seed"),
        nats_ca_file=str(folder / "ca.crt"),
        nats_inbox_prefix="_INBOX_operator",
        nats_replicas=3,
    )


async def keda_finds(consumer: str, servers: list[Server]) -> None:
    """KEDA's way (nats_jetstream_scaler.go, 2026-08), where servers advertise no `connect_urls`.

    The first labels of the routes are the servers' names; each is asked, and the consumer's leader is believed.
    """
    said = servers[0].ask("/varz")
    assert not said.get("connect_urls")
    async with asyncio.timeout(60):
        while leaders_lag(consumer, servers) != [1]:  # servers learn from each other who leads
            await asyncio.sleep(0.1)
    routes = re.findall(
        r"nats://([^.\"]+)\.nats-headless:6222", configuration("cpu")["cluster.conf"]
    )
    assert routes == [server.name for server in servers]


def leaders_lag(consumer: str, servers: list[Server]) -> list[int]:
    """Return what each server reports as pending and ack-pending, if it leads the consumer."""
    leaders = []
    for server in servers:
        accounts = server.ask("/jsz?acc=TTS&consumers=true&config=true")["account_details"]
        leaders += [
            each["num_pending"] + each["num_ack_pending"]
            for stream in accounts[0]["stream_detail"]
            for each in stream.get("consumer_detail") or []
            if each["name"] == consumer and each["cluster"].get("leader") == server.name
        ]
        assert accounts[0]["name"] == "TTS"
    return leaders


@pytest.mark.parametrize("overlay", ["local", "cpu", "gpu"])
def test_the_server_takes_the_configuration(overlay: str, tmp_path: Path) -> None:
    keys(tmp_path)
    server = Server("nats-0", tmp_path / "0", 4222, 6222, 8222)
    server.configure(configuration(overlay), {f"nats-{n}": 6222 + n for n in range(3)})
    said = subprocess.run(
        [find_nats_server(), "-t", "-c", server.folder / "nats.conf"],
        env=os.environ | {"POD_NAME": "nats-0"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert said.returncode == 0, said.stderr


def store_bytes(files: dict[str, str]) -> float:
    # nats: GB is 2**30
    return quantity(re.search(r"max_file_store: (\d+)GB", files["nats.conf"])[1] + "Gi")


@pytest.mark.parametrize("overlay", ["local", "cpu", "gpu"])
def test_the_disk_has_space_for_what_streams_may_take(overlay: str) -> None:
    manifests = rendered(overlay)
    replicas = int(manifests.one("ConfigMap", "settings")["data"]["NATS_REPLICAS"])
    wanted, servers = topology(replicas=replicas), _nats(manifests)["replicas"]
    assert wanted.replicas == servers
    most = sum(each.max_bytes for each in (*wanted.streams, *wanted.buckets, *wanted.stores))
    claim = _nats(manifests)["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"]
    # and the cluster's own logs
    assert most <= store_bytes(configuration(overlay)) <= 0.8 * quantity(claim)


def _nats(manifests: Manifests) -> Object:
    spec: Object = manifests.one("StatefulSet", "nats")["spec"]
    return spec


def test_the_servers_treat_messages_and_clients_as_a_single_one_does() -> None:
    single, ours = (
        (ROOT / "deploy" / "nats" / "nats.conf").read_text(),
        configuration("cpu")["nats.conf"],
    )
    for key in ("max_payload", "max_pending", "write_deadline", "max_memory_store"):
        found = [re.findall(rf"^ *{key}: (\S+)", text, re.MULTILINE) for text in (single, ours)]
        assert found[0] == found[1] != []
