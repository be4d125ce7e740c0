"""Ties a process to the one that starts it: when that dies, also by SIGKILL, Linux kills this one at once.

Elsewhere nothing is tied. The tie is to the parent's thread, so processes are to be started by a thread that lives as
long as they do: the main one. It is lost where a process changes its user, and has to be made again after that.

This file is a program as well, with the standard library alone: `parent.py PARENT COMMAND...` ties itself to the
process of that number and becomes the command.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def die_with_parent(parent: int | None = None) -> None:
    """Have this process killed when its parent dies; exit now if the parent is no longer `parent`."""
    expected = os.getppid() if parent is None else parent
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != expected:
            os._exit(1)  # it died before the tie was made


def with_parent_death(*command: str | os.PathLike[str]) -> Sequence[str | os.PathLike[str]]:
    """Return the command that runs this one in a process that dies with this process."""
    if sys.platform != "linux":
        return command
    return sys.executable, "-I", "-S", __file__, str(os.getpid()), *command


if __name__ == "__main__":
    die_with_parent(int(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606  # no shell is wanted
