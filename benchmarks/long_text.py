"""Memory cost of a long text: 99,000 characters through the whole service with the tone engine.

    python -m benchmarks.long_text

Prints a Markdown table with the peak resident memory of every process, after `/synthesize` and after `/stream`.
"""

import asyncio
import os
import time
from pathlib import Path

import aiohttp

from services.__main__ import ServicePart, until_ready, whole_service
from services.common.runtime.local_nats import free_port

TEXT = " ".join(
    f"This is sentence number {number} of a long text, read aloud." for number in range(1_700)
)[:99_000]
CLIP = Path(__file__).parents[1] / "examples" / "voices" / "austen.flac"


def peak_mib(part: ServicePart) -> int:
    """Return a process's peak resident memory in MiB."""
    status = Path(f"/proc/{part.process.pid}/status").read_text()
    return next(
        int(line.split()[1]) // 1024 for line in status.splitlines() if line.startswith("VmHWM")
    )


async def speak(address: str, path: str) -> tuple[int, float]:
    """Speak the text; return the bytes of the answer and the seconds that it took."""
    form = aiohttp.FormData({"text": TEXT, "language": "en"})
    form.add_field("reference_audio", CLIP.read_bytes(), filename="reference")
    began_s, size = time.monotonic(), 0
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{address}{path}", data=form) as response,
    ):
        response.raise_for_status()
        async for block in response.content.iter_chunked(65_536):
            size += len(block)
    return size, time.monotonic() - began_s


async def measure() -> list[str]:
    """Run everything and return the lines of the table."""
    os.environ |= {"ENGINE": "tone", "LOG_LEVEL": "error"}
    async with whole_service(workers=2, port=free_port()) as running:
        address = running.address
        parts = running.parts
        await until_ready(f"{address}/readyz", running, parts[0])
        rows = [
            "| | sound, h | seconds | " + " | ".join(f"{part.name}, MiB" for part in parts) + " |",
            "|---|---|---|" + "---|" * len(parts),
            "| started | | | " + " | ".join(str(peak_mib(part)) for part in parts) + " |",
        ]
        for path in ("/synthesize", "/stream"):
            size, took_s = await speak(address, path)
            peaks = " | ".join(str(peak_mib(part)) for part in parts)
            rows.append(f"| `{path}` | {size / 48_000 / 3600:.1f} | {took_s:.1f} | {peaks} |")
    return rows


if __name__ == "__main__":
    print("\n".join(asyncio.run(measure())))
