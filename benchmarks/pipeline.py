"""Overhead of the pipeline: first audio through NATS and HTTP, compared with calling the engine in process.

    python -m benchmarks.pipeline [--requests 200]

The tone engine makes its first 250 ms of audio in well under a millisecond, so the rest is the pipeline: real
processes (edge, splitter, one worker, nats-server) on one machine. Prints a Markdown table: medians and p99.
"""

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp

from services.__main__ import until_ready, whole_service
from services.common.bus.nats.connection import NatsBus
from services.common.runtime.local_nats import free_port, local_nats
from services.http_edge.metrics import Metrics
from services.http_edge.speech.session import SpeechSessions
from services.synth_worker.engine_thread import EngineThread
from services.synth_worker.engines.protocol import Utterance
from services.synth_worker.engines.tone import ToneEngine
from tests.support.service import speech_request, stored_clip

TEXT = "A greeting of ordinary length."
CLIP = Path(__file__).parents[1] / "examples" / "voices" / "austen.flac"


async def repeat(count: int, once: Callable[[], Awaitable[float]]) -> list[float]:
    """Return the durations, in ms, of so many calls, one after the other; a tenth more go first and do not count."""
    durations = [await once() * 1000 for _ in range(count + count // 10)]
    return durations[count // 10 :]


async def in_process(model: EngineThread) -> float:
    """Return the seconds from calling the engine's thread to its first samples."""
    began_s = time.perf_counter()
    speech = model.speak(Utterance(TEXT, "en", 1), b"", urgent=True)
    first_s = 0.0
    async for _ in speech.stream():
        first_s = first_s or time.perf_counter() - began_s
    return first_s


async def over_nats(bus: NatsBus, clip: str) -> float:
    """Return the seconds from publishing a request to its first audio chunk."""
    began_s, first_s = time.perf_counter(), 0.0
    async with SpeechSessions(bus, Metrics(), first_audio_timeout_s=10).speaking(
        speech_request(clip, TEXT)
    ) as speech:
        async for _ in speech.chunks():
            first_s = first_s or time.perf_counter() - began_s
    return first_s


async def over_http(session: aiohttp.ClientSession, address: str, clip: bytes) -> float:
    """Return the seconds from sending a form, upload included, to the first bytes after the WAV header."""
    form = aiohttp.FormData({"text": TEXT, "language": "en"})
    form.add_field("reference_audio", clip, filename="reference")
    began_s = time.perf_counter()
    async with session.post(f"{address}/stream", data=form) as response:
        response.raise_for_status()
        await response.content.readexactly(44)
        await response.content.readany()
        first_s = time.perf_counter() - began_s
        await response.read()
    return first_s


def row(name: str, durations: list[float], baseline: float) -> str:
    """Return one line of the table."""
    ordered = sorted(durations)
    p99 = ordered[int(0.99 * (len(ordered) - 1))]
    median = statistics.median(ordered)
    return f"| {name} | {median:.2f} | {p99:.2f} | {median - baseline:.2f} | {p99 - baseline:.2f} |"


async def measure(count: int) -> list[str]:
    """Run everything and return the lines of the table."""
    model = EngineThread(ToneEngine())
    direct = await repeat(count, lambda: in_process(model))
    await model.close()
    baseline = statistics.median(direct)
    with tempfile.TemporaryDirectory() as folder:
        async with local_nats(Path(folder)) as server:
            os.environ |= {"NATS_URL": server.url, "ENGINE": "tone", "LOG_LEVEL": "error"}
            async with whole_service(workers=1, port=free_port()) as running:
                address = running.address
                await until_ready(f"{address}/readyz", running, running.parts[0])
                bus = await NatsBus.connect(server.url, name="benchmark")
                clip = await stored_clip(bus)
                nats = await repeat(count, lambda: over_nats(bus, clip))
                await bus.close()
                async with aiohttp.ClientSession() as session:
                    http = await repeat(
                        count, lambda: over_http(session, address, CLIP.read_bytes())
                    )
    return [
        f"{count} requests each, one at a time, {os.cpu_count()} cores.",
        "",
        "| First audio | median, ms | p99, ms | added, median | added, p99 |",
        "|---|---|---|---|---|",
        row("engine called in process", direct, baseline),
        row("request on NATS to first chunk", nats, baseline),
        row(
            f"HTTP form with a {len(CLIP.read_bytes()) // 1024} KiB reference to first audio",
            http,
            baseline,
        ),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=200)
    print("\n".join(asyncio.run(measure(parser.parse_args().requests))))
