"""Clients that arrive regardless of capacity, and what they get: whole audio, a refusal, or anything else."""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import aiohttp

from services.common.runtime.lifecycle import tasks
from tests.chaos.listeners import LONGEST_SENTENCE
from tests.chaos.parts import House
from tests.support.recordings import encoded, speech_of
from tests.support.service import expected_pcm

WAV_HEADER: Final = 44
BYTES_A_SECOND: Final = 48_000
CLIP: Final = encoded(speech_of(4, rate_hz=16_000).samples, 16_000, "FLAC", "PCM_16")
_WORDS: Final = (
    "the river under old bridges carries lamps and letters to a slow sea where nobody waits"
)

Outcome = Literal["whole", "wrong", "refused", "failed"]


@dataclass(frozen=True)
class Answer:
    """The result of one client."""

    outcome: Outcome
    status: int  # 0: the connection broke
    came_s: float  # when it asked (monotonic)
    first_s: float  # from then to the first audio
    ended_s: float  # when it had all (monotonic)
    sound_s: float
    retry_after: str | None = None


def text_of(draw: random.Random, sentences: int) -> str:
    """Draw a text of so many sentences of some 3 s each."""
    words = _WORDS.split()
    return " ".join(
        " ".join(draw.choices(words, k=10)).capitalize() + "." for _ in range(sentences)
    )


def form_of(text: str, seed: int) -> aiohttp.FormData:
    """Return a request's form."""
    form = aiohttp.FormData({"text": text, "language": "en", "seed": str(seed)})
    form.add_field("reference_audio", CLIP, filename="voice.flac")
    return form


async def ask(
    session: aiohttp.ClientSession, address: str, text: str, seed: int, *, pause_s: float = 0.0
) -> Answer:
    """Ask once for a stream, read it to its end, with a pause after every chunk, and compare every sample."""
    came_s = time.monotonic()
    try:
        async with session.post(f"{address}/stream", data=form_of(text, seed)) as response:
            if response.status != 200:
                await response.read()
                outcome: Outcome = "refused" if response.status in (429, 503) else "failed"
                retry_after = response.headers.get("Retry-After")
                return Answer(
                    outcome, response.status, came_s, 0.0, time.monotonic(), 0.0, retry_after
                )
            heard = bytearray(await response.content.readexactly(WAV_HEADER + 2))
            first_s = time.monotonic() - came_s
            while piece := await response.content.readany():
                heard += piece
                await asyncio.sleep(pause_s)
    except (aiohttp.ClientError, asyncio.IncompleteReadError):
        return Answer("failed", 0, came_s, 0.0, time.monotonic(), 0.0)
    ended_s, sound = time.monotonic(), bytes(heard[WAV_HEADER:])
    owed = await asyncio.to_thread(expected_pcm, text, seed=seed, max_characters=LONGEST_SENTENCE)
    return Answer(
        "whole" if sound == owed else "wrong",
        200,
        came_s,
        first_s,
        ended_s,
        len(sound) / BYTES_A_SECOND,
    )


async def offer(
    session: aiohttp.ClientSession,
    address: str,
    *,
    sound_a_second: float,
    seconds: float,
    seed: int,
) -> list[Answer]:
    """Let clients arrive at random (Poisson), asking together for so much audio per second; return what all got."""
    draw, answers = random.Random(seed), list[Answer]()

    async def come(text: str, number: int) -> None:
        answers.append(await ask(session, address, text, number))

    until_s = time.monotonic() + seconds
    async with tasks() as clients:
        while time.monotonic() < until_s:
            text = text_of(draw, draw.choice([1, 1, 2, 4]))
            clients.create_task(come(text, draw.getrandbits(60)))
            await asyncio.sleep(draw.expovariate(sound_a_second / (len(text) * 0.06)))
    return answers


def goodput(answers: list[Answer], began_s: float, ended_s: float) -> float:
    """Return the seconds of audio of whole answers that ended between two moments (monotonic), for each second."""
    sound_s = sum(
        a.sound_s for a in answers if a.outcome == "whole" and began_s <= a.ended_s < ended_s
    )
    return sound_s / (ended_s - began_s)


def percentile(values: list[float], share: float) -> float:
    """Return the value under which this share of all lies."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def resident_mib(service: House) -> dict[str, float]:
    """Return every process's resident memory now."""
    return {
        part.name: _resident_mib(part.process.pid)
        for part in service.parts
        if part.process is not None
    }


def _resident_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(
        int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS")
    )


async def until(true: Callable[[], bool], patience_s: float) -> None:
    """Wait until something is true. Raises TimeoutError."""
    async with asyncio.timeout(patience_s):
        while not true():
            await asyncio.sleep(0.02)
