"""A program of ours that answers lines: every wait for it ends, and so does the program.

It is not started by `common.runtime.child.start`: the engine thread, which has no event loop, starts it and
waits for it. It makes its own setting to die with the thread that started it.
"""

import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from services.common.runtime.child.environment import only

_END_SECONDS: Final = 5.0
_INHERITED: Final = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "SYSTEMROOT")


class ProgramDied(Exception):
    """The program has exited."""


class LineProgram:
    """One running program; it has the standard library alone and ends when its input does."""

    def __init__(self, program: Path, arguments: Sequence[str]) -> None:
        """Start the Python file `program`."""
        theirs_in, self._requests = os.pipe()
        self._answers, theirs_out = os.pipe()
        command = [sys.executable, "-I", "-S", str(program), *arguments]
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own file
                command,
                stdin=theirs_in,
                stdout=theirs_out,
                stderr=subprocess.DEVNULL,
                env=only(_INHERITED, os.environ),  # no secret
            )
        finally:
            os.close(theirs_in)
            os.close(theirs_out)
        self._unread = b""

    @property
    def process_id(self) -> int:
        """Return the process id."""
        return self._process.pid

    def ask(self, line: bytes, seconds: float) -> bytes:
        """Send a line and return the next one. Raises ProgramDied, or TimeoutError after `seconds`."""
        end = time.monotonic() + seconds
        self._send(line, end)
        return self._line(end)

    def first_line(self, seconds: float) -> bytes:
        """Return its first line, sent without a request. Raises ProgramDied, or TimeoutError after `seconds`."""
        return self._line(time.monotonic() + seconds)

    def end(self) -> None:
        """Kill it: it holds nothing that could be lost."""
        self._process.kill()
        self._process.wait(timeout=_END_SECONDS)
        for pipe in (self._requests, self._answers):
            os.close(pipe)

    def _send(self, line: bytes, end: float) -> None:
        rest = line
        while rest:
            if not select.select([], [self._requests], [], max(0.0, end - time.monotonic()))[1]:
                raise TimeoutError
            try:
                # A pipe that is ready takes so much without blocking.
                written = os.write(self._requests, rest[: select.PIPE_BUF])
            except BrokenPipeError as error:
                raise ProgramDied from error
            rest = rest[written:]

    def _line(self, end: float) -> bytes:
        while b"\n" not in self._unread:
            if not select.select([self._answers], [], [], max(0.0, end - time.monotonic()))[0]:
                raise TimeoutError
            chunk = os.read(self._answers, 65_536)
            if not chunk:
                raise ProgramDied
            self._unread += chunk
        line, _, self._unread = self._unread.partition(b"\n")
        return line
