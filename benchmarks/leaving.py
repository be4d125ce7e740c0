"""Time until work stops for a client that disconnects: `python -m benchmarks.leaving`.

Real processes on a real nats-server, the tone engine at a fifth of real time (steps of 50 ms). Each client begins to
stream a long text and drops its connection; a subscriber on NATS notes when the last chunk of its request comes.
"""

import argparse
import asyncio
import statistics
import tempfile
from pathlib import Path

import aiohttp

from services.common.bus import topology
from services.common.bus.nats.connection import NatsBus
from services.common.wire import subjects
from tests.chaos.leavers import SETTINGS, chunks_until_silence, leave
from tests.chaos.parts import house


async def measure(folder: Path, leavers: int) -> list[float]:
    """Return, for each client, how long after it left the last chunk came, in seconds; 0 where it came before."""
    waits: list[float] = []
    async with (
        house(folder, workers=2, settings=SETTINGS) as service,
        aiohttp.ClientSession() as session,
    ):
        await service.until_ready(session)
        bus = await NatsBus.connect(service.nats.url, name="observer")
        await bus.establish(topology.topology())
        for seed in range(leavers):
            listener = await bus.subscribe(subjects.AUDIO, limit=10_000)
            left_s = await leave(session, service.address(), seed)
            last = await chunks_until_silence(listener, quiet_s=0.6)
            await listener.close()
            waits += [max(0.0, last_s - left_s) for last_s in last.values()]
        await bus.close()
    return waits


def main() -> None:
    """Parse the command line, measure and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.leaving", description=__doc__)
    parser.add_argument("--leavers", type=int, default=100)
    leavers = parser.parse_args().leavers
    with tempfile.TemporaryDirectory(prefix="leaving-") as folder:
        waits_ms = [1000 * wait_s for wait_s in asyncio.run(measure(Path(folder), leavers))]
    cuts = statistics.quantiles(waits_ms, n=100, method="inclusive")
    print(
        "| clients that left | last chunk after that, median | p99 | longest |\n|---|---|---|---|"
    )
    print(f"| {len(waits_ms)} | {cuts[49]:.0f} ms | {cuts[98]:.0f} ms | {max(waits_ms):.0f} ms |")


if __name__ == "__main__":
    main()
