"""Three nats-servers with one JetStream among them, on loopback."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

from services.common.runtime.local_nats import LocalNats, free_port, local_nats

_READY_S: Final = 120.0


@dataclass(frozen=True)
class Node:
    """One server of the cluster."""

    name: str
    server: LocalNats
    monitor: str  # base URL of its monitoring


@dataclass(frozen=True)
class Cluster:
    """All of them."""

    nodes: tuple[Node, ...]

    @property
    def url(self) -> str:
        """Return what NATS_URL is set to."""
        return ",".join(node.server.url for node in self.nodes)

    async def leader_of(self, session: aiohttp.ClientSession, stream: str) -> Node:
        """Return the node that leads a stream."""
        async with session.get(f"{self.nodes[0].monitor}/jsz?streams=1") as response:
            said: dict[str, Any] = await response.json()
        [leader] = [
            found["cluster"]["leader"]
            for account in said["account_details"]
            for found in account["stream_detail"]
            if found["name"] == stream
        ]
        return next(node for node in self.nodes if node.name == leader)

    async def until_ready(self, session: aiohttp.ClientSession) -> None:
        """Wait until every node reports that JetStream is healthy. Raises AssertionError if one has ended."""
        async with asyncio.timeout(_READY_S):
            for node in self.nodes:
                while not await _healthy(session, node):
                    assert node.server.status is None, f"{node.name}: {node.server.last_words()}"
                    await asyncio.sleep(0.1)


async def _healthy(session: aiohttp.ClientSession, node: Node) -> bool:
    try:
        async with session.get(f"{node.monitor}/healthz") as response:
            return response.status == 200
    except aiohttp.ClientConnectionError:
        return False


@asynccontextmanager
async def nats_cluster(folder: Path) -> AsyncIterator[Cluster]:
    """Run three servers while the block runs."""
    ports, monitors, routes = ([free_port() for _ in range(3)] for _ in range(3))
    others = ", ".join(f'"nats://127.0.0.1:{port}"' for port in routes)
    async with AsyncExitStack() as stack:
        nodes = []
        for number in range(3):
            own = folder / f"nats-{number}"
            own.mkdir()
            more = (
                f'server_name: "node-{number}"\n'
                f'http: "127.0.0.1:{monitors[number]}"\n'
                f'cluster {{ name: "speech", listen: "127.0.0.1:{routes[number]}", routes: [{others}] }}\n'
            )
            server = await stack.enter_async_context(local_nats(own, ports[number], more))
            nodes.append(Node(f"node-{number}", server, f"http://127.0.0.1:{monitors[number]}"))
        yield Cluster(tuple(nodes))
