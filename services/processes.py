"""The processes that `python -m services` starts, and what they say."""

import asyncio
import os
import sys
from contextlib import suppress
from typing import Final, Protocol

from services.common.runtime.child.parent_death import with_parent_death
from services.common.runtime.local_nats import LocalNats

_LONGEST_LINE_BYTES: Final = 1024 * 1024


class PartEnded(Exception):
    """A part of the service exited unexpectedly."""


def say(line: str) -> None:
    """Show a line at once; a terminal that has closed shows none."""
    try:
        print(line, flush=True)  # noqa: T201  # this program's output is its terminal
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Watched(Protocol):
    """A process that must run as long as the service does."""

    @property
    def name(self) -> str:
        """Return what it is called in messages."""

    @property
    def status(self) -> int | None:
        """Return how it ended; None while it runs."""

    async def wait(self) -> int:
        """Wait until it ends, and return its status."""

    def why(self) -> str:
        """Return where its reason is to be read."""


class Part:
    """One child process, its lines shown under its name."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.process = process
        self._showing = asyncio.create_task(self._show(), name=f"show-{name}")

    @classmethod
    async def start(cls, name: str, module: str, environment: dict[str, str]) -> "Part":
        """Start `python -m module`."""
        process = await asyncio.create_subprocess_exec(
            *with_parent_death(sys.executable, "-m", module),
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=_LONGEST_LINE_BYTES,
            start_new_session=True,  # Ctrl-C reaches this process only, which ends the parts in order
        )
        return cls(name, process)

    @property
    def status(self) -> int | None:
        """Return how it ended; None while it runs."""
        return self.process.returncode

    async def wait(self) -> int:
        """Wait until it ends, and return its status."""
        return await self.process.wait()

    def why(self) -> str:
        """Return where its reason is to be read."""
        return "its lines above say why"

    async def _show(self) -> None:
        assert self.process.stdout is not None  # noqa: S101  # it is a pipe
        while True:
            with suppress(ValueError):  # a line without an end
                if not (line := await self.process.stdout.readline()):
                    return
                say(f"{self.name:<9} {line.decode(errors='replace').rstrip()}")

    async def stop(self, patience_s: float) -> None:
        """Ask it to end, and see that it does."""
        if self.process.returncode is None:
            self.process.terminate()
            try:
                await asyncio.wait_for(self.process.wait(), patience_s)
            except TimeoutError:
                say(f"{self.name:<9} did not end within {patience_s:.0f} s and is killed")
                self.kill()
        await self._showing

    def kill(self) -> None:
        """End it at once."""
        with suppress(ProcessLookupError):
            self.process.kill()


class NatsPart:
    """The nats-server of this service's own."""

    name: Final = "nats"

    def __init__(self, server: LocalNats) -> None:
        self._server = server

    @property
    def status(self) -> int | None:
        """Return how it ended; None while it runs."""
        return self._server.status

    async def wait(self) -> int:
        """Wait until it ends, and return its status."""
        return await self._server.wait()

    def why(self) -> str:
        """Return where its reason is to be read."""
        return f"the end of its log: {self._server.last_words()}"


def ended(part: Watched) -> PartEnded:
    """Return what to raise when it has ended."""
    return PartEnded(f"{part.name} ended with status {part.status}; {part.why()}")
