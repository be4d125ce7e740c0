"""Runs a function in a confined fork of this process and waits for its result.

A fork, and no new process as in `child.start`: the decoder's libraries are loaded already, which takes seconds,
and the fork needs no file from then on.
"""

import os
import select
import signal
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NoReturn

from services.common.runtime.child.confinement.layers import ProcessLimits, confine
from services.common.runtime.child.parent_death import die_with_parent

_READ_BYTES: Final = 1 << 16
FAILED: Final = 70  # the status of work that raised


@dataclass(frozen=True)
class Outcome:
    """The exit status of the fork, and its result."""

    status: int  # 0, FAILED, or less the signal that ended it
    content: bytes
    processor_s: float
    peak_bytes: int  # resident memory, at most
    overrun: bool = False  # killed after `most_s`


def run_confined(
    work: Callable[[tuple[str, ...]], bytes],
    limits: ProcessLimits,
    *,
    descriptors: Collection[int] = (),
    without: Collection[str] = (),
    most_bytes: int,
    most_s: float,
) -> Outcome:
    """Fork, confine the fork, and return the result of `work`, which is called with the active layers.

    The fork keeps only these descriptors. It is killed after `most_s` seconds, or when its result
    exceeds `most_bytes`. Only for a single-threaded process.
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
            os.kill(fork, signal.SIGKILL)  # it has finished, sent too much, or timed out
        _, status, usage = os.wait4(fork, 0)
    return Outcome(
        status=os.waitstatus_to_exitcode(status),
        content=content,
        processor_s=usage.ru_utime + usage.ru_stime,
        peak_bytes=usage.ru_maxrss * 1024,
        overrun=overrun,
    )


def _read(answers: int, most_bytes: int, end_s: float) -> tuple[bytes, bool]:
    """Return the bytes until the other end closes, and whether that timed out.

    Empty if there are too many bytes or the time is over.
    """
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
    """Run the fork; never returns into the code of the parent."""
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
