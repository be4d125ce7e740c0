"""Services that start before NATS and its streams exist, and an edge with a separate port for metrics."""

import asyncio
from pathlib import Path

import aiohttp
import msgspec
import pytest
from structlog.testing import capture_logs

from services.admin import streams
from services.common.bus import topology
from services.common.bus.nats.connection import connected_bus
from services.common.runtime.local_nats import free_port, local_nats
from services.common.runtime.service_process import ProcessSettings
from services.common.runtime.tcp_ports import CannotListen
from services.common.wire.failures import BusUnavailable
from services.http_edge import app as edge_app
from tests.support.front import SETTINGS, front


async def test_a_service_waits_for_nats_and_for_the_operator_to_create_the_streams(
    tmp_path: Path,
) -> None:
    port = free_port()
    settings = ProcessSettings(nats_url=f"nats://127.0.0.1:{port}", nats_establish=False)
    patient = msgspec.structs.replace(settings, nats_wait_s=120)

    async def connect_and_count() -> int:
        async with connected_bus(patient, name="service") as bus:
            return await bus.message_count(topology.REQUESTS)

    waiting = asyncio.create_task(connect_and_count())
    with capture_logs() as logs:
        async with asyncio.timeout(60):
            while not any(each["event"] == "waiting_for_nats" for each in logs):
                await asyncio.sleep(0.05)
            assert "NATS does not answer" in logs[-1]["detail"]

            async with local_nats(tmp_path, port):
                while "TTS_REQUESTS does not exist" not in str(logs[-1].get("detail")):
                    await asyncio.sleep(0.05)
                assert not waiting.done()
                await streams.establish(settings)
                assert await waiting == 0


async def test_a_service_that_waits_gives_up_with_the_reason(tmp_path: Path) -> None:
    async with local_nats(tmp_path, free_port()) as server:
        settings = ProcessSettings(nats_url=server.url, nats_establish=False, nats_wait_s=0.5)
        with pytest.raises(BusUnavailable, match="TTS_REQUESTS does not exist"):
            async with connected_bus(settings, name="service"):
                pass


async def test_the_operator_creates_the_consumers_whose_lag_scales_the_workers(
    tmp_path: Path,
) -> None:
    async with local_nats(tmp_path, free_port()) as server:
        settings = ProcessSettings(nats_url=server.url)
        await streams.establish(settings, engines=["xtts"])
        await streams.establish(settings, engines=["xtts"])  # again: they exist
        async with connected_bus(settings, name="keda") as bus:
            found = await bus.client.jetstream().consumers_info(topology.SENTENCES)
        assert {each.name for each in found} == {"worker-xtts-express", "worker-xtts-standard"}


async def test_metrics_are_served_on_their_own_port_alone(tmp_path: Path) -> None:
    port = free_port()
    metrics_port = free_port()
    settings = msgspec.structs.replace(SETTINGS, http_port=port, http_metrics_port=metrics_port)
    stop = asyncio.Event()

    async with front(tmp_path) as service:
        serving = asyncio.create_task(edge_app.serve(service.bus, settings, stop))
        try:
            public = f"http://127.0.0.1:{port}"
            async with asyncio.timeout(30):
                while await _status(service.session, f"{public}/livez") != 200:
                    await asyncio.sleep(0.05)
            assert await _status(service.session, f"{public}/metrics") == 404

            own = f"http://127.0.0.1:{metrics_port}/metrics"
            async with service.session.get(own) as response:
                lines = (await response.text()).splitlines()
            # The autoscaler needs them before the first refusal.
            for code in ("engine_unavailable", "queue_full", "tenant_queue_full"):
                assert f'tts_failures_total{{code="{code}"}} 0.0' in lines
        finally:
            stop.set()
            await serving


async def test_a_taken_metrics_port_is_reported_with_the_setting(tmp_path: Path) -> None:
    async with front(tmp_path) as service:
        taken = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
        port = taken.sockets[0].getsockname()[1]
        settings = msgspec.structs.replace(SETTINGS, http_port=0, http_metrics_port=port)
        with pytest.raises(CannotListen, match=f"{port}.*HTTP_METRICS_PORT"):
            await edge_app.serve(service.bus, settings, asyncio.Event())
        taken.close()
        await taken.wait_closed()


async def _status(session: aiohttp.ClientSession, url: str) -> int:
    try:
        async with session.get(url) as response:
            return response.status
    except aiohttp.ClientConnectionError:
        return 0
