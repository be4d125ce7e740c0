"""What all tests share: settings of libraries, and the order of the files.

Properties are tried on the same examples every time, so that a result is the commit's own. `./task properties` draws
other ones, and many more.
"""

import os
from itertools import chain, zip_longest

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

settings.register_profile("same", derandomize=True)
settings.register_profile("search", max_examples=1_000)
settings.load_profile("same")

# Set before torch is imported. By default the threads of OpenMP spin while they wait, and workers that run side by side
# take several times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

UNSHARED = ("tests/chaos/", "tests/integration/test_stopping.py")  # every test starts processes for itself alone
COMPUTING = ("tests/unit/", "tests/contract/")  # the rest mostly waits for processes that it started


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """On a worker of pytest-xdist, alternate files that compute and files that wait, so that all cores are used."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return

    files: dict[str, list[pytest.Item]] = {}

    for item in items:
        files.setdefault(item.nodeid.partition("::")[0], []).append(item)

    computing = [tests for name, tests in files.items() if name.startswith(COMPUTING)]
    waiting = [tests for name, tests in files.items() if not name.startswith(COMPUTING)]
    pairs = zip_longest(waiting, computing, fillvalue=[])
    items[:] = chain.from_iterable(chain.from_iterable(pairs))


class Sharing(LoadScopeScheduling):
    """Gives a worker a whole file, because its tests share fixtures; of the slowest files, one test."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid if nodeid.startswith(UNSHARED) else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Sharing:
    """Share the tests between the workers of pytest-xdist."""
    return Sharing(config, log)
