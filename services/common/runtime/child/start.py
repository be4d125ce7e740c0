"""Starts child processes: the only code of the services that does.

Every child dies with this process, also when SIGKILL ends it (`parent_death`). A Python module makes that
setting itself, as its first step (`tied_module`), which saves an interpreter start; another program is
executed by a small Python program that makes it.

Not started here, for the reasons that their docstrings give: the fork of `confinement`, the espeak-ng program
of the embedded engine, and tools that run once and are waited for (`subprocess.run`).
"""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from services.common.runtime.child.parent_death import with_parent_death

TIED_MODULE: Final = "services.common.runtime.child.tied_module"
_LINE_BYTES: Final = 64 * 1024  # longest line of a pipe, as in asyncio


async def start_process(
    module: str,
    *arguments: str,
    environment: Mapping[str, str],
    interpreter_options: Sequence[str] = (),
    descriptors: Sequence[int] = (),
    stdin: int | None = DEVNULL,
    stdout: int | None = None,
    stderr: int | None = None,
    own_session: bool = False,
    max_line_bytes: int = _LINE_BYTES,
) -> Process:
    """Start `python -m module` with exactly this environment. Raises OSError.

    It inherits the file descriptors, and stdout and stderr unless they are given (as in `subprocess`). With
    `own_session`, Ctrl-C in a terminal does not reach it. `max_line_bytes` limits `stdout.readline`.
    """
    tied = ("-m", TIED_MODULE, str(os.getpid()), module, *arguments)
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *interpreter_options,
        *tied,
        env=environment,
        pass_fds=descriptors,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        start_new_session=own_session,
        limit=max_line_bytes,
    )


async def start_program(*command: str | os.PathLike[str]) -> Process:
    """Start a program that is not ours, in its own session and with this environment. Raises OSError."""
    return await asyncio.create_subprocess_exec(
        *with_parent_death(*command), start_new_session=True
    )


async def exit_status(process: Process, grace_s: float, kill: Callable[[], None]) -> int:
    """Return the exit status of a process that is about to exit; negative for a signal.

    If it has not exited after `grace_s` seconds, `kill` is called, which must end it.
    """
    try:
        async with asyncio.timeout(grace_s):
            return await process.wait()
    except TimeoutError:
        if process.returncode is None:
            kill()
        return await process.wait()
