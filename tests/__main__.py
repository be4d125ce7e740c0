"""The test run of `./task test`: the tests that can run side by side on several workers, then the rest one at a time.

Arguments go to pytest: a path, `-k NAME`, `-x`. `--quick` selects the unit and contract tests, without those
that compute for long with the models of real engines.

Hundreds of these tests start processes and wait for them, on machines that other work shares. If at most five tests
fail, they run once more, one at a time. If they pass then, the run passes and names them as flaky. Their first failure
is in the output: find the race. More failures than that fail the run at once.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
QUICK: Final = ("tests/unit", "tests/contract")
# They take half of the time of all unit and contract tests. Run them after a change of an engine.
WITH_MODELS: Final = (
    "tests/contract/test_engines.py",
    "tests/contract/test_xtts_weights.py",
    "tests/unit/benchmarks/test_xtts_gpu.py",
    "tests/unit/synth_worker/engines/test_embedded_engine.py",
    "tests/unit/synth_worker/engines/test_embedded_model_files.py",
    "tests/unit/synth_worker/engines/xtts",
)
# More than there are cores: most tests wait for processes that they started.
SIDE_BY_SIDE: Final = ("-n", "5", "--no-loadscope-reorder", "--phase", "side-by-side")
# Unit and contract tests compute, and each worker imports what all of them import. None runs alone.
COMPUTING: Final = ("-n", str(os.cpu_count() or 2), *SIDE_BY_SIDE[2:])
ALONE: Final = ("-n", "0", "--phase", "alone")
MAX_REPEATED: Final = 5
_OK: Final = 0
_FAILED: Final = 1
_NO_TESTS: Final = 5  # pytest's status where a selection is empty
_INTERRUPTED: Final = 130


def environment() -> dict[str, str]:
    """Return the environment with bytecode caches on: hundreds of started processes import the same modules."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def run(phase: Sequence[str], options: Sequence[str], cache: Path) -> int:
    """Run pytest, which keeps the names of failed tests under `cache`. Return its exit status."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", *phase, "-o", f"cache_dir={cache}", *options],
        cwd=ROOT,
        env=environment(),
        check=False,
    ).returncode


def failed_tests(cache: Path) -> list[str]:
    """Return the node ids of the tests that failed in the run that used this cache."""
    names = cache / "v" / "cache" / "lastfailed"
    return sorted(json.loads(names.read_text())) if names.exists() else []


def run_phase(phase: Sequence[str], options: Sequence[str], flaky: list[str]) -> int:
    """Run the tests of a phase, and a few failed ones once more. Return pytest's exit status.

    Appends the tests that passed the second time to `flaky`.
    """
    with tempfile.TemporaryDirectory(prefix="pytest-cache-") as folder:
        cache = Path(folder)
        status = run(phase, options, cache)
        failed = failed_tests(cache)

        if status != _FAILED or not 0 < len(failed) <= MAX_REPEATED:
            return status

        again = ("-n", "0", *phase[2:], "--last-failed", "--last-failed-no-failures", "none")
        status = run(again, options, cache)
        still = failed_tests(cache)
        flaky += [name for name in failed if name not in still]
        return status


def main(arguments: Sequence[str]) -> int:
    """Run the phases and return the exit status: 0 where every selected test passed."""
    options = [argument for argument in arguments if argument != "--quick"]
    phases: tuple[Sequence[str], ...] = (SIDE_BY_SIDE, ALONE)

    if "--quick" in arguments:
        options += [*QUICK, *(f"--ignore={name}" for name in WITH_MODELS)]
        phases = (COMPUTING,)

    statuses = []
    flaky: list[str] = []

    for phase in phases:
        status = run_phase(phase, options, flaky)
        statuses.append(status)

        if status not in (_OK, _FAILED, _NO_TESTS):  # interrupted, or wrong arguments
            return status

    for name in flaky:
        print(f"FLAKY {name}: failed once, passed when it ran again")  # noqa: T201

    if set(statuses) == {_NO_TESTS}:
        return _NO_TESTS

    return max(status for status in statuses if status != _NO_TESTS)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:  # Ctrl-C, or a check of `./task test` that failed
        sys.exit(_INTERRUPTED)
