"""A library with few voices and with many: time, memory and storage."""

import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from benchmarks.voices.running import TENANT, Service, draft, machine, memories, service, tone_wav
from services.common.bus import topology
from services.common.bus.library.voices import VoiceLibrary
from services.common.wire.voices import MOST_LISTED

_FEW: Final = 100
_REPEATS: Final = 15
_AT_ONCE: Final = 8  # voices in creation


async def measure_library(engine: str, voices: int, spoken: int) -> list[str]:
    """Return the table of a library with few voices and with many."""
    async with service(engine) as running:
        empty = await running.bus.storage_use(f"KV_{topology.LIBRARY}")
        await fill(running.library, range(_FEW))
        few = await library_figures(running, _FEW)
        await fill(running.library, range(_FEW + _REPEATS, voices - _REPEATS))
        many = await library_figures(running, voices - _REPEATS)

        used = await running.bus.storage_use(f"KV_{topology.LIBRARY}")
        count = await running.library.count(TENANT)
        before = memories(running)
        for number in range(voices - min(spoken, voices), voices):
            await running.speak(voice=f"Voice {number:05}")
        after = memories(running)

    rows = [
        f"| {name} | {few[name]:.1f} | {many[name]:.1f} | {many[name] / few[name]:.1f} |"
        for name in few
    ]
    return [
        f"Engine `{engine}`, medians of {_REPEATS}, {machine()}.",
        "",
        f"| | {_FEW} voices | {count:,} voices | ratio |",
        "|---|---|---|---|",
        *rows,
        "",
        f"`{topology.LIBRARY}` takes {(used.used - empty.used) / count:.0f} bytes per voice. After {spoken} requests "
        f"with {spoken} different voices: "
        + ", ".join(f"{name} {before[name]:.0f} to {after[name]:.0f} MiB" for name in before)
        + ".",
    ]


async def library_figures(running: Service, count: int) -> dict[str, float]:
    """Return the figures of a library with the voices from 0 to `count`; creates `_REPEATS` more."""
    wav = tone_wav(0.1)
    more = iter(range(count, count + _REPEATS))

    async def create() -> None:
        await running.library.create(draft(f"Voice {next(more):05}"), [wav])

    creation_ms = await median_ms(create)
    began_s = time.perf_counter()
    pages = [page_s async for page_s in all_pages(running)]
    whole_s = time.perf_counter() - began_s
    name = f"Voice {count + _REPEATS - 1:05}"
    voice = (await running.library.require(TENANT, name)).voice

    async def speak() -> None:
        heard.append((await running.speak(voice=name)).heard)

    heard: list[float] = []
    await median_ms(speak)
    return {
        "create a voice, ms": creation_ms,
        "page of 200, ms": statistics.median(pages) * 1000,
        "all pages, ms": whole_s * 1000,
        "page filtered by name, ms": await median_ms(
            lambda: running.get("/voices", limit="200", q=f"{_FEW + 1:05}", kind="library")
        ),
        "read by name, ms": await median_ms(lambda: running.get(f"/voices/{name}")),
        "read by id, ms": await median_ms(lambda: running.get(f"/voices/{voice}")),
        "first audio with the newest voice, ms": statistics.median(heard),
    } | {f"memory of {part}, MiB": mebibytes for part, mebibytes in memories(running).items()}


async def all_pages(running: Service) -> AsyncIterator[float]:
    """Read the list to its end; yield the seconds of each page."""
    query = {"limit": str(MOST_LISTED), "kind": "library"}
    while True:
        began_s = time.perf_counter()
        page = await running.get("/voices", **query)
        yield time.perf_counter() - began_s
        if page["next"] is None:
            return
        query["after"] = str(page["next"])


async def fill(library: VoiceLibrary, numbers: range) -> None:
    """Create a voice for each number, a few at a time."""
    slots = asyncio.Semaphore(_AT_ONCE)
    wav = tone_wav(0.1)

    async def create(number: int) -> None:
        async with slots:
            await library.create(draft(f"Voice {number:05}"), [wav])
        if number % 1000 == 0:
            print(f"voice {number}", file=sys.stderr, flush=True)

    await asyncio.gather(*map(create, numbers))


async def median_ms(once: Callable[[], Awaitable[object]]) -> float:
    """Return the median duration of `_REPEATS` calls, in milliseconds."""
    durations: list[float] = []
    for _ in range(_REPEATS):
        began_s = time.perf_counter()
        await once()
        durations.append(time.perf_counter() - began_s)
    return statistics.median(durations) * 1000
