"""`python -m benchmarks.openai`: what `POST /v1/audio/speech` costs over `POST /stream`.

The same text with a built-in voice of the tone engine, as WAV, alternately over both paths, one request at a time.
Real processes (edge, splitter, one worker, nats-server) on one machine. CPU is that of the edge's process.
"""

import argparse
import asyncio
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import aiohttp
import psutil

from services.__main__ import until_ready, whole_service
from services.common.runtime.local_nats import free_port, local_nats

TEXT = "A greeting of ordinary length, and then a second sentence. And one more, to end with."
PATHS = ("/stream", "/v1/audio/speech")


@dataclass(frozen=True)
class Cost:
    """One request, in seconds."""

    first: float
    whole: float
    cpu: float


def edge_process(port: int) -> psutil.Process:
    """Return the process that listens on a port."""
    for process in psutil.Process().children(recursive=True):
        for connection in process.net_connections("inet"):
            if connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
                return process
    raise LookupError("no process listens on the port")


def cpu_s(process: psutil.Process) -> float:
    """Return the CPU time that a process has used."""
    used = process.cpu_times()
    return used.user + used.system


async def request(session: aiohttp.ClientSession, address: str, path: str) -> tuple[float, float]:
    """Return the seconds to the first byte of audio and to the end of one request."""
    began_s = time.perf_counter()

    if path == "/stream":
        form = {"text": TEXT, "language": "en", "voice": "low"}
        sent = session.post(address + path, data=aiohttp.FormData(form, default_to_multipart=True))
    else:
        body = {"model": "tts-1", "voice": "low", "input": TEXT, "response_format": "wav"}
        sent = session.post(address + path, json=body | {"language": "en"})

    async with sent as response:
        response.raise_for_status()
        await response.content.readexactly(44)
        await response.content.readany()
        first_s = time.perf_counter() - began_s
        await response.read()
    return first_s, time.perf_counter() - began_s


async def block(
    session: aiohttp.ClientSession, address: str, path: str, count: int, edge: psutil.Process
) -> list[Cost]:
    """Send some requests, and share the edge's CPU time evenly between them."""
    before_s = cpu_s(edge)
    found = [await request(session, address, path) for _ in range(count)]
    each_s = (cpu_s(edge) - before_s) / count
    return [Cost(first_s, whole_s, each_s) for first_s, whole_s in found]


async def measure(rounds: int, count: int) -> dict[str, list[Cost]]:
    """Return the costs of each path. The blocks alternate; the first of each does not count."""
    costs: dict[str, list[Cost]] = {path: [] for path in PATHS}
    with tempfile.TemporaryDirectory() as folder:
        async with local_nats(Path(folder)) as server:
            os.environ |= {"NATS_URL": server.url, "ENGINE": "tone", "LOG_LEVEL": "error"}
            port = free_port()
            async with whole_service(workers=1, port=port) as running:
                await until_ready(f"{running.address}/readyz", running, running.parts[0])
                edge = edge_process(port)
                async with aiohttp.ClientSession() as session:
                    for number in range(rounds + 1):
                        for path in PATHS:
                            found = await block(session, running.address, path, count, edge)
                            costs[path] += found if number else []
    return costs


def table(costs: dict[str, list[Cost]]) -> list[str]:
    """Return the lines of the table: medians in ms, and their ratio."""
    lines = [
        "| | `/stream`, ms | `/v1/audio/speech`, ms | ratio |",
        "|---|---|---|---|",
    ]
    for name, field in (("first audio", "first"), ("whole", "whole"), ("CPU of the edge", "cpu")):
        stream, speech = (
            1000 * median(getattr(cost, field) for cost in costs[path]) for path in PATHS
        )
        lines.append(f"| {name} | {stream:.1f} | {speech:.1f} | {speech / stream:.2f} |")
    return lines


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--requests", type=int, default=20, help="of each path in each round")
    options = parser.parse_args()
    print("\n".join(table(asyncio.run(measure(options.rounds, options.requests)))))
