"""Meaning of the exit status of a child process. Pure."""

import signal
from typing import Final

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


def was_killed(status: int) -> bool:
    """Return whether a signal from outside ended the process: an operator's, or the kernel's for lack of memory."""
    return status in _KILLED
