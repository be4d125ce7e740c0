"""Load test at five times the service's capacity.

    python -m benchmarks.overload [--seconds 180]

Real processes on loopback: nats-server, an edge, two splitters, two workers with the tone engine, each of whose steps
takes as long as the audio that it makes for a sentence. Clients arrive at random (Poisson), ask for one, two or four
sentences, compare every sample, and do not retry when they are refused. Prints Markdown: goodput (audio of answers
that came whole, for each second) at rising loads and at five times the peak for `--seconds`, first audio, memory; then
a greeting during a text of 500,000 characters, and how two tenants share.
"""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

import aiohttp

from tests.chaos.load import Answer, goodput, offer, percentile, resident_mib
from tests.chaos.parts import house
from tests.chaos.shares import greeting_idle_and_beside_a_book, jain, shares

SETTINGS = {
    "TONE_REAL_TIME_FACTOR": "0.5",
    "WORKER_SLOTS": "4",
    "WORKER_EXPRESS_SLOTS": "2",
    "LOG_LEVEL": "error",
}
GREETING = SETTINGS | {"TONE_REAL_TIME_FACTOR": "0.06", "MAX_TEXT_CHARACTERS": "500000"}
CAPACITY_S = 24.0  # seconds of audio per second that all slots together could make
LADDER = (0.25, 0.5, 0.75, 1.0, 1.5)  # of that
RUNG_S = 25.0
WARM_S = 5.0


def row(name: str, offered: float, answers: list[Answer], began_s: float, ended_s: float) -> str:
    """Return a line of the table of loads."""
    whole = [answer for answer in answers if answer.outcome == "whole"]
    refused = [answer for answer in answers if answer.outcome == "refused"]
    first_s = [answer.first_s for answer in whole if answer.came_s >= began_s]
    bad = len(answers) - len(whole) - len(refused)
    figures = [
        f"{offered:.1f}",
        f"{goodput(answers, began_s, ended_s):.1f}",
        f"{percentile(first_s, 0.5):.2f}",
        f"{percentile(first_s, 0.99):.2f}",
        str(len(whole)),
        str(len(refused)),
        str(bad),
    ]
    return f"| {name} | " + " | ".join(figures) + " |"


async def loads(folder: Path, seconds: float) -> list[str]:
    """Return the tables of loads and of memory."""
    lines = [
        "| load | offered, s/s | goodput, s/s | first audio p50, s | p99, s | whole | refused | wrong or cut |",
        "|---|---|---|---|---|---|---|---|",
    ]
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        house(folder, splitters=2, workers=2, settings=SETTINGS) as service,
        aiohttp.ClientSession(connector=connector) as session,
    ):
        await service.until_ready(session)
        peak, memory = 0.0, [("before", resident_mib(service))]
        for share in LADDER:
            began_s, load = time.monotonic() + WARM_S, share * CAPACITY_S
            answers = await offer(
                session, service.address(), sound_a_second=load, seconds=WARM_S + RUNG_S, seed=1
            )
            peak = max(peak, goodput(answers, began_s, began_s + RUNG_S))
            lines.append(row(f"{share:g}", load, answers, began_s, began_s + RUNG_S))
        memory.append(("after the ladder", resident_mib(service)))
        began_s, load = time.monotonic() + WARM_S, 5 * peak
        whole_time = asyncio.create_task(
            offer(session, service.address(), sound_a_second=load, seconds=WARM_S + seconds, seed=2)
        )
        for part in (1, 2, 3):
            await asyncio.wait([whole_time], timeout=(WARM_S + seconds) / 3)
            memory.append((f"{part} third of the overload", resident_mib(service)))
        answers = await whole_time
    at_five = goodput(answers, began_s, began_s + seconds)
    lines.append(
        row(f"5 times the peak, {seconds:.0f} s", load, answers, began_s, began_s + seconds)
    )
    lines += [
        "",
        f"Goodput at 5 times the peak: {100 * at_five / peak:.0f} % of the peak ({peak:.1f} s/s).",
        "",
    ]
    return lines + memory_table(memory)


def memory_table(memory: list[tuple[str, dict[str, float]]]) -> list[str]:
    """Return a table of resident memory."""
    names = list(memory[0][1])
    head = ["| resident, MiB | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    return head + [
        f"| {when} | " + " | ".join(f"{now[name]:.0f}" for name in names) + " |"
        for when, now in memory
    ]


async def greetings(folder: Path) -> list[str]:
    """Return the first-audio time of a greeting while a book is being spoken."""
    async with (
        house(folder, splitters=1, workers=2, settings=GREETING) as service,
        aiohttp.ClientSession() as session,
    ):
        await service.until_ready(session)
        idle_s, divided_s, beside_s = await greeting_idle_and_beside_a_book(
            session, service.address(), characters=500_000, times=41
        )
    return [
        "",
        "| greeting's first audio | ms | of idle |",
        "|---|---|---|",
        f"| idle, median | {idle_s * 1000:.1f} | 1.00 |",
        f"| while 500,000 characters are divided, worst | {divided_s * 1000:.1f} | {divided_s / idle_s:.2f} |",
        f"| while they are spoken, median | {beside_s * 1000:.1f} | {beside_s / idle_s:.2f} |",
    ]


async def fairness(folder: Path) -> list[str]:
    """Return how two tenants share."""
    settings = SETTINGS | {"QUEUE_AUDIO_S": "1000"}
    async with (
        house(
            folder, edges=2, splitters=1, workers=2, settings=settings, tenants=("small", "large")
        ) as service,
        aiohttp.ClientSession() as session,
    ):
        await service.until_ready(session)
        made = await shares(service, session, requests=(1, 10), seconds=20)
    return [
        "",
        f"Two tenants with 1 and 10 long requests in flight: Jain's index {jain(made):.3f}.",
    ]


async def measure(seconds: float) -> None:
    """Run everything and print as it comes."""
    for benchmark in (lambda at: loads(at, seconds), greetings, fairness):
        with tempfile.TemporaryDirectory() as folder:
            print("\n".join(await benchmark(Path(folder))), flush=True)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=180.0)
    asyncio.run(measure(arguments.parse_args().seconds))
