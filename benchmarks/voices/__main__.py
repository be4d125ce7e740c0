"""Cost of the voice library: first audio with a stored voice against an upload, and a library of 10,000 voices.

    python -m benchmarks.voices [speech] [library] [--engine tone] [--rounds 20] [--voices 10000]

Real processes (edge, splitter, one worker, nats-server) on one machine. The two kinds of request alternate, so that
they see the same load. The library is measured twice, with few voices and with all of them, so that its ratios hold on
a machine that others use. Prints Markdown tables: medians, and resident memory with its child processes.
"""

import argparse
import asyncio

from benchmarks.voices.library import measure_library
from benchmarks.voices.speech import measure_speech


async def measure(options: argparse.Namespace) -> None:
    """Measure the requested parts and print it."""
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
