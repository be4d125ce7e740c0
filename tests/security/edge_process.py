"""An edge in a separate process, to be attacked, and a client that probes its liveness meanwhile."""

import asyncio
import os
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from services.common.bus import topology
from services.common.bus.nats.connection import NatsBus
from services.common.runtime.local_nats import free_port, local_nats
from tests.chaos.parts import ROOT
from tests.support.service import tone_service

LOOPBACK = "127.0.0.1"
_START_S = 60.0


@dataclass
class Edge:
    """A running edge."""

    port: int
    process: asyncio.subprocess.Process
    log: Path

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def temporary_files(self) -> int:
        """Return the bytes of its files without a name."""
        sizes = 0
        for link in Path(f"/proc/{self.process.pid}/fd").iterdir():
            try:
                if "(deleted)" in str(link.readlink()):
                    sizes += link.stat().st_size
            except FileNotFoundError:
                continue
        return sizes


@asynccontextmanager
async def edge_process(
    folder: Path, *, descriptors: int = 0, **settings: str
) -> AsyncIterator[Edge]:
    """Run an edge with so many descriptors at most, in front of a splitter and a worker in this process."""
    async with AsyncExitStack() as stack:
        nats = await stack.enter_async_context(local_nats(folder))
        bus = await NatsBus.connect(nats.url, name="test", patience_s=5)
        stack.push_async_callback(bus.close)
        await bus.establish(topology.topology())
        await stack.enter_async_context(tone_service(bus, workers=1, real_time_factor=0.05))
        port = free_port()
        own = {"ENGINE": "tone", "HTTP_PORT": str(port), "NATS_URL": nats.url}
        limit = f"ulimit -n {descriptors} && " if descriptors else ""
        log = folder / "edge.log"
        with log.open("ab") as file:
            process = await asyncio.create_subprocess_exec(
                *("bash", "-c", f'{limit}exec "$0" -m services.http_edge', sys.executable),
                cwd=ROOT, env=os.environ | own | settings, stdin=asyncio.subprocess.DEVNULL, stdout=file, stderr=file,
            )  # fmt: skip
        stack.push_async_callback(_end, process)
        await _until_ready(f"http://{LOOPBACK}:{port}/readyz", log)
        yield Edge(port, process, log)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()


async def _until_ready(url: str, log: Path) -> None:
    async with aiohttp.ClientSession() as session:
        try:
            async with asyncio.timeout(_START_S):
                while True:
                    try:
                        async with session.get(url) as response:
                            if response.status == 200:
                                return
                    except aiohttp.ClientConnectionError:
                        pass
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(f"the edge is not ready\n{log.read_text()[-2000:]}") from None


@dataclass
class Pulse:
    """Response times of `/livez`."""

    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def worst_s(self) -> float:
        return max(self.seconds, default=0.0)


@contextmanager
def pulse(port: int, patience_s: float = 10.0) -> Iterator[Pulse]:
    """Request `/livez` on new connections, from a separate thread, while the block runs."""
    felt = Pulse()
    over = threading.Event()

    def feel() -> None:
        while not over.is_set():
            began_s = time.monotonic()
            try:
                answer = exchange(
                    port, b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", patience_s
                )
                if not answer.startswith(b"HTTP/1.1 200"):
                    felt.failures.append(repr(answer[:80]))
            except OSError as error:
                felt.failures.append(repr(error))
            felt.seconds.append(time.monotonic() - began_s)
            over.wait(0.05)

    thread = threading.Thread(target=feel)
    thread.start()
    try:
        yield felt
    finally:
        over.set()
        thread.join()


def exchange(port: int, request: bytes, patience_s: float = 30.0) -> bytes:
    """Send bytes and return all that is answered until the connection ends. Raises OSError where it is reset."""
    with socket.create_connection((LOOPBACK, port), timeout=patience_s) as connection:
        connection.sendall(request)
        answer = bytearray()
        while block := connection.recv(65536):
            answer += block
        return bytes(answer)
