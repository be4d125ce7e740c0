"""A child process that exchanges frames with this one over its stdin and stdout.

How it works

`child_process` starts a new Python interpreter (`start`), because a fork would share this process's
memory. On Linux the kernel kills it when this process dies (`parent_death`), so a crash leaves none
behind. It gets only the environment that the caller passes (`environment` removes secrets), and can
run at a lower priority.

The two processes exchange frames (`framing`). The child reads them with `framing.read_frame` from
`sys.stdin.buffer` and writes them with `framing.write_frame` to `sys.stdout.buffer`. It can limit its
own memory (`limits`). A child that parses untrusted bytes needs more than that: `confinement`.

However the block is left, also by cancellation, the child is killed and its exit status collected.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

from services.common.runtime.child.framing import MAX_FRAME_BYTES, frame, receive_frame
from services.common.runtime.child.start import exit_status, start_process

_EXIT_GRACE_S: Final = 1.0


class ChildProcess:
    """A running child process."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        stdin: asyncio.StreamWriter,
        stdout: asyncio.StreamReader,
        *,
        own_session: bool,
    ) -> None:
        self._process = process
        self._stdin = stdin
        self._stdout = stdout
        self._own_session = own_session

    @classmethod
    async def start(
        cls,
        module: str,
        *arguments: str,
        environment: Mapping[str, str],
        interpreter_options: Sequence[str] = (),
        niceness: int = 0,
        own_session: bool = False,
    ) -> "ChildProcess":
        """Start `python -m module` with exactly this environment. Raises OSError.

        With `own_session`, Ctrl-C in a terminal does not reach it, and `end` also kills the
        processes that it started. It is required for a child whose own children inherit its stdout:
        asyncio waits until the last of them has closed it. A positive `niceness` lowers the priority.
        """
        process = await start_process(
            module,
            *arguments,
            environment=environment,
            interpreter_options=interpreter_options,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            own_session=own_session,
        )
        if process.stdin is None or process.stdout is None:
            raise OSError("the child process has no pipes")

        if niceness:
            with suppress(ProcessLookupError):
                os.setpriority(os.PRIO_PROCESS, process.pid, niceness)

        return cls(process, process.stdin, process.stdout, own_session=own_session)

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._process.pid

    async def send(self, payload: bytes) -> None:
        """Send a frame. Raises EOFError if the process has closed its stdin."""
        try:
            self._stdin.write(frame(payload))
            await self._stdin.drain()
        except ConnectionError as error:
            raise EOFError from error

    async def receive(self, *, max_bytes: int = MAX_FRAME_BYTES) -> bytes:
        """Return the payload of the next frame.

        Raises EOFError if the process has closed its stdout, ValueError for a frame over
        `max_bytes`.
        """
        return await receive_frame(self._stdout, max_bytes=max_bytes)

    async def exchange(self, payload: bytes, *, max_bytes: int = MAX_FRAME_BYTES) -> bytes:
        """Send the only frame to a process that replies with one, and return the reply.

        Raises EOFError, ValueError.
        """
        await self.send(payload)
        self._stdin.close()
        return await self.receive(max_bytes=max_bytes)

    async def exit_status(self) -> int:
        """Return the exit status of a process that closed its stdout.

        A process that has not exited after a second is killed. A negative status is a signal.
        """
        return await exit_status(self._process, _EXIT_GRACE_S, self._kill)

    async def end(self) -> int:
        """Kill the process if it still runs, and return its exit status."""
        self._kill()
        return await asyncio.shield(self._process.wait())

    def _kill(self) -> None:
        if self._process.returncode is not None:
            return

        with suppress(ProcessLookupError, PermissionError):
            if self._own_session:
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()


@asynccontextmanager
async def child_process(
    module: str, *arguments: str, environment: Mapping[str, str], niceness: int = 0
) -> AsyncIterator[ChildProcess]:
    """Start `python -m module`, and kill it on exit. Raises OSError."""
    child = await ChildProcess.start(module, *arguments, environment=environment, niceness=niceness)
    try:
        yield child
    finally:
        await child.end()
