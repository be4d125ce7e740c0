"""The processes that `python -m services` starts, and their output."""

import asyncio
import os
import sys
from contextlib import suppress
from typing import Final, Protocol

from services.common.runtime.child.start import exit_status, start_process
from services.common.runtime.local_nats import LocalNats

_LONGEST_LINE_BYTES: Final = 1024 * 1024


class PartEnded(Exception):
    """A part of the service exited unexpectedly."""


def say(line: str) -> None:
    """Print a line and flush it; without effect if the terminal has closed."""
    try:
        print(line, flush=True)  # noqa: T201  # the output of a command-line program
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Watched(Protocol):
    """A process that must run as long as the service does."""

    @property
    def name(self) -> str:
        """Return its name in messages."""

    @property
    def status(self) -> int | None:
        """Return the exit status; None while it runs."""

    async def wait(self) -> int:
        """Wait until it exits, and return its status."""

    def why(self) -> str:
        """Return where the reason for its exit is reported."""


class ServicePart:
    """One child process; its output lines are printed after its name."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.process = process
        self._showing = asyncio.create_task(self._show(), name=f"show-{name}")

    @classmethod
    async def start(cls, name: str, module: str, environment: dict[str, str]) -> "ServicePart":
        """Start `python -m module`."""
        process = await start_process(
            module,
            environment=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            own_session=True,  # Ctrl-C reaches only this process, which stops the parts in order
            max_line_bytes=_LONGEST_LINE_BYTES,
        )
        return cls(name, process)

    @property
    def status(self) -> int | None:
        """Return the exit status; None while it runs."""
        return self.process.returncode

    async def wait(self) -> int:
        """Wait until it exits, and return its status."""
        return await self.process.wait()

    def why(self) -> str:
        """Return where the reason for its exit is reported."""
        return "its lines above say why"

    async def _show(self) -> None:
        assert self.process.stdout is not None  # noqa: S101  # it is a pipe
        while True:
            with suppress(ValueError):  # a line over the limit
                if not (line := await self.process.stdout.readline()):
                    return
                say(f"{self.name:<9} {line.decode(errors='replace').rstrip()}")

    async def stop(self, patience_s: float) -> None:
        """Terminate the process; kill it if it does not exit in time."""
        if self.process.returncode is None:
            self.process.terminate()
            await exit_status(self.process, patience_s, lambda: self._kill_after(patience_s))
        await self._showing

    def _kill_after(self, patience_s: float) -> None:
        say(f"{self.name:<9} did not end within {patience_s:.0f} s and is killed")
        self.kill()

    def kill(self) -> None:
        """Kill the process."""
        with suppress(ProcessLookupError):
            self.process.kill()


class NatsPart:
    """The nats-server that this program started."""

    name: Final = "nats"

    def __init__(self, server: LocalNats) -> None:
        self._server = server

    @property
    def status(self) -> int | None:
        """Return the exit status; None while it runs."""
        return self._server.status

    async def wait(self) -> int:
        """Wait until it exits, and return its status."""
        return await self._server.wait()

    def why(self) -> str:
        """Return where the reason for its exit is reported."""
        return f"the end of its log: {self._server.last_words()}"


def ended(part: Watched) -> PartEnded:
    """Return the exception for a process that has exited."""
    return PartEnded(f"{part.name} ended with status {part.status}; {part.why()}")
