"""`python -m benchmarks.scale`: what thousands of workers would do, simulated from measured service times.

Prints Markdown: how the division into cells and the choice of a cell tell on first audio; what a surge costs while more
workers start; what a million characters cost. Seeded: every run prints the same.
"""

import argparse
from collections.abc import Iterator

from benchmarks.scale.cell import Shape
from benchmarks.scale.demand import MEAN_REQUEST_S, requests
from benchmarks.scale.measured import RESULTS, WorkerSpeed, embedded, xtts
from benchmarks.scale.simulation import Met, Scaling, Site, at_random, better_of_two, least_due, run
from services.common.wire.estimate import audio_seconds

BYTES_A_SECOND = 48_000  # of audio: 24 kHz, 16 bit
WORKERS = 4096
CELL = 64  # workers
WARM_S, COUNTED_S = 60.0, 120.0
SURGE_AT_S, SURGE_S = 60.0, 600.0


def percentile(values: list[float], share: float) -> float:
    """Return the value that `share` of them do not exceed."""
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


def row(*cells: str) -> str:
    """Return a line of a table."""
    return "| " + " | ".join(cells) + " |"


def listeners(met: Met) -> tuple[str, ...]:
    """Return the cells of a row: first audio at p50 and p99, shares that stalled and were refused."""
    return (
        f"{percentile(met.first_s, 0.5):.2f}",
        f"{percentile(met.first_s, 0.99):.2f}",
        f"{met.stalled / len(met.first_s):.1%}",
        f"{len(met.refused_s) / met.asked:.1%}",
    )


def partitions(name: str, speed: WorkerSpeed) -> Iterator[str]:
    """Yield rows: one pool of all workers, and cells with each way of choosing one."""
    whole = Site(1, Shape(WORKERS, speed))
    cells = [
        Site(WORKERS // CELL, Shape(CELL, speed), router)
        for router in (at_random, better_of_two, least_due)
    ]
    for load in (0.5, 0.8, 0.95):
        for way, site in zip(
            ("one pool", "any cell", "better of two", "least due"), (whole, *cells), strict=True
        ):
            a_second = load * site.capacity / MEAN_REQUEST_S
            demand = requests(
                1, lambda _, a_second=a_second: a_second, a_second, WARM_S + COUNTED_S
            )  # type: ignore[misc]
            met = run(site, demand, counted_s=(WARM_S, WARM_S + COUNTED_S))
            yield row(name, f"{load:.0%}", way, f"{met.asked:,}", *listeners(met))


def surges(speed: WorkerSpeed) -> Iterator[str]:
    """Yield rows: a demand that rises within a second from half of a cell's speed to one and a half."""
    for cold_s in (10.0, 60.0, 360.0):
        for ready in (1.0, 1.5, 2.0):
            shape = Shape(round(CELL * ready), speed)
            base = CELL * speed.capacity / MEAN_REQUEST_S

            def rate(now_s: float, base: float = base) -> float:
                return base * (1.5 if now_s >= SURGE_AT_S else 0.5)

            demand = requests(1, rate, 1.5 * base, SURGE_AT_S + SURGE_S)
            scaling = Scaling(cold_s=cold_s, most=4 * CELL)
            met = run(
                Site(1, shape),
                demand,
                counted_s=(SURGE_AT_S, SURGE_AT_S + SURGE_S),
                scaling=scaling,
            )
            last_s = max(met.refused_s, default=SURGE_AT_S) - SURGE_AT_S
            yield row(f"{cold_s:.0f} s", f"{shape.workers}", *listeners(met), f"{last_s:.0f} s")


def costs(name: str, speed: WorkerSpeed, cores: int, price: float) -> Iterator[str]:
    """Yield rows: hours of a core, and money, for a million characters at full speed and at 60 % of it."""
    for language in ("en", "zh"):
        hours = audio_seconds(1_000_000, language) / speed.capacity * cores / 3600
        yield row(
            name, language, f"{hours:.1f}", f"{hours * price:.2f}", f"{hours * price / 0.6:.2f}"
        )


def main() -> None:
    """Simulate everything and print as it comes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument(
        "--core-hour", type=float, default=0.04, help="what an hour of one core costs you"
    )
    price = parser.parse_args().core_hour
    results = RESULTS.read_text()
    engines = {"embedded": (embedded(results), 2), "xtts, bfloat16": (xtts("bfloat16", results), 1)}
    tail = ("first audio p50, s", "p99, s", "stalled", "refused")
    print(
        f"{WORKERS:,} workers, in one pool or in cells of {CELL}; {COUNTED_S:.0f} s after {WARM_S:.0f} s.\n"
    )
    print(row("engine", "load", "cell", "requests", *tail) + "\n" + "|---" * 8 + "|")
    for name, (speed, _) in engines.items():
        for line in partitions(name, speed):
            print(line, flush=True)
    print(
        f"\nA surge of {SURGE_S:.0f} s, from half to one and a half of what {CELL} workers speak; embedded.\n"
    )
    print(
        row("a worker's start", "workers before", *tail, "last refusal after")
        + "\n"
        + "|---" * 7
        + "|"
    )
    for line in surges(engines["embedded"][0]):
        print(line, flush=True)
    print(f"\nA million characters, at {price:g} a core and hour.\n")
    print(
        row("engine", "language", "hours of a core", "cost", "at 60 % load")
        + "\n"
        + "|---" * 5
        + "|"
    )
    for name, (speed, cores) in engines.items():
        print("\n".join(costs(name, speed, cores, price)))
    print()
    for name, (speed, _) in engines.items():
        sound = CELL * speed.capacity
        print(
            f"Through the NATS of a cell of {CELL} workers, {name}: {sound * BYTES_A_SECOND / 1e6:.1f} MB/s of sound."
        )


if __name__ == "__main__":
    main()
