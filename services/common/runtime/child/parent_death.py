"""Has a process killed when its parent dies, also by SIGKILL. On Linux; no effect on other systems.

The kernel watches the thread that started the process, so start processes from a thread that outlives
them: the main one. A change of user, or a new user namespace, clears the setting, which then has to be
made again.

This file is also a program that needs only the standard library: `parent_death.py PARENT COMMAND...`
makes the setting for the process id PARENT and then executes the command.
"""

import ctypes
import errno
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def set_parent_death_signal() -> None:
    """Have the kernel kill this process when its parent thread exits. Raises OSError; always outside Linux."""
    if sys.platform != "linux":
        raise OSError(errno.ENOSYS, "only on Linux")

    libc = ctypes.CDLL(None, use_errno=True)
    arguments = map(ctypes.c_ulong, (signal.SIGKILL, 0, 0, 0))
    if libc.prctl(ctypes.c_int(_PR_SET_PDEATHSIG), *arguments) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def die_with_parent(parent: int | None = None) -> None:
    """Have this process killed when its parent dies; exit now if the parent is no longer `parent`."""
    expected = os.getppid() if parent is None else parent
    with suppress(OSError):
        set_parent_death_signal()
        if os.getppid() != expected:
            os._exit(1)  # the parent died before the setting was made


def with_parent_death(*command: str | os.PathLike[str]) -> Sequence[str | os.PathLike[str]]:
    """Return the command that runs this one in a process that dies with this process."""
    if sys.platform != "linux":
        return command
    return sys.executable, "-I", "-S", __file__, str(os.getpid()), *command


if __name__ == "__main__":
    die_with_parent(int(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606  # without a shell
