"""Starts an engine process and classifies how it ended."""

import asyncio
import os
import signal
import sys
from typing import Final

from services.common.runtime.child.environment import without_secrets
from services.common.runtime.child.parent_death import with_parent_death
from services.synth_worker.ports import EngineStuck

_FAULT_SIGNALS: Final = {
    signal.SIGSEGV,
    signal.SIGBUS,
    signal.SIGILL,
    signal.SIGFPE,
    signal.SIGABRT,
    signal.SIGTRAP,
    signal.SIGSYS,
}
# exit statuses
_KILLED: Final = frozenset(-number for number in signal.valid_signals() - _FAULT_SIGNALS)


async def launch(*descriptors: int) -> asyncio.subprocess.Process:
    """Start an engine process, which inherits the file descriptors. Raises EngineStuck."""
    command = with_parent_death(
        sys.executable,
        "-m",
        "services.synth_worker.isolation.engine_process",
        *map(str, descriptors),
    )
    try:
        return await asyncio.create_subprocess_exec(
            *command,
            pass_fds=descriptors,
            env=without_secrets(os.environ),
            stdin=asyncio.subprocess.DEVNULL,
        )
    except OSError as error:
        raise EngineStuck(f"the engine process cannot be started ({error.strerror})") from None


def was_killed(process: asyncio.subprocess.Process) -> bool:
    """Return whether a signal from outside ended the process: an operator's, or the kernel's for lack of memory."""
    return process.returncode in _KILLED
