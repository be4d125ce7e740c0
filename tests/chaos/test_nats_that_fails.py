"""NATS itself loses a server, or its disk."""

import asyncio
import os
import random
import secrets
from pathlib import Path

import aiohttp
import pytest

from services.common.bus import topology
from services.common.bus.nats.connection import NatsBus
from services.common.runtime.lifecycle import tasks
from services.common.runtime.local_nats import find_nats_server
from services.common.wire import subjects
from tests.chaos.cluster import nats_cluster
from tests.chaos.listeners import VOICE, Tally, listen, order_of
from tests.chaos.parts import house, house_on

SETTINGS = {"TONE_REAL_TIME_FACTOR": "0.06", "WORKER_SLOTS": "4", "WORKER_EXPRESS_SLOTS": "2"}
MEBIBYTE = 1024 * 1024
LISTENERS = 4


async def test_a_cluster_that_loses_the_leader_of_its_streams_loses_no_sample(
    tmp_path: Path,
) -> None:
    tally, draw, done = Tally(), random.Random(11), asyncio.Event()
    async with aiohttp.ClientSession() as session, nats_cluster(tmp_path) as cluster:
        await cluster.until_ready(session)
        async with house_on(cluster, tmp_path, workers=2, settings=SETTINGS) as service:
            await service.until_ready(session)

            async def keep_listening() -> None:
                while not done.is_set():
                    await listen(session, service.address(), order_of(draw), tally)

            async with tasks() as group:
                for _ in range(LISTENERS):
                    group.create_task(keep_listening())
                for stream in (topology.SENTENCES, topology.AUDIO):
                    await tally.until_more_are_whole(LISTENERS)
                    leader = await cluster.leader_of(session, stream)
                    await leader.server.kill()
                    await tally.until_more_are_whole(LISTENERS)
                    await leader.server.start()
                    await cluster.until_ready(session)
                await tally.until_more_are_whole(LISTENERS)
                done.set()
    assert tally.faults == []


async def test_what_a_cluster_acknowledged_is_there_after_its_leader_was_killed(
    tmp_path: Path,
) -> None:
    async with aiohttp.ClientSession() as session, nats_cluster(tmp_path) as cluster:
        await cluster.until_ready(session)
        bus = await NatsBus.connect(cluster.url, name="test", patience_s=20)
        await bus.establish(topology.topology(replicas=3))
        stored: list[str] = []

        async def keep_storing() -> None:
            for number in range(400):
                subject = subjects.chunk("public", secrets.token_hex(8), 0, number)
                await bus.publish(subject, b"sound", message_id=f"{subject}")
                stored.append(subject)

        async with tasks() as group:
            group.create_task(keep_storing())
            while len(stored) < 100:
                await asyncio.sleep(0.01)
            leader = await cluster.leader_of(session, topology.AUDIO)
            await leader.server.kill()
        assert len(stored) == 400
        for subject in stored:
            assert await bus.last(topology.AUDIO, subject) == b"sound"
        async with asyncio.timeout(60):
            while (use := await bus.storage_use(topology.AUDIO)).replicas_behind != 1:
                await asyncio.sleep(0.2)
        assert use.used > 400 * len(b"sound")
        await leader.server.start()
        await bus.close()


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give nats-server a file system of 24 MB, in a private mount namespace; return its folder."""
    folder, programs = tmp_path / "nats", tmp_path / "bin"
    (folder / "jetstream").mkdir(parents=True)
    programs.mkdir()
    script = programs / "nats-server"
    script.write_text(
        "#!/bin/sh\n"
        f'[ "$1" = --version ] && exec {find_nats_server()} --version\n'
        f"exec unshare --user --map-root-user --mount sh -c "
        f'\'mount -t tmpfs -o size=24m tmpfs {folder}/jetstream && exec {find_nats_server()} "$@"\' nats-server "$@"\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return folder


async def test_a_full_disk_under_nats_cuts_what_runs_and_refuses_what_comes_and_fills_no_memory(
    small_disk: Path,
) -> None:
    patience = {"FIRST_AUDIO_TIMEOUT_S": "8", "REQUEST_TIMEOUT_S": "20"}
    book = " ".join(
        f"This is sentence number {number}, and it goes on for a while." for number in range(300)
    )
    async with (
        house(small_disk, workers=1, settings=patience) as service,
        aiohttp.ClientSession() as session,
    ):
        await service.until_ready(session)
        async with session.post(f"{service.address()}/stream", data=form(book)) as response:
            assert response.status == 200
            with pytest.raises(aiohttp.ClientPayloadError):
                await asyncio.wait_for(response.read(), 60)
        async with session.post(
            f"{service.address()}/synthesize", data=form("Is anybody there?")
        ) as refusal:
            told = await refusal.json(content_type="application/problem+json")
        assert told["code"] in {
            "bus_unavailable",
            "deadline_exceeded",
        }  # without disk space it does not answer
        for part in service.parts:
            assert part.resident_bytes() < 300 * MEBIBYTE, part.name


def form(text: str) -> aiohttp.FormData:
    fields = aiohttp.FormData({"text": text, "language": "en", "seed": "5"})
    fields.add_field("reference_audio", VOICE, filename="voice.wav")
    return fields
