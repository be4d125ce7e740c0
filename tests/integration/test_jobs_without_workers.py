"""Jobs are accepted while no worker runs, and wait for one; requests whose client waits are refused."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp.test_utils import TestServer

from services.common.bus import topology
from services.common.bus.nats.connection import NatsBus
from services.common.runtime.local_nats import local_nats
from services.common.wire import codec, subjects
from services.common.wire.fields import NO_WATERMARK
from services.common.wire.messages import SpeechRequest
from services.http_edge.app import edge
from services.http_edge.jobs.store import JobStore
from services.http_edge.speech.request_store import RequestStore
from tests.support.decoders import CachedDecoder
from tests.support.front import SETTINGS, form
from tests.support.service import TEXT, expected_pcm, tone_service
from tests.support.wav import pcm_of


class Alone:
    """An edge without a splitter or a worker."""

    def __init__(self, address: str, session: aiohttp.ClientSession, bus: NatsBus) -> None:
        self.address = address
        self.session = session
        self.bus = bus

    async def post(self, path: str, **fields: str | bytes | None) -> tuple[int, dict[str, Any]]:
        """Return status and JSON of a form."""
        async with self.session.post(f"{self.address}{path}", data=form(**fields)) as response:
            return response.status, await response.json(content_type=None)

    async def until(self, job: str, *states: str) -> dict[str, Any]:
        """Return the job once it is in one of these states."""
        async with asyncio.timeout(60):
            while True:
                async with self.session.get(f"{self.address}/jobs/{job}") as response:
                    shown: dict[str, Any] = await response.json()
                if shown["state"] in states:
                    return shown
                await asyncio.sleep(0.1)


@asynccontextmanager
async def alone(folder: Path) -> AsyncIterator[Alone]:
    """Run NATS and an edge while the block runs."""
    async with (
        local_nats(folder) as server,
        aiohttp.ClientSession() as session,
        CachedDecoder() as decoder,
    ):
        bus = await NatsBus.connect(server.url, name="test", patience_s=5)
        try:
            await bus.establish(topology.topology())
            async with (
                edge(bus, decoder, SETTINGS, asyncio.Event()) as app,
                TestServer(app, handler_cancellation=True) as running,
            ):
                yield Alone(str(running.make_url("")).rstrip("/"), session, bus)
        finally:
            await bus.close()


async def test_a_job_waits_in_the_queue_until_a_worker_is_ready(tmp_path: Path) -> None:
    async with alone(tmp_path) as service:
        status, refused = await service.post("/synthesize")
        assert (status, refused["code"]) == (503, "engine_unavailable")

        status, job = await service.post("/jobs")
        assert (status, job["state"]) == (202, "queued")
        # the autoscaler reads this depth
        async with asyncio.timeout(30):
            while await service.bus.message_count(topology.JOBS) != 1:
                await asyncio.sleep(0.05)

        listener = await service.bus.subscribe(subjects.REQUESTS, limit=10)
        async with tone_service(service.bus):
            shown = await service.until(job["id"], "done", "failed")
            assert shown["state"] == "done"
            path = f"{service.address}/jobs/{job['id']}/audio"
            async with service.session.get(path) as response:
                assert pcm_of(await response.read()) == expected_pcm(TEXT)

        # the watermark is that of the workers when the job began; edges that continue it read the stored one
        spoken = await listener.next(60)
        await listener.close()
        assert spoken is not None
        assert codec.decode(spoken.payload, SpeechRequest).watermark == NO_WATERMARK
        store = JobStore(service.bus, RequestStore(service.bus, topology.PROGRESS))
        assert (await store.request("public", job["id"])).watermark == NO_WATERMARK


async def test_a_job_that_waits_can_be_cancelled(tmp_path: Path) -> None:
    async with alone(tmp_path) as service:
        _, job = await service.post("/jobs")
        async with service.session.delete(f"{service.address}/jobs/{job['id']}") as response:
            assert response.status in (200, 202, 204)
        async with asyncio.timeout(30):
            while await service.bus.message_count(topology.JOBS):
                await asyncio.sleep(0.05)


async def test_a_job_fails_if_the_worker_that_comes_does_not_support_it(tmp_path: Path) -> None:
    async with alone(tmp_path) as service:
        status, job = await service.post("/jobs", temperature="0.5")
        assert status == 202
        async with tone_service(service.bus):
            shown = await service.until(job["id"], "done", "failed")
        assert (shown["state"], shown["code"]) == ("failed", "unsupported_parameter")


async def test_a_job_with_a_voice_that_may_be_one_of_the_engine_is_refused(tmp_path: Path) -> None:
    async with alone(tmp_path) as service:
        for voice in (None, "built-in"):
            status, refused = await service.post("/jobs", reference_audio=None, voice=voice)
            assert (status, refused["code"]) == (503, "engine_unavailable"), voice
