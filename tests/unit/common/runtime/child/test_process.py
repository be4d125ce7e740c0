"""A child process exchanges frames, reports its exit status, and is killed at the end of its block."""

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from services.common.runtime.child.environment import only
from services.common.runtime.child.limits import OUT_OF_MEMORY
from services.common.runtime.child.process import ChildProcess, child_process

PROGRAMS = "tests.unit.common.runtime.child.programs"


def environment(**variables: str) -> dict[str, str]:
    return only(("PATH", "PYTHONPATH"), os.environ) | variables


def runs(pid: int) -> bool:
    """Return whether the process exists and is no zombie."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] != "Z"
    return False


async def test_frames_of_any_size_are_exchanged() -> None:
    async with child_process(PROGRAMS, "echo", environment=environment()) as child:
        for size in (0, 1, 3_000_000):
            await child.send(b"x" * size)
            assert len(await child.receive()) == size
        assert await child.exchange(b"the last one") == b"the last one"
        assert await child.exit_status() == 0


async def test_a_reply_over_the_limit_is_refused() -> None:
    async with child_process(PROGRAMS, "echo", environment=environment()) as child:
        with pytest.raises(ValueError, match="limit"):
            await child.exchange(b"four", max_bytes=3)


async def test_a_process_that_exits_without_a_reply_reports_its_status() -> None:
    async with child_process(PROGRAMS, "exit", environment=environment()) as child:
        with pytest.raises(EOFError):
            await child.exchange(b"x" * 1_000_000)
        assert await child.exit_status() == 3


@pytest.mark.skipif(sys.platform != "linux", reason="macOS does not enforce RLIMIT_AS")
async def test_a_process_over_its_memory_limit_exits_with_the_status_for_it() -> None:
    async with child_process(PROGRAMS, "out_of_memory", environment=environment()) as child:
        with pytest.raises(EOFError):
            await child.receive()
        assert await child.exit_status() in OUT_OF_MEMORY


async def test_a_process_gets_only_the_environment_that_it_is_given() -> None:
    given = environment(LC_CTYPE="C.UTF-8", COLOUR="blue")
    async with child_process(PROGRAMS, "environment", environment=given) as child:
        assert (await child.receive()).decode().split("\n") == sorted(given)


async def test_a_process_can_run_at_a_lower_priority() -> None:
    async with child_process(PROGRAMS, "niceness", environment=environment(), niceness=7) as child:
        assert int(await child.receive()) >= 7


async def test_a_process_that_hangs_is_killed_when_its_status_is_requested() -> None:
    async with child_process(PROGRAMS, "hang", environment=environment()) as child:
        grandchild = int(await child.receive())
        assert await child.exit_status() == -signal.SIGKILL
        os.kill(grandchild, signal.SIGKILL)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_a_process_with_its_own_session_is_killed_with_the_processes_that_it_started() -> (
    None
):
    child = await ChildProcess.start(PROGRAMS, "hang", environment=environment(), own_session=True)
    grandchild = int(await child.receive())
    assert runs(grandchild)
    assert await child.end() == -signal.SIGKILL
    async with asyncio.timeout(60):
        while runs(grandchild):
            await asyncio.sleep(0.01)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_no_process_is_left_when_the_block_is_cancelled() -> None:
    started = asyncio.get_running_loop().create_future()

    async def wait_for_ever() -> None:
        async with child_process(PROGRAMS, "echo", environment=environment()) as child:
            started.set_result(child.pid)
            await child.receive()

    waiting = asyncio.create_task(wait_for_ever())
    pid = await started
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not runs(pid)
