"""Cost of the voice library: first audio with a stored voice against an upload, and a library of 10,000 voices.

    python -m benchmarks.voices [speech] [library] [--engine tone] [--rounds 20] [--voices 10000]

Real processes (edge, splitter, one worker, nats-server) on one machine. The two kinds of request alternate, so that
they see the same load. The library is measured twice, with few voices and with all of them, so that its ratios hold on
a machine that others use. Prints Markdown tables: medians, and resident memory with its child processes.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import aiohttp
import numpy as np

from services.__main__ import RunningService, until_ready, whole_service
from services.common.audio.clip import Clip
from services.common.audio.wav import write_wav
from services.common.bus import topology
from services.common.bus.library.quota import VoiceLimits
from services.common.bus.library.voices import VoiceLibrary
from services.common.bus.nats.connection import NatsBus
from services.common.runtime.local_nats import local_nats
from services.common.runtime.tcp_ports import free_port
from services.common.wire.messages import AS_USUAL
from services.common.wire.voices import MOST_LISTED, Voice

TEXT: Final = "The garden is behind the old house."
CLIP: Final = Path(__file__).parents[1] / "examples" / "voices" / "austen.flac"
TENANT: Final = "public"
FEW: Final = 100
REPEATS: Final = 15
AT_ONCE: Final = 8  # voices in creation
SETTINGS: Final = {
    "LOG_LEVEL": "error",
    "VOICE_CONSENT": "optional",
    "TENANT_VOICES": "1000000",
}


class FirstAudio(NamedTuple):
    """One request, in milliseconds."""

    heard: float  # from sending the form to the first bytes after the WAV header
    upload: float  # parts of Server-Timing
    voice: float


@dataclass(frozen=True)
class Service:
    """The running service and its library."""

    address: str
    running: RunningService
    session: aiohttp.ClientSession
    bus: NatsBus

    @property
    def library(self) -> VoiceLibrary:
        """Return the library, without the limits of a tenant."""
        return VoiceLibrary(self.bus, VoiceLimits(voices=1_000_000, clip_bytes=1 << 40))

    async def speak(self, *, clip: bytes | None = None, voice: str = "") -> FirstAudio:
        """Stream the text with an upload or a stored voice, to its end."""
        form = aiohttp.FormData({"text": TEXT, "language": "en"}, default_to_multipart=True)
        if clip is None:
            form.add_field("voice", voice)
        else:
            form.add_field("reference_audio", clip, filename="reference")

        began_s = time.perf_counter()
        async with self.session.post(f"{self.address}/stream", data=form) as response:
            response.raise_for_status()
            await response.content.readexactly(44)
            await response.content.readany()
            heard_s = time.perf_counter() - began_s
            await response.read()

        parts = dict(part.split(";dur=") for part in response.headers["Server-Timing"].split(", "))
        return FirstAudio(heard_s * 1000, float(parts["upload"]), float(parts["voice"]))

    async def get(self, path: str, **query: str) -> dict[str, object]:
        """Return the JSON of a path."""
        async with self.session.get(f"{self.address}{path}", params=query) as response:
            response.raise_for_status()
            return dict(await response.json())


@asynccontextmanager
async def service(engine: str, **settings: str) -> AsyncIterator[Service]:
    """Run the whole service with one worker on a nats-server of its own."""
    with tempfile.TemporaryDirectory(prefix="voices-") as folder:
        async with local_nats(Path(folder)) as server:
            os.environ |= SETTINGS | settings | {"NATS_URL": server.url, "ENGINE": engine}
            async with whole_service(workers=1, port=free_port()) as running:
                await until_ready(f"{running.address}/readyz", running, running.parts[0])
                bus = await NatsBus.connect(server.url, name="benchmark")
                async with aiohttp.ClientSession() as session:
                    yield Service(running.address, running, session, bus)
                await bus.close()


def draft(name: str) -> Voice:
    """Return the draft of a voice."""
    return Voice(
        voice="v_" + "0" * 20,
        tenant=TENANT,
        name=name,
        revision=1,
        state="creating",
        clips=(),
        clip_bytes=0,
        audio_s=1.0,
        created_unix_ms=0,
        changed_unix_ms=0,
        language="en",
        parameters=AS_USUAL,
    )


async def measure_speech(engine: str, rounds: int) -> list[str]:
    """Return the table of first audio: an upload and the same recording as a stored voice, in turn."""
    async with service(engine, WORKER_VOICES="2") as running:
        stored = await running.library.create(draft("Other"), [tone_wav(3.0)])
        form = aiohttp.FormData({"name": "Austen", "language": "en"})
        form.add_field("reference_audio", CLIP.read_bytes(), filename="reference")
        async with running.session.post(f"{running.address}/voices", data=form) as response:
            response.raise_for_status()
        austen = await running.library.require(TENANT, "Austen")
        [wav] = await running.library.clips(austen)

        flac = CLIP.read_bytes()
        warm = await in_turn(running, rounds, lambda _: flac, lambda _: ready("Austen"))
        cold = await in_turn(
            running, rounds, lambda _: flac, lambda _: ready("Austen"), evict=stored.name
        )

        async def enrolled(number: int) -> str:
            name = f"New {number}"
            await running.library.create(draft(name), [variant(wav, number)])
            return name

        first = await in_turn(running, rounds, lambda number: variant(wav, number), enrolled)

    size = len(flac) // 1024
    return [
        f"Engine `{engine}`, {rounds} rounds, {machine()}.",
        "",
        "| first audio, medians in ms | upload | stored voice | stored / upload | upload: `upload` + `voice` "
        "| stored: `upload` + `voice` |",
        "|---|---|---|---|---|---|",
        speech_row(f"voice in the worker's memory, {size} KiB FLAC", *warm),
        speech_row(f"voice in the bucket only, {size} KiB FLAC", *cold),
        speech_row(f"voice never used before, {len(wav) // 1024} KiB WAV", *first),
    ]


async def ready(name: str) -> str:
    """Return the name of a voice that exists."""
    return name


async def in_turn(
    running: Service,
    rounds: int,
    clip: Callable[[int], bytes],
    voice: Callable[[int], Awaitable[str]],
    *,
    evict: str = "",
) -> tuple[list[FirstAudio], list[FirstAudio]]:
    """Return the times with an upload and with a stored voice, after two rounds that do not count.

    `evict`: a third voice, spoken in between, so that a worker with room for two always has dropped the next one.
    """
    uploads: list[FirstAudio] = []
    stored: list[FirstAudio] = []
    for number in range(rounds + 2):
        name = await voice(number)
        uploads.append(await running.speak(clip=clip(number)))
        stored.append(await running.speak(voice=name))
        if evict:
            await running.speak(voice=evict)
    return uploads[2:], stored[2:]


def speech_row(name: str, uploads: list[FirstAudio], stored: list[FirstAudio]) -> str:
    """Return one line of the table."""
    with_upload, with_voice = medians(uploads), medians(stored)
    ratio = with_voice.heard / with_upload.heard
    return (
        f"| {name} | {with_upload.heard:.1f} | {with_voice.heard:.1f} | {ratio:.2f} "
        f"| {with_upload.upload:.1f} + {with_upload.voice:.1f} "
        f"| {with_voice.upload:.1f} + {with_voice.voice:.1f} |"
    )


def medians(times: list[FirstAudio]) -> FirstAudio:
    """Return the median of each part."""
    return FirstAudio(*(statistics.median(part) for part in zip(*times, strict=True)))


def variant(wav: bytes, number: int) -> bytes:
    """Return the same recording with another last sample, and so another hash."""
    return wav[:-2] + (number + 1).to_bytes(2, "little")


def tone_wav(seconds: float) -> bytes:
    """Return a short recording."""
    time_s = np.arange(round(seconds * 24_000)) / 24_000
    return write_wav(Clip((0.3 * np.sin(2 * np.pi * 220 * time_s)).astype(np.float32), 24_000))


async def measure_library(engine: str, voices: int, spoken: int) -> list[str]:
    """Return the table of a library with few voices and with many."""
    async with service(engine) as running:
        empty = await running.bus.storage_use(f"KV_{topology.LIBRARY}")
        await fill(running.library, range(FEW))
        few = await library_figures(running, FEW)
        await fill(running.library, range(FEW + REPEATS, voices - REPEATS))
        many = await library_figures(running, voices - REPEATS)

        used = await running.bus.storage_use(f"KV_{topology.LIBRARY}")
        count = await running.library.count(TENANT)
        before = memories(running)
        for number in range(1000, 1000 + spoken):
            await running.speak(voice=f"Voice {number:05}")
        after = memories(running)

    rows = [
        f"| {name} | {few[name]:.1f} | {many[name]:.1f} | {many[name] / few[name]:.1f} |"
        for name in few
    ]
    return [
        f"Engine `{engine}`, medians of {REPEATS}, {machine()}.",
        "",
        f"| | {FEW} voices | {count:,} voices | ratio |",
        "|---|---|---|---|",
        *rows,
        "",
        f"`{topology.LIBRARY}` takes {(used.used - empty.used) / count:.0f} bytes per voice. After {spoken} requests "
        f"with {spoken} different voices: "
        + ", ".join(f"{name} {before[name]:.0f} to {after[name]:.0f} MiB" for name in before)
        + ".",
    ]


async def library_figures(running: Service, count: int) -> dict[str, float]:
    """Return the figures of a library with the voices from 0 to `count`; creates `REPEATS` more."""
    wav = tone_wav(0.1)
    more = iter(range(count, count + REPEATS))

    async def create() -> None:
        await running.library.create(draft(f"Voice {next(more):05}"), [wav])

    creation_ms = await median_ms(create)
    began_s = time.perf_counter()
    pages = [page_s async for page_s in all_pages(running)]
    whole_s = time.perf_counter() - began_s
    name = f"Voice {count + REPEATS - 1:05}"
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
            lambda: running.get("/voices", limit="200", q=f"{FEW + 1:05}", kind="library")
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
    slots = asyncio.Semaphore(AT_ONCE)
    wav = tone_wav(0.1)

    async def create(number: int) -> None:
        async with slots:
            await library.create(draft(f"Voice {number:05}"), [wav])
        if number % 1000 == 0:
            print(f"voice {number}", file=sys.stderr, flush=True)

    await asyncio.gather(*map(create, numbers))


async def median_ms(once: Callable[[], Awaitable[object]]) -> float:
    """Return the median duration of `REPEATS` calls, in milliseconds."""
    durations: list[float] = []
    for _ in range(REPEATS):
        began_s = time.perf_counter()
        await once()
        durations.append(time.perf_counter() - began_s)
    return statistics.median(durations) * 1000


def memories(running: Service) -> dict[str, float]:
    """Return the resident memory of each part with its child processes, in MiB."""
    return {
        part.name: sum(map(resident_mebibytes, tree(part.process.pid)))
        for part in running.running.parts
    }


def tree(pid: int) -> Iterator[int]:
    """Yield a process and its descendants."""
    yield pid
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield from tree(int(child))


def resident_mebibytes(pid: int) -> float:
    """Return the resident memory of a process in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def machine() -> str:
    """Return the cores and the load average."""
    return f"{os.cpu_count()} shared cores, load average {os.getloadavg()[0]:.1f}"


async def measure(options: argparse.Namespace) -> None:
    """Measure what was asked for and print it."""
    parts = options.parts or ["speech", "library"]
    if "speech" in parts:
        print("\n".join(await measure_speech(options.engine, options.rounds)), flush=True)
    if "library" in parts:
        print("\n".join(await measure_library("tone", options.voices, options.spoken)))


def main() -> None:
    """Parse the command line, and measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.voices", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="speech|library", help="default: both")
    parser.add_argument("--engine", default="embedded", help="of the first part")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--voices", type=int, default=10_000)
    parser.add_argument("--spoken", type=int, default=500, help="different voices in requests")
    asyncio.run(measure(parser.parse_args()))


if __name__ == "__main__":
    main()
