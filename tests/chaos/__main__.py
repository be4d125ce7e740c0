"""`python -m tests.chaos --streams 10000 --seed 1`: a long storm, and its figures as a table."""

import argparse
import asyncio
import statistics
import sys
import tempfile
from pathlib import Path

from tests.chaos.storm import Report, storm


def main() -> None:
    """Parse the command line, run the storm and print what it came to; exit with 1 where a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--streams", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1, help="of the orders and of the faults")
    parser.add_argument("--at-once", type=int, default=8)
    parser.add_argument("--mean-gap", type=float, default=2.0, help="seconds between two faults")
    choice = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        report = asyncio.run(
            storm(
                Path(folder),
                streams=choice.streams,
                seed=choice.seed,
                at_once=choice.at_once,
                mean_gap_s=choice.mean_gap,
            )
        )
    print(_table(report, choice.seed))
    for line in (*report.tally.faults, *report.left):
        print(line)
    sys.exit(bool(report.tally.faults or report.left))


def _table(report: Report, seed: int) -> str:
    tally = report.tally
    faults = ", ".join(f"{kind} {count}" for kind, count in sorted(report.faults.items()))
    rows = [
        ("streams", f"{tally.orders} in {report.took_s:.0f} s, seed {seed}"),
        ("byte-equal to the undisturbed run", f"{tally.whole}"),
        ("samples wrong, lost, repeated or out of order", f"{tally.wrong}"),
        ("cut or refused for good", f"{tally.cut + tally.refused}"),
        ("tries refused before anything was promised", f"{tally.tries_refused}"),
        ("faults", faults),
        ("sentences taken over in their middle", f"{len(report.waits_s)}"),
        ("left behind", ", ".join(report.left) or "nothing"),
    ]
    if len(report.waits_s) >= 2:
        cuts = statistics.quantiles(report.waits_s, n=20, method="inclusive")
        rows.append(
            (
                "worker's fault to next audio",
                f"median {cuts[9]:.2f} s, p95 {cuts[18]:.2f} s, longest {report.waits_s[-1]:.2f} s",
            )
        )
    return "| | |\n|---|---|\n" + "\n".join(f"| {name} | {value} |" for name, value in rows)


if __name__ == "__main__":
    main()
