"""Edges in this process, in front of a real nats-server, a splitter and tone workers, and a client's view of them."""

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp.test_utils import TestServer

from services.common.bus import topology
from services.common.bus.nats.connection import NatsBus
from services.common.runtime.local_nats import local_nats
from services.http_edge.app import edge
from services.http_edge.intake.reference.decoder import ReferenceDecoder
from services.http_edge.settings import Settings
from tests.support.decoders import CachedDecoder
from tests.support.recordings import encoded, speech_of
from tests.support.service import TEXT, tone_service

VOICE = encoded(speech_of(7).samples, 24_000)
SETTINGS = Settings(engine="tone", idempotency_grace_s=1.0, content_credentials="off")


def form(**fields: str | bytes | None) -> aiohttp.FormData:
    """Return a form with everything that it needs; a field that is None is left out, bytes are a file."""
    usual: dict[str, str | bytes | None] = {
        "text": TEXT,
        "language": "en",
        "reference_audio": VOICE,
        "seed": "42",
    }
    made = aiohttp.FormData(default_to_multipart=True)
    for name, value in (usual | fields).items():
        if isinstance(value, bytes):
            made.add_field(name, io.BytesIO(value), filename="file")
        elif value is not None:
            made.add_field(name, value)
    return made


@dataclass
class Front:
    """Edges at these addresses."""

    session: aiohttp.ClientSession
    bus: NatsBus
    addresses: list[str]

    async def post(
        self,
        path: str,
        *,
        edge: int = 0,
        headers: dict[str, str] | None = None,
        **fields: str | bytes | None,
    ) -> aiohttp.ClientResponse:
        """Send a form to one of the edges."""
        return await self.session.post(
            f"{self.addresses[edge]}{path}", data=form(**fields), headers=headers
        )

    async def get(
        self, path: str, *, edge: int = 0, headers: dict[str, str] | None = None
    ) -> aiohttp.ClientResponse:
        """Ask one of the edges."""
        return await self.session.get(f"{self.addresses[edge]}{path}", headers=headers)

    async def is_ready(self, edge: int) -> bool:
        """Return whether one of the edges admits requests."""
        async with await self.get("/readyz", edge=edge) as response:
            return response.status == 200

    async def delete(self, path: str, *, edge: int = 0) -> tuple[int, dict[str, Any]]:
        """Return status and body of a DELETE."""
        async with self.session.delete(f"{self.addresses[edge]}{path}") as response:
            return response.status, await response.json(content_type=None)

    async def ends(self) -> list[tuple[str, int]]:
        """Return request and sentence of every sentence that was spoken or given up, as long as that is stored."""
        stored = await self.bus._jetstream.stream_info(
            topology.AUDIO, subjects_filter="tts.v1.audio.*.*.*.end"
        )
        places = [subject.split(".") for subject in stored.state.subjects or {}]
        return [(request, int(sentence)) for *_, request, sentence, _ in places]

    async def spoken(self) -> int:
        """Return how many sentences were spoken or given up."""
        return len(await self.ends())

    async def until_idle(self) -> None:
        """Wait until all work queues are empty."""
        async with asyncio.timeout(60):
            for stream in (topology.REQUESTS, topology.SENTENCES, topology.JOBS):
                while await self.bus.message_count(stream):
                    await asyncio.sleep(0.05)


@asynccontextmanager
async def front(
    folder: Path,
    *,
    edges: int = 1,
    real_time_factor: float = 0.0,
    settings: Settings = SETTINGS,
    decoder: ReferenceDecoder | None = None,
) -> AsyncIterator[Front]:
    """Run a service with so many edges while the block runs; without a decoder, with a cached one."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(local_nats(folder))
        bus = await NatsBus.connect(server.url, name="test", patience_s=5)
        stack.push_async_callback(bus.close)
        await bus.establish(topology.topology())
        stop = asyncio.Event()
        service = tone_service(bus, real_time_factor=real_time_factor, stop=stop)
        await stack.enter_async_context(service)
        decoder = await stack.enter_async_context(decoder or CachedDecoder())
        session = await stack.enter_async_context(aiohttp.ClientSession())
        draining = [asyncio.Event() for _ in range(edges)]
        apps = [
            await stack.enter_async_context(edge(bus, decoder, settings, event))
            for event in draining
        ]
        for event in (stop, *draining):  # all stop at once, when no client is connected
            stack.callback(event.set)
        addresses = []
        for app in apps:
            server_of_app = await stack.enter_async_context(
                TestServer(app, handler_cancellation=True)
            )
            addresses.append(str(server_of_app.make_url("")).rstrip("/"))
        made = Front(session, bus, addresses)
        async with asyncio.timeout(60):
            for number in range(edges):
                while not await made.is_ready(number):
                    await asyncio.sleep(0.05)
        yield made
