"""A process that is tied to its parent does not outlive it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from services.common.runtime.child import parent_death

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone has the tie")

STARTS_ONE = """
import subprocess, sys, time
from services.common.runtime.child.parent_death import with_parent_death
program = "import time; print('up', flush=True); time.sleep(600)"
child = subprocess.Popen(with_parent_death(sys.executable, "-c", program), stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(600)
"""


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def gone(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def ends_with_its_killed_parent(program: str) -> None:
    """Run a program that prints the id of a child which it started, kill it, and wait until the child has ended."""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
    ) as starter:
        assert starter.stdout is not None
        child = int(starter.stdout.readline())
        assert not gone(child)
        starter.send_signal(signal.SIGKILL)
    until(lambda: gone(child))


def test_a_killed_parent_takes_its_child_along() -> None:
    ends_with_its_killed_parent(STARTS_ONE)


def test_a_child_whose_parent_died_before_the_tie_ends_at_once() -> None:
    ended = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            parent_death.__file__,
            "1",
            sys.executable,
            "-c",
            "print('never')",
        ],
        capture_output=True,
        check=False,
    )
    assert os.getpid() != 1
    assert (ended.returncode, ended.stdout) == (1, b"")


def test_a_tied_command_gets_its_arguments_and_its_environment() -> None:
    program = "import os,sys; print(sys.argv[1:], os.environ['NOTE'])"
    command = parent_death.with_parent_death(sys.executable, "-c", program, "a b", "ü")
    said = subprocess.run(
        command, capture_output=True, text=True, check=True, env=os.environ | {"NOTE": "kept"}
    )
    assert said.stdout.strip() == "['a b', 'ü'] kept"
