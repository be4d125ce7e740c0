"""Work of a killed process is taken over: real processes on a real nats-server."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.common.bus import topology
from services.common.bus.heartbeats import splitters, workers
from services.common.bus.nats.connection import NatsBus
from services.common.runtime.lifecycle import tasks
from services.common.runtime.local_nats import LocalNats, local_nats
from services.http_edge.metrics import Metrics
from services.http_edge.speech.session import SpeechSessions
from tests.support.service import digest, expected_pcm, speech_request, stored_clip

TEXT = " ".join(f"This is sentence number {number}." for number in range(12))


@pytest.fixture
async def nats(tmp_path: Path) -> AsyncIterator[LocalNats]:
    async with local_nats(tmp_path) as server:
        yield server


@asynccontextmanager
async def process(module: str, nats: LocalNats) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = os.environ | {
        "NATS_URL": nats.url,
        "ENGINE": "tone",
        "TONE_REAL_TIME_FACTOR": "0.4",
    }
    child = await asyncio.create_subprocess_exec(sys.executable, "-m", module, env=environment)
    try:
        yield child
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


async def ready(bus: NatsBus, count: int) -> None:
    """Wait until so many workers and a splitter are alive."""
    stop = asyncio.Event()
    fleet, dividers = workers(bus), splitters(bus)
    async with tasks() as group, asyncio.timeout(60):
        group.create_task(fleet.follow(stop))
        group.create_task(dividers.follow(stop))
        while len([w for w in fleet.alive() if w.state == "ready"]) < count or not dividers.alive():
            await asyncio.sleep(0.1)
        stop.set()


async def heard(bus: NatsBus, seed: int) -> str:
    clip = await stored_clip(bus)
    speaker = SpeechSessions(bus, Metrics(), first_audio_timeout_s=30)
    async with speaker.speaking(speech_request(clip, TEXT, seed=seed)) as speech:
        return digest([piece async for piece in speech.chunks()])


def expected(seed: int) -> str:
    return digest([expected_pcm(TEXT, seed=seed, max_characters=250)])


async def test_a_killed_worker_costs_no_sample(nats: LocalNats) -> None:
    bus = await NatsBus.connect(nats.url, name="test")
    await bus.establish(topology.topology())
    async with (
        process("services.splitter", nats),
        process("services.synth_worker", nats) as victim,
        process("services.synth_worker", nats),
    ):
        await ready(bus, 2)
        speaking = asyncio.create_task(heard(bus, 7))
        await asyncio.sleep(1.0)
        victim.kill()
        assert await asyncio.wait_for(speaking, 60) == expected(7)
    await bus.close()


async def test_a_killed_splitter_is_replaced_and_no_sentence_is_spoken_twice(
    nats: LocalNats,
) -> None:
    bus = await NatsBus.connect(nats.url, name="test")
    await bus.establish(topology.topology())
    async with process("services.splitter", nats) as victim, process("services.synth_worker", nats):
        await ready(bus, 1)
        speaking = asyncio.create_task(heard(bus, 8))
        await asyncio.sleep(0.7)
        victim.kill()
        async with process("services.splitter", nats):
            assert await asyncio.wait_for(speaking, 60) == expected(8)
    await bus.close()


async def test_a_killed_and_restarted_nats_server_costs_no_sample(nats: LocalNats) -> None:
    bus = await NatsBus.connect(nats.url, name="test")
    await bus.establish(topology.topology())
    async with process("services.splitter", nats), process("services.synth_worker", nats):
        await ready(bus, 1)
        speaking = asyncio.create_task(heard(bus, 9))
        await asyncio.sleep(0.8)
        await nats.kill()
        await asyncio.sleep(0.5)
        await nats.start()
        assert await asyncio.wait_for(speaking, 60) == expected(9)
    await bus.close()


async def test_a_stopped_worker_finishes_or_returns_its_work_and_nothing_is_lost(
    nats: LocalNats,
) -> None:
    bus = await NatsBus.connect(nats.url, name="test")
    await bus.establish(topology.topology())
    async with (
        process("services.splitter", nats) as splitter,
        process("services.synth_worker", nats) as worker,
        process("services.synth_worker", nats),
    ):
        await ready(bus, 2)
        speaking = asyncio.create_task(heard(bus, 10))
        await asyncio.sleep(0.7)
        worker.terminate()
        splitter.terminate()
        assert await asyncio.wait_for(worker.wait(), 20) == 0
        assert await asyncio.wait_for(splitter.wait(), 20) == 0
        async with process("services.splitter", nats):
            assert await asyncio.wait_for(speaking, 60) == expected(10)
    await bus.close()
