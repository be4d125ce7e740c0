"""One module starts the child processes of the services, and none outlives its parent."""

import ast
import os
import re
import signal
import subprocess
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from services.common.runtime.child.environment import only
from services.common.runtime.child.signals import was_killed
from services.common.runtime.child.start import exit_status, start_process
from tests.unit.common.runtime.child.test_parent_death import ends_with_its_killed_parent

ROOT = Path(__file__).parents[5]
PROGRAMS = "tests.unit.common.runtime.child.programs"
STARTS_ONE = f"""
import asyncio, os
from services.common.runtime.child.start import start_process
async def main():
    process = await start_process("{PROGRAMS}", "sleep", environment=os.environ, stdout=-1)
    await process.stdout.readline()
    print(process.pid, flush=True)
    await process.wait()
asyncio.run(main())
"""

# what starts a process, in the terms of the standard library
STARTERS = re.compile(
    r"create_subprocess_(exec|shell)|subprocess_(exec|shell)|Popen|run|call|check_call|check_output"
    r"|getoutput|getstatusoutput|fork|forkpty|posix_spawnp?|spawn\w+|exec[lv]p?e?|system|popen"
)
MODULES = {"asyncio", "subprocess", "os", "pty", "multiprocessing"}
CHILD = "services/common/runtime/child"
ALLOWED = {
    f"{CHILD}/start.py": {"asyncio.create_subprocess_exec"},
    f"{CHILD}/parent_death.py": {"os.execv"},
    f"{CHILD}/confinement/fork.py": {"os.fork"},
    # an engine thread has no event loop
    "services/synth_worker/engines/embedded/g2p/espeak/line_program.py": {"subprocess.Popen"},
    # tools that run once and are waited for
    "services/common/runtime/local_nats.py": {"subprocess.run"},
    "services/admin/nats_users.py": {"subprocess.run"},
    "services/synth_worker/engines/embedded/rebuild/sources.py": {"subprocess.run"},
}


def starts_of_processes(path: Path) -> set[str]:
    """Return the calls in a file that start a process, such as `os.fork`; imports of such names count as calls."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
            module = ast.unparse(node.value).split(".")[0]
            if module in MODULES and STARTERS.fullmatch(node.attr):
                found.add(f"{module}.{node.attr}")
        elif isinstance(node, ast.ImportFrom):
            module = (node.module or "").split(".")[0]
            names = {alias.name for alias in node.names}
            if module in MODULES:
                found |= {f"{module}.{name}" for name in names if STARTERS.fullmatch(name)}
            if module == "multiprocessing":
                found.add(module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name == "multiprocessing"}
    return found - {"asyncio.run"}


def test_no_other_code_of_the_services_starts_a_process() -> None:
    found = {}
    for path in sorted((ROOT / "services").rglob("*.py")):
        calls = starts_of_processes(path)
        if calls:
            found[str(path.relative_to(ROOT))] = calls
    assert found == ALLOWED


async def test_a_process_inherits_only_the_descriptors_that_it_is_given() -> None:
    near, far = os.pipe()
    other_near, other = os.pipe()
    os.set_inheritable(other, True)
    process = await start_process(
        PROGRAMS,
        "descriptors",
        str(far),
        str(other),
        environment=only(("PATH", "PYTHONPATH"), os.environ),
        descriptors=(far,),
        stdout=PIPE,
    )
    said = await process.communicate()
    for descriptor in (near, far, other_near, other):
        os.close(descriptor)
    assert said[0].decode().split() == ["True", "False"]


async def test_a_process_is_the_main_module_with_its_own_arguments() -> None:
    process = await start_process(
        PROGRAMS, "arguments", "a b", "ü", environment=os.environ, stdout=PIPE
    )
    said = await process.communicate()
    assert said[0].decode().strip() == f"__main__ {PROGRAMS} ['a b', 'ü']"


async def test_a_process_that_does_not_exit_in_time_is_killed_once() -> None:
    process = await start_process(PROGRAMS, "sleep", environment=os.environ, stdout=PIPE)
    kills = []

    def kill() -> None:
        kills.append(process.pid)
        process.kill()

    status = await exit_status(process, 0.0, kill)
    assert (status, kills) == (-signal.SIGKILL, [process.pid])
    assert await exit_status(process, 0.0, kill) == status
    assert kills == [process.pid]


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone has the tie")
def test_a_process_does_not_outlive_a_parent_that_is_killed() -> None:
    ends_with_its_killed_parent(STARTS_ONE)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone has the tie")
def test_a_process_whose_parent_is_dead_before_it_runs_never_runs_its_module() -> None:
    tied = "services.common.runtime.child.tied_module"
    ended = subprocess.run(
        [sys.executable, "-m", tied, "1", PROGRAMS, "arguments"], capture_output=True, check=False
    )
    assert os.getpid() != 1
    assert (ended.returncode, ended.stdout) == (1, b"")


@pytest.mark.parametrize(
    ("status", "killed"),
    [
        (0, False),
        (1, False),
        (-signal.SIGKILL, True),
        (-signal.SIGTERM, True),
        (-signal.SIGSEGV, False),
        (-signal.SIGABRT, False),
        (-signal.SIGSYS, False),
    ],
)
def test_only_signals_from_outside_count_as_killed(status: int, killed: bool) -> None:
    assert was_killed(status) is killed
