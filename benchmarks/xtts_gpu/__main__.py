"""`task xtts:gpu`: the XTTS engine on this machine's GPU, in eight steps and about ten minutes.

    ./task xtts:gpu                                        random weights of the released sizes
    COQUI_TOS_AGREED=1 ./task xtts:gpu                     the released weights, downloaded if necessary
    ./task xtts:gpu -- --model-dir F --steps stock,speed   weights from a directory, some steps only
    ./task xtts:gpu -- --device cpu --small                a few seconds on a CPU, as the tests run it

Each step has its own process and a time limit, so one that fails, hangs or breaks the GPU's context costs nothing but
itself. The report is one JSON file and one Markdown file; the exit status is 1 if a step failed.
"""

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.xtts_gpu import (
    crowds,
    environment,
    equality,
    faults,
    guarding,
    speed,
    stock,
    traffic,
)
from benchmarks.xtts_gpu.bench import FULL, SMALL, Bench
from benchmarks.xtts_gpu.findings import Findings, Outcome, as_json, outcome_of, table_of
from services.synth_worker.engines.xtts.weights.location import WeightSettings, find_weights
from tests.support.xtts_checkpoint import make_checkpoint

# Step -> its function and its limit in seconds: 630 s together, of which the steps use about two thirds.
STEPS: dict[str, tuple[Callable[[Bench, Findings], None], int]] = {
    "environment": (environment.examine, 30),
    "equality": (equality.examine, 120),
    "stock": (stock.examine, 120),
    "crowds": (crowds.examine, 60),
    "speed": (speed.examine, 90),
    "traffic": (traffic.examine, 120),
    "guard": (guarding.examine, 60),
    "faults": (faults.examine, 30),
}
_TRACEBACK_LINES = 12
_CACHE = Path.home() / ".cache" / "voice-cloning-pipeline"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the steps, write the report, and return the exit status."""
    options = _options(arguments)
    # a fork has everything imported, and no context of CUDA, which is created by a step
    forked = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory() as scratch:
        bench = _bench(options, Path(scratch), forked)
        outcomes = []
        for name in options.steps:
            print(f"{name} ...", file=sys.stderr, flush=True)
            outcomes.append(run(name, bench, forked))
            print(f"{name}: {outcomes[-1].verdict}", file=sys.stderr, flush=True)
    _write(options.out, bench, outcomes)
    return int(any(outcome.verdict == "failed" for outcome in outcomes))


def _write(out: Path, bench: Bench, outcomes: Sequence[Outcome]) -> None:
    weights = "released" if bench.released else "random"
    report = {"device": bench.device, "weights": weights, "steps": as_json(outcomes)}
    (out / "xtts-gpu.json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    table = f"Device {bench.device}, {weights} weights.\n\n{table_of(outcomes)}\n"
    (out / "xtts-gpu.md").write_text(table)
    print(table)


def run(name: str, bench: Bench, forked: Any) -> Outcome:
    """Run one step in its own process; it ends when its time is over."""
    function, usual_s = STEPS[name]
    limit_s = usual_s * bench.sizes.patience
    receive, send = forked.Pipe(duplex=False)
    begun = time.monotonic()
    process = forked.Process(target=_in_child, args=(function, bench, send))
    process.start()
    send.close()
    try:
        if not receive.poll(limit_s):
            return outcome_of(
                name, time.monotonic() - begun, Findings(), f"it did not end within {limit_s} s"
            )
        findings, error = receive.recv()
    except EOFError:
        process.join()
        findings, error = Findings(), f"its process ended with status {process.exitcode}"
    finally:
        process.kill()
        process.join()
    return outcome_of(name, time.monotonic() - begun, findings, error)


def _in_child(function: Callable[[Bench, Findings], None], bench: Bench, send: Connection) -> None:
    findings, error = Findings(), ""
    try:
        function(bench, findings)
    except Exception:  # noqa: BLE001  # the report says so, and the other steps run
        error = "\n".join(traceback.format_exc().splitlines()[-_TRACEBACK_LINES:])
    send.send((findings, error))


def _bench(options: argparse.Namespace, scratch: Path, forked: Any) -> Bench:
    """Make or find the weights, in a child: this process must not start torch's threads."""
    tiny = scratch / "tiny"
    released = bool(options.model_dir) or os.environ.get("COQUI_TOS_AGREED") == "1"
    folder = options.model_dir or (tiny if options.small else _CACHE / "xtts-random")
    receive, send = forked.Pipe(duplex=False)
    process = forked.Process(
        target=_prepare, args=(tiny, None if released else folder, options.model_dir, send)
    )
    process.start()
    send.close()
    try:
        found: Path | None = receive.recv()
    except EOFError:
        sys.exit("the weights could not be prepared; the reason is above")
    process.join()
    return Bench(
        device=options.device,
        folder=found or folder,
        released=released,
        tiny=tiny,
        sizes=SMALL if options.small else FULL,
        out=options.out,
    )


def _prepare(tiny: Path, random: Path | None, model_dir: Path | None, send: Connection) -> None:
    make_checkpoint(tiny)
    if random is None:
        send.send(find_weights(WeightSettings(model_dir=model_dir, agreed=True), lambda _: None))
        return
    if not (random / "model.pth").exists():
        make_checkpoint(random, full_size=True)
    send.send(None)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.xtts_gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    stored = os.environ.get("XTTS_MODEL_DIR")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N or cpu")
    parser.add_argument("--model-dir", type=Path, default=Path(stored) if stored else None)
    parser.add_argument("--small", action="store_true", help="tiny weights, a little of each step")
    parser.add_argument("--out", type=Path, default=Path(), help="directory for the report")
    parser.add_argument("--steps", type=_steps, default=list(STEPS), help=", ".join(STEPS))
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    return options


def _steps(names: str) -> list[str]:
    chosen = names.split(",")
    if unknown := set(chosen) - set(STEPS):
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: no such step")
    return chosen


if __name__ == "__main__":
    sys.exit(main())
