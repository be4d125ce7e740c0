"""The test run of `./task test`: the tests that can run side by side on several workers, then the rest one at a time.

Arguments go to pytest: a path, `-k NAME`, `-x`. `--quick` selects the unit and contract tests.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
QUICK: Final = ("tests/unit", "tests/contract")
# More than there are cores: most tests wait for processes that they started.
SIDE_BY_SIDE: Final = ("-n", "4", "--no-loadscope-reorder", "--phase", "side-by-side")
ALONE: Final = ("-n", "0", "--phase", "alone")
_OK: Final = 0
_FAILED: Final = 1
_NO_TESTS: Final = 5  # pytest's status where a selection is empty


def environment() -> dict[str, str]:
    """Return the environment with bytecode caches on: hundreds of started processes import the same modules."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def main(arguments: Sequence[str]) -> int:
    """Run both phases and return the exit status: 0 where every selected test passed."""
    options = [argument for argument in arguments if argument != "--quick"]

    if "--quick" in arguments:
        options.extend(QUICK)

    statuses = []

    for phase in (SIDE_BY_SIDE, ALONE):
        status = subprocess.run(
            [sys.executable, "-m", "pytest", *phase, *options],
            cwd=ROOT,
            env=environment(),
            check=False,
        ).returncode
        statuses.append(status)

        if status not in (_OK, _FAILED, _NO_TESTS):  # interrupted, or wrong arguments
            return status

    if set(statuses) == {_NO_TESTS}:
        return _NO_TESTS

    return max(status for status in statuses if status != _NO_TESTS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
