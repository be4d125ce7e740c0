"""Settings that all tests share, and how the tests are divided between workers.

Properties are tried on the same examples every time, so that a result is the commit's own. `./task properties` draws
other ones, and many more.
"""

import gc
import importlib
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain, zip_longest
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# no deadlines: a test that is slow on a busy machine is not wrong
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("search", max_examples=1_000, deadline=None)
settings.load_profile("same")

# Set before torch is imported. By default the threads of OpenMP spin while they wait, and workers that run side by side
# take several times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Set before NumPy is imported, and inherited by the started services. Threads of OpenBLAS spin too, and no setting
# ends that: on two busy cores, they took 13 times as long as one thread.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Saves each edge that a test starts a second of a processor.
os.environ.setdefault("PRELOAD_LANGUAGES", "false")

ROOT = Path(__file__).parents[1]
# the rest mostly waits for processes that it started
COMPUTING = (
    "tests/unit/",
    "tests/contract/",
)
# These take half a minute or more of one core each. They begin first, so that no worker is left with one at the end.
LONGEST = (
    "tests/contract/test_engines.py",
    "tests/unit/synth_worker/engines/test_embedded_model_files.py",
    "tests/unit/synth_worker/engines/test_embedded_engine.py",
    "tests/unit/splitter/segmentation/test_sentences_properties.py",
)
# Every test of these starts processes for itself alone, and takes half a minute or more.
UNSHARED = ("tests/chaos/", "tests/integration/test_stopping.py")
# One worker runs all of these, so that one browser with one service runs at a time. They take longest, and begin first.
BROWSER = "tests/e2e/test_ui"
# These load the machine, or compare times, so nothing else runs at the same time: files, and single tests.
ALONE = (
    "tests/chaos/test_overload.py::test_a_greeting_is_spoken_at_once_during_a_book",
    "tests/chaos/test_slow_listeners.py",
    "tests/chaos/test_storm.py",
    "tests/e2e/test_ui.py::test_streaming_plays_before_it_is_whole_and_continues_while_the_page_changes",
    "tests/integration/test_http.py::test_a_stream_begins_long_before_it_ends",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--phase", choices=("side-by-side", "alone"), help="select the tests that run like this"
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Skip all other folders and files, and their imports, in the phase of the tests that run alone."""
    if config.getoption("phase") != "alone":
        return None

    files = [ROOT / name.partition("::")[0] for name in ALONE]

    if collection_path.is_dir():
        return None if any(file.is_relative_to(collection_path) for file in files) else True

    if not collection_path.name.startswith("test_"):
        return None

    return None if collection_path in files else True


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Iterator[None]:
    """Collect without the garbage collector, which would look at a million imported objects again and again.

    All of them stay until the end, so it never looks at them later either.
    """
    gc.disable()
    try:
        if "PYTEST_XDIST_WORKER" in os.environ and session.config.args == ["tests"]:
            _import_share(session.config)
        yield
    finally:
        gc.freeze()
        gc.enable()


def _import_share(config: pytest.Config) -> None:
    """Import every nth test file first, on each of n workers other ones.

    Otherwise, where no bytecode is cached yet, all workers compile the same file at the same time.
    """
    capture = config.pluginmanager.getplugin("capturemanager")
    number = int(os.environ["PYTEST_XDIST_WORKER"].removeprefix("gw"))
    workers = int(os.environ["PYTEST_XDIST_WORKER_COUNT"])

    capture.resume_global_capture()  # as while a file is collected
    try:
        for file in sorted((ROOT / "tests").rglob("test_*.py"))[number::workers]:
            # a file that cannot be imported fails in the collection
            with suppress(Exception, pytest.skip.Exception):
                importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))
    finally:
        capture.suspend_global_capture()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests of the other phase; on a worker of pytest-xdist, put the rest in order."""
    phase = config.getoption("phase")

    if phase:
        others = [item for item in items if item.nodeid.startswith(ALONE) != (phase == "alone")]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item.nodeid.startswith(ALONE) == (phase == "alone")]

    if "PYTEST_XDIST_WORKER" in os.environ:
        items[:] = _alternating(items)


def _alternating(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Return files that wait and files that compute in turn, so that workers side by side use all cores.

    The longest of those that compute are first.
    """
    files: dict[Path, list[pytest.Item]] = {}

    for item in items:
        files.setdefault(item.path, []).append(item)

    computing = [tests for tests in files.values() if tests[0].nodeid.startswith(COMPUTING)]
    waiting = [tests for tests in files.values() if not tests[0].nodeid.startswith(COMPUTING)]
    waiting.sort(key=lambda tests: not tests[0].nodeid.startswith(BROWSER))
    computing.sort(key=lambda tests: not tests[0].nodeid.startswith(LONGEST))
    pairs = zip_longest(waiting, computing, fillvalue=[])
    return list(chain.from_iterable(chain.from_iterable(pairs)))


class Sharing(LoadScopeScheduling):
    """Gives a worker a whole file, because its tests share fixtures; of the slowest files, one test."""

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith(BROWSER):
            return BROWSER
        return nodeid if nodeid.startswith(UNSHARED) else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Sharing:
    """Share the tests between the workers of pytest-xdist."""
    return Sharing(config, log)
