"""A nats-server with authentication, with the users and accounts of `nats_users`, and the services on it."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import nats
from nats.aio.client import Client

from services.admin import nats_users, streams
from services.common.runtime.local_nats import LocalNats, local_nats
from services.common.runtime.service_process import ProcessSettings
from tests.chaos.parts import Part

WATCHER = "watcher"  # user and password of a client that hears everything in an account


@dataclass
class Guarded:
    """A server with authentication, and its keys."""

    folder: Path
    server: LocalNats
    url: str
    refused: list[str]  # what it refused to the clients below

    def environment(self, role: str) -> dict[str, str]:
        """Return the settings of a process in this role."""
        return {
            "NATS_URL": self.url,
            "NATS_NKEY_SEED_FILE": str(self.folder / f"{role}.seed"),
            "NATS_CA_FILE": str(self.folder / "ca.crt"),
            "NATS_INBOX_PREFIX": f"_INBOX_{role}",
            "NATS_ESTABLISH": "false",
        }

    def settings(self, role: str) -> ProcessSettings:
        """Return the same, as a process reads it."""
        said = self.environment(role)
        return ProcessSettings(
            nats_url=self.url,
            nats_nkey_seed_file=said["NATS_NKEY_SEED_FILE"],
            nats_ca_file=said["NATS_CA_FILE"],
            nats_inbox_prefix=said["NATS_INBOX_PREFIX"],
            nats_establish=False,
        )

    async def client(self, role: str) -> Client:
        """Connect in this role; what is refused to it is noted."""

        async def note(error: Exception) -> None:
            self.refused.append(str(error).lower())

        return await nats.connect(
            self.url,
            nkeys_seed=str(self.folder / f"{role}.seed"),
            tls=self._tls(),
            inbox_prefix=f"_INBOX_{role}".encode(),
            error_cb=note,
        )

    async def watcher(self, account: str) -> Client:
        """Connect as a client that may hear and publish everything in this account."""
        return await nats.connect(
            self.url, user=f"{WATCHER}-{account}", password=WATCHER, tls=self._tls()
        )

    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.folder / "ca.crt")


def make_keys(folder: Path, *tenants: str) -> None:
    """Make users and certificates as an operator does."""
    nats_users.main(
        [
            str(folder),
            "--tenants",
            *tenants,
            "--engines",
            "embedded",
            "tone",
            "--hosts",
            "localhost",
            "127.0.0.1",
        ]
    )


@asynccontextmanager
async def guarded_nats(
    folder: Path, *, tenants: Sequence[str] = ("acme", "globex"), watched: bool = False
) -> AsyncIterator[Guarded]:
    """Run the server while the block runs; `watched`: every account has a watcher."""
    keys = folder / "keys"
    make_keys(keys, *tenants)
    if watched:
        _add_watchers(keys / "users.conf")
    more = f'tls {{ cert_file: "{keys}/tls.crt", key_file: "{keys}/tls.key" }}\ninclude "keys/users.conf"\n'
    async with local_nats(folder, more=more) as server:
        made = Guarded(keys, server, server.url.replace("127.0.0.1", "localhost"), [])
        await streams.establish(made.settings("operator"))
        yield made


def _add_watchers(users: Path) -> None:
    def watched(account: re.Match[str]) -> str:
        return f'{account[0]}      {{ user: "{WATCHER}-{account[1]}", password: "{WATCHER}" }}\n'

    content = re.sub(r'  "(\w+)" {\n.*\n    users: \[\n', watched, users.read_text())
    system = f'accounts {{\n  "$SYS" {{ users: [ {{ user: "{WATCHER}-SYS", password: "{WATCHER}" }} ] }}\n'
    users.write_text(content.replace("accounts {\n", system, 1))


@asynccontextmanager
async def guarded_service(guarded: Guarded, folder: Path, **edge: str) -> AsyncIterator[str]:
    """Run an edge, a splitter and a worker, each in its own role, and yield the edge's address."""
    modules = {
        "edge": "services.http_edge",
        "splitter": "services.splitter",
        "worker": "services.synth_worker",
    }
    parts = [
        Part(module, 0, folder, guarded.environment(role) | (edge if role == "edge" else {}))
        for role, module in modules.items()
    ]
    for part in parts:
        await part.start()
    address = f"http://127.0.0.1:{parts[0].http_port}"
    try:
        async with asyncio.timeout(60), aiohttp.ClientSession() as session:
            while not await _ready(session, address):
                await asyncio.sleep(0.1)
        yield address
    finally:
        statuses = [await part.stop() for part in parts]
    logs = "".join((folder / f"{part.name}.log").read_text() for part in parts)
    assert statuses == [0, 0, 0], logs
    assert "permissions violation" not in logs.lower(), logs


async def _ready(session: aiohttp.ClientSession, address: str) -> bool:
    try:
        async with session.get(f"{address}/readyz") as response:
            return response.status == 200
    except aiohttp.ClientConnectionError:
        return False
