"""First audio with an upload, and with the same recording as a stored voice."""

import statistics
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import aiohttp

from benchmarks.voices.running import TENANT, FirstAudio, Service, draft, machine, service, tone_wav

_CLIP: Final = Path(__file__).parents[2] / "examples" / "voices" / "austen.flac"


async def measure_speech(engine: str, rounds: int) -> list[str]:
    """Return the table of first audio: an upload and the same recording as a stored voice, in turn."""
    async with service(engine, WORKER_VOICES="2") as running:
        stored = await running.library.create(draft("Other"), [tone_wav(3.0)])
        form = aiohttp.FormData({"name": "Austen", "language": "en"})
        form.add_field("reference_audio", _CLIP.read_bytes(), filename="reference")
        async with running.session.post(f"{running.address}/voices", data=form) as response:
            response.raise_for_status()
        austen = await running.library.require(TENANT, "Austen")
        [wav] = await running.library.clips(austen)

        flac = _CLIP.read_bytes()
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

    `evict`: a third voice, spoken in between, so that a worker that caches two always has dropped the next one.
    """
    uploads: list[FirstAudio] = []
    stored: list[FirstAudio] = []
    for number in range(rounds + 2):
        name = await voice(number)
        uploads.append(await running.speak(clip=clip(number)))
        stored.append(await running.speak(voice=name))
        if evict:
            await running.speak(voice=evict)
        print(f"round {number}: {uploads[-1]} {stored[-1]}", file=sys.stderr, flush=True)
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
