"""Work in a confined fork of this process, which waits for it."""

import os
import select
import signal
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NoReturn

from services.common.runtime.child.confinement.layers import Limits, confine
from services.common.runtime.child.parent_death import die_with_parent

_READ_BYTES: Final = 1 << 16
FAILED: Final = 70  # the status of work that raised


@dataclass(frozen=True)
class Outcome:
    """The exit status of the work, and its answer."""

    status: int  # 0, FAILED, or less the signal that ended it
    content: bytes
    processor_s: float
    peak_bytes: int  # resident memory, at most
    overrun: bool = False  # killed after `most_s`


def run_confined(
    work: Callable[[tuple[str, ...]], bytes],
    limits: Limits,
    *,
    descriptors: Collection[int] = (),
    without: Collection[str] = (),
    most_bytes: int,
    most_s: float,
) -> Outcome:
    """Fork, confine the fork, and return what `work` answers there, given the layers that hold.

    The fork keeps these descriptors alone. It is killed after so many seconds, or when it answers more than so many
    bytes. Only for a process with a single thread.
    """
    answers, answer = os.pipe()
    fork = os.fork()
    if fork == 0:
        _live(lambda: work(confine(limits, without)), {*descriptors, answer}, answer)
    os.close(answer)
    try:
        content, overrun = _read(answers, most_bytes, time.monotonic() + most_s)
    finally:
        os.close(answers)
        with suppress(ProcessLookupError):
            os.kill(fork, signal.SIGKILL)  # it has answered, or sent too much, or timed out
        _, status, usage = os.wait4(fork, 0)
    return Outcome(
        status=os.waitstatus_to_exitcode(status),
        content=content,
        processor_s=usage.ru_utime + usage.ru_stime,
        peak_bytes=usage.ru_maxrss * 1024,
        overrun=overrun,
    )


def _read(answers: int, most_bytes: int, end_s: float) -> tuple[bytes, bool]:
    """Return what comes until the other end closes, and whether it did not in time; nothing where that is too much."""
    content = bytearray()
    while select.select([answers], [], [], max(0.0, end_s - time.monotonic()))[0]:
        block = os.read(answers, _READ_BYTES)
        if not block:
            return bytes(content), False
        content += block
        if len(content) > most_bytes:
            return b"", False
    return b"", True


def _live(work: Callable[[], bytes], kept: set[int], answer: int) -> NoReturn:
    """Be the fork: whatever happens, return to nothing of what this process was before."""
    try:
        die_with_parent()
        _close_all_but(kept)
        content = memoryview(work())
        while content:
            content = content[os.write(answer, content) :]
        os._exit(0)
    finally:
        os._exit(FAILED)


def _close_all_but(kept: set[int]) -> None:
    first = 0
    for descriptor in sorted(kept):
        os.closerange(first, descriptor)
        first = descriptor + 1
    os.closerange(first, os.sysconf("SC_OPEN_MAX"))
