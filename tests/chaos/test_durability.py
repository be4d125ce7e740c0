"""Retention, read back from a real server and compared with the table in docs/promises.md."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp

from services.common.bus import topology
from services.common.bus.nats.connection import NatsBus
from services.common.runtime.local_nats import free_port, local_nats
from services.common.wire import subjects

HOUR_S = 3600


async def stored_streams(session: aiohttp.ClientSession, port: int) -> dict[str, dict[str, Any]]:
    """Return every stream's settings, as the server has them."""
    async with session.get(f"http://127.0.0.1:{port}/jsz?streams=1&config=1") as response:
        said = await response.json()
    [account] = said["account_details"]
    return {stream["name"]: stream["config"] for stream in account["stream_detail"]}


async def test_everything_promised_is_stored_in_files_for_the_promised_time(tmp_path: Path) -> None:
    port = free_port()
    async with (
        local_nats(tmp_path, more=f'http: "127.0.0.1:{port}"\n') as server,
        aiohttp.ClientSession() as session,
    ):
        bus = await NatsBus.connect(server.url, name="test")
        await bus.establish(topology.topology())
        streams = await stored_streams(session, port)
        await bus.close()
    assert {stream["storage"] for stream in streams.values()} == {"file"}
    assert {stream["num_replicas"] for stream in streams.values()} == {1}
    kept_s = {name: stream["max_age"] / 1e9 for name, stream in streams.items()}
    assert kept_s[topology.REQUESTS] == kept_s[topology.SENTENCES] == HOUR_S
    assert kept_s[topology.AUDIO] == 600
    assert kept_s[topology.DEAD] == kept_s[f"KV_{topology.VOICES}"] == 7 * 24 * HOUR_S
    assert kept_s[f"KV_{topology.KEPT}"] == 2 * HOUR_S
    assert kept_s[topology.JOBS] == kept_s[f"OBJ_{topology.CLIPS}"] == 24 * HOUR_S
    assert kept_s[f"KV_{topology.PROGRESS}"] == kept_s[f"OBJ_{topology.RESULTS}"] == 24 * HOUR_S
    assert all(stream["max_bytes"] > 0 for stream in streams.values()), (
        "nothing may grow without bound"
    )
    for queue in (topology.REQUESTS, topology.SENTENCES, topology.JOBS):
        assert (streams[queue]["retention"], streams[queue]["discard"]) == ("workqueue", "new")
        assert streams[queue]["duplicate_window"] / 1e9 == 120


async def test_what_was_acknowledged_is_there_after_the_server_process_was_killed(
    tmp_path: Path,
) -> None:
    async with local_nats(tmp_path) as server:
        bus = await NatsBus.connect(server.url, name="test")
        await bus.establish(topology.topology())
        for number in range(50):
            await bus.publish(
                subjects.chunk("public", "abcdefgh", 0, number), b"sound", message_id=str(number)
            )
        await server.kill()
        await asyncio.sleep(0.2)
        await server.start()
        for number in range(50):
            assert (
                await bus.last(topology.AUDIO, subjects.chunk("public", "abcdefgh", 0, number))
                == b"sound"
            )
        await bus.close()
