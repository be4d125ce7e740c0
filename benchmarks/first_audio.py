"""Time to the first audio of a quick text, as a stream and as a job, and the cost of storing the stream as a job.

    python -m benchmarks.first_audio [--engine embedded] [--repeat 7]

Starts the whole service with one worker. Prints a Markdown table with medians, in milliseconds.
"""

import argparse
import asyncio
import os
import secrets
import statistics
import time

import aiohttp

from services.__main__ import until_ready, whole_service
from services.common.runtime.local_nats import free_port

HEADER_BYTES = 44
TEXTS = {
    "short sentences": "Hello! This voice reads your texts. Change these words, then press the button.",
    "a long first sentence": (
        "This morning the sun came in at the window and woke the cat, which stretched, walked to the kitchen, "
        "where the coffee was already singing, and sat down in front of the door, as on every other day. "
        "Then it slept."
    ),
}


def form_of(text: str) -> aiohttp.FormData:
    """Return the form of a text in the default voice."""
    form = aiohttp.FormData(default_to_multipart=True)
    form.add_field("text", text)
    form.add_field("language", "en")
    return form


async def first_audio(response: aiohttp.ClientResponse, began_s: float) -> float:
    """Read a WAV to its end; return the milliseconds to its first sample."""
    response.raise_for_status()
    received = 0
    first_ms = 0.0
    async for block in response.content.iter_any():
        received += len(block)
        if received > HEADER_BYTES and not first_ms:
            first_ms = 1000 * (time.monotonic() - began_s)
    return first_ms


async def streamed(session: aiohttp.ClientSession, text: str) -> tuple[float, float]:
    """Return the milliseconds to the first audio of `/stream`, and those that it takes to store it as a job."""
    name = secrets.token_hex(16)
    began_s = time.monotonic()
    async with session.post(
        "/stream", data=form_of(text), headers={"Request-Name": name}
    ) as response:
        first_ms = await first_audio(response, began_s)
    began_s = time.monotonic()
    async with session.post(f"/requests/{name}/job") as response:
        response.raise_for_status()
    return first_ms, 1000 * (time.monotonic() - began_s)


async def as_job(session: aiohttp.ClientSession, text: str) -> float:
    """Return the milliseconds to the first audio of a job, which is read while it runs."""
    began_s = time.monotonic()
    async with session.post("/jobs", data=form_of(text)) as response:
        response.raise_for_status()
        job = (await response.json())["id"]
    async with session.get(f"/jobs/{job}/audio") as response:
        return await first_audio(response, began_s)


async def measure(engine: str, repeat: int) -> list[str]:
    """Return the lines of the table."""
    os.environ |= {"ENGINE": engine, "LOG_LEVEL": "error"}
    rows = ["| Text | `/stream` | job | storing the stream |", "|---|---|---|---|"]
    async with whole_service(workers=1, port=free_port()) as running:
        await until_ready(f"{running.address}/readyz", running, running.parts[0])
        async with aiohttp.ClientSession(running.address) as session:
            await streamed(session, "Warm up.")
            for name, text in TEXTS.items():
                streams: list[tuple[float, float]] = []
                jobs: list[float] = []
                for _ in range(repeat):
                    streams.append(await streamed(session, text))
                    jobs.append(await as_job(session, text))
                firsts, stores = zip(*streams, strict=True)
                medians = [statistics.median(each) for each in (firsts, jobs, stores)]
                rows.append(f"| {name} | " + " | ".join(f"{each:.0f}" for each in medians) + " |")
    return rows


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--engine", default="embedded")
    parser.add_argument("--repeat", type=int, default=7)
    chosen = parser.parse_args()
    print("\n".join(asyncio.run(measure(chosen.engine, chosen.repeat))))


if __name__ == "__main__":
    main()
