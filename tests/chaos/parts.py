"""The processes of a service under test, each with its own proxy to nats-server: to be killed, paused or cut off."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp

from services.common.runtime.local_nats import LocalNats, free_port, local_nats
from tests.chaos.cluster import Cluster
from tests.chaos.line import Line, line_to

ROOT: Final = Path(__file__).parents[2]
_READY_S: Final = 60.0
_END_S: Final = 45.0
# of which each kind of process has one
_PORTS: Final = (
    "HTTP_PORT",
    "SPLITTER_HEALTH_PORT",
    "WORKER_HEALTH_PORT",
)


@dataclass
class Part:
    """One process, which may die and be started again."""

    module: str
    number: int
    folder: Path  # for its log
    settings: Mapping[str, str]
    line: Line | None = None  # to nats-server, where it is not straight
    http_port: int = field(default_factory=free_port)
    process: asyncio.subprocess.Process | None = None

    @property
    def name(self) -> str:
        """Return what it is, and which."""
        return f"{self.module.rpartition('.')[2]}-{self.number}"

    async def start(self) -> None:
        """Start it; its log goes to a file."""
        own = {"ENGINE": "tone"} | dict.fromkeys(_PORTS, str(self.http_port))
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", self.module),
                cwd=ROOT,
                env=os.environ | own | self.settings,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def has_ended(self) -> bool:
        """Return whether it was started and runs no longer."""
        return self.process is not None and self.process.returncode is not None

    def last_words(self) -> str:
        """Return whether it runs, and the end of its log."""
        assert self.process is not None
        state = (
            "runs" if self.process.returncode is None else f"ended with {self.process.returncode}"
        )
        lines = (self.folder / f"{self.name}.log").read_text("utf-8", errors="replace").splitlines()
        return "\n".join([f"{self.name} {state}", *lines[-8:]])

    def resident_bytes(self) -> int:
        """Return how much memory it holds now."""
        assert self.process is not None
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text("ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def children(self) -> list[int]:
        """Return the process ids of its children: a worker's engine."""
        assert self.process is not None
        own = self.process.pid
        try:
            return [
                int(each)
                for each in Path(f"/proc/{own}/task/{own}/children").read_text("ascii").split()
            ]
        except FileNotFoundError:  # it has ended
            return []

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, where it lives."""
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(number)

    async def kill(self) -> None:
        """End it as a crash would."""
        self.signal(signal.SIGKILL)
        if self.process is not None:
            await self.process.wait()

    async def stop(self) -> int:
        """End it as an operator would; return its status. Raises TimeoutError where it does not end."""
        assert self.process is not None
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), _END_S)


@dataclass
class House:
    """A whole service on loopback: nats-server, edges, splitters, workers; ENGINE is `tone` unless set."""

    nats: LocalNats
    monitor_port: int
    edges: list[Part] = field(default_factory=list)
    splitters: list[Part] = field(default_factory=list)
    workers: list[Part] = field(default_factory=list)

    def address(self, edge: int = 0) -> str:
        """Return an edge's base URL."""
        return f"http://127.0.0.1:{self.edges[edge].http_port}"

    @property
    def parts(self) -> list[Part]:
        """Return all processes but nats-server."""
        return [*self.edges, *self.splitters, *self.workers]

    def plan(self, edges: int, splitters: int, workers: int) -> list[tuple[list[Part], str, int]]:
        """Return, of each kind of process, where it belongs, its module, and how many there are to be."""
        return [
            (self.edges, "services.http_edge", edges),
            (self.splitters, "services.splitter", splitters),
            (self.workers, "services.synth_worker", workers),
        ]

    async def until_ready(self, session: aiohttp.ClientSession) -> None:
        """Wait until all are ready and edges know all workers.

        Raises AssertionError with their last logs after a minute, or as soon as one has ended.
        """
        why = f"the service is not ready within {_READY_S:.0f} s"
        with suppress(TimeoutError):
            async with asyncio.timeout(_READY_S):
                if await self._all_ready(session):
                    return
                why = "a process has ended, so the service cannot be ready"

        said = "\n\n".join(part.last_words() for part in self.parts)
        raise AssertionError(f"{why}\n\n{said}")

    async def _all_ready(self, session: aiohttp.ClientSession) -> bool:
        """Wait until all are ready. Returns False if one has ended."""
        for part in self.parts:
            while not await self._ready(session, part):
                if any(each.has_ended for each in self.parts):
                    return False
                await asyncio.sleep(0.1)
        return True

    async def _ready(self, session: aiohttp.ClientSession, part: Part) -> bool:
        address = f"http://127.0.0.1:{part.http_port}"
        try:
            async with session.get(f"{address}/readyz") as response:
                ready = response.status == 200
            async with session.get(f"{address}/metrics") as response:
                said = await response.text()
        except aiohttp.ClientConnectionError:
            return False
        engine = part.settings.get("ENGINE", "tone")
        known = f'tts_workers{{engine="{engine}",state="ready"}} {float(len(self.workers))}'
        return ready and (part not in self.edges or known in said)

    async def monitor(self, session: aiohttp.ClientSession, what: str) -> dict[str, object]:
        """Return a page of nats-server's monitoring, such as `connz?subs=1`."""
        async with session.get(f"http://127.0.0.1:{self.monitor_port}/{what}") as response:
            said: dict[str, object] = await response.json()
            return said


@asynccontextmanager
async def house(
    folder: Path,
    *,
    edges: int = 1,
    splitters: int = 2,
    workers: int = 3,
    settings: Mapping[str, str] | None = None,
    tenants: Sequence[str] = ("public",),
) -> AsyncIterator[House]:
    """Run a service on one nats-server while the block runs, every process on its own proxied connection.

    `settings` go to every process. The edges serve the tenants, one after another. On leaving, all is ended hard.
    """
    monitor_port = free_port()
    async with AsyncExitStack() as stack:
        nats = await stack.enter_async_context(
            local_nats(folder, more=f'http: "127.0.0.1:{monitor_port}"\n')
        )
        service = House(nats, monitor_port)
        for kind, module, count in service.plan(edges, splitters, workers):
            for number in range(count):
                line = await stack.enter_async_context(line_to(nats.port))
                own = {
                    "NATS_URL": f"nats://127.0.0.1:{line.port}",
                    "TENANT": tenants[number % len(tenants)],
                }
                kind.append(
                    await _started(
                        stack, Part(module, number, folder, own | dict(settings or {}), line)
                    )
                )
        yield service


@asynccontextmanager
async def house_on(
    cluster: Cluster, folder: Path, *, workers: int, settings: Mapping[str, str]
) -> AsyncIterator[House]:
    """Run an edge, two splitters and some workers on a cluster while the block runs."""
    async with AsyncExitStack() as stack:
        service = House(cluster.nodes[0].server, 0)
        for kind, module, count in service.plan(1, 2, workers):
            for number in range(count):
                url = {"NATS_URL": cluster.url, "NATS_REPLICAS": "3"}
                kind.append(
                    await _started(stack, Part(module, number, folder, url | dict(settings)))
                )
        yield service


async def _started(stack: AsyncExitStack, part: Part) -> Part:
    stack.push_async_callback(part.kill)
    await part.start()
    return part
