"""Child processes that decode: untrusted bytes meet C decoders there, never in the process that serves everybody.

A child that crashes, hangs or grows costs its own upload and is replaced. It is asked by one line with a path, and
answers by one line of JSON, which a WAV of the length it names may follow.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec
import structlog

from services.common.wire.failures import QueueFull, UnusableReference
from services.http_edge.reference.answer import FORMATS, Answer

log = structlog.get_logger()

_START_S: Final = 60.0
_RETRY_S: Final = 5.0
_GRACE_S: Final = 1.0
_TIME_LIMIT_S: Final = 60.0  # ten minutes take a second or two, an hour without speech ten or twenty
_WAITING: Final = 64
_WAIT_S: Final = 60.0
_ROOT: Final = Path(__file__).parents[3]
# A child learns nothing else of the environment: what broke into it would look for secrets there.
_INHERITED: Final = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR")


@dataclass(frozen=True)
class PreparedClip:
    """What is stored of an upload."""

    wav: bytes  # 24 kHz, mono, 16-bit, at most 30 s
    seconds: float
    warnings: tuple[str, ...]  # ASCII, for a response header: what makes this a doubtful reference


class ReferenceDecoder:
    """A few decoder processes, used one upload each at a time."""

    def __init__(self, children: int, *, time_limit_s: float = _TIME_LIMIT_S, waiting: int = _WAITING) -> None:
        self._count = children
        self._time_limit_s = time_limit_s
        self._waiting = waiting
        self._free: asyncio.Queue[_Child] = asyncio.Queue()
        self._children: set[_Child] = set()
        self._starts: set[asyncio.Task[None]] = set()  # that go on; never cancelled, as that may leave a process behind
        self._closing = asyncio.Event()
        self._queued = 0

    async def __aenter__(self) -> Self:
        """Start the processes and wait until they are warm. Raises OSError where one does not."""
        starting = [self._start(self._add_child()) for _ in range(self._count)]
        try:
            await asyncio.wait(starting)
            await asyncio.gather(*starting)
        except (OSError, asyncio.CancelledError):
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the processes, whatever they do."""
        await self._close()

    async def prepare(self, path: Path) -> PreparedClip:
        """Decode the file and return its clip.

        Raises UnusableReference: not audio, silent, too short, nothing like speech, or nothing that a decoder
        survives. Raises QueueFull where too many uploads wait already.
        """
        async with self._child() as child, asyncio.timeout(self._time_limit_s):
            return await child.ask(path)

    @asynccontextmanager
    async def _child(self) -> AsyncIterator["_Child"]:
        """Lend a process, and replace it unless it gave an answer or a refusal."""
        child = await self._next_free()
        usable = False
        try:
            yield child
            usable = True
        except UnusableReference:
            usable = True
            raise
        except TimeoutError:
            log.warning("decoder_too_slow", limit_s=self._time_limit_s)
            raise UnusableReference(f"the audio took too long to decode; send 6-30 s as {FORMATS}") from None
        except (EOFError, OSError, ValueError, msgspec.DecodeError):  # no answer, or none that makes sense
            log.warning("decoder_died", status=await child.status())
            raise UnusableReference(f"the file cannot be decoded; send 6-30 s of speech as {FORMATS}") from None
        finally:
            self._give_back(child, usable=usable)

    async def _next_free(self) -> "_Child":
        if self._queued >= self._waiting:
            raise QueueFull("too many uploads wait to be decoded; try again soon")
        self._queued += 1
        try:
            async with asyncio.timeout(_WAIT_S):
                return await self._free.get()
        except TimeoutError:
            raise QueueFull("no decoder gets free; try again soon") from None
        finally:
            self._queued -= 1

    def _give_back(self, child: "_Child", *, usable: bool) -> None:
        """No await here: a client that leaves in the middle must not cost the pool a process."""
        if usable:
            self._free.put_nowait(child)
        elif not self._closing.is_set():
            self._start(self._replace(child))

    def _start(self, starting: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(starting, name="start-decoder")
        self._starts.add(task)
        task.add_done_callback(self._starts.discard)
        return task

    async def _replace(self, child: "_Child") -> None:
        await child.end()
        self._children.discard(child)
        while not self._closing.is_set():
            try:
                await self._add_child()
                break
            except OSError as error:
                log.error("decoder_not_started", reason=str(error))
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._closing.wait(), _RETRY_S)

    async def _add_child(self) -> None:
        """Start a process and lend it out when it is warm. Raises OSError where that fails."""
        child = await _Child.start()
        self._children.add(child)
        try:
            if self._closing.is_set():
                await child.end()
            async with asyncio.timeout(_START_S):
                await child.ready()
        except (TimeoutError, msgspec.DecodeError):
            self._children.discard(child)
            raise OSError(f"a decoder process does not get ready; it ended with {await child.status()}") from None
        self._free.put_nowait(child)

    async def _close(self) -> None:
        self._closing.set()
        await asyncio.gather(*(child.end() for child in self._children))
        await asyncio.gather(*self._starts, return_exceptions=True)  # soon: a process that ended gets not ready
        self._children.clear()


class _Child:
    """One decoder process."""

    def __init__(
        self, process: asyncio.subprocess.Process, stdin: asyncio.StreamWriter, stdout: asyncio.StreamReader
    ) -> None:
        self._process = process
        self._stdin = stdin
        self._stdout = stdout

    @classmethod
    async def start(cls) -> "_Child":
        """Start a process: a new interpreter, as a fork would share this one's memory. Raises OSError."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "services.http_edge.reference.child",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={name: os.environ[name] for name in _INHERITED if name in os.environ}
            | {"PYTHONPATH": str(_ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            start_new_session=True,  # Ctrl-C in a terminal reaches the edge alone, which then ends its children
        )
        if process.stdin is None or process.stdout is None:
            raise OSError("a decoder process has no pipes")
        return cls(process, process.stdin, process.stdout)

    async def ready(self) -> None:
        """Wait until it is warm. Raises msgspec.DecodeError where it died instead."""
        await self._answer()

    async def ask(self, path: Path) -> PreparedClip:
        """Have one file decoded.

        Raises UnusableReference, and EOFError, OSError, ValueError or msgspec.DecodeError where the process died.
        """
        self._stdin.write(os.fsencode(path) + b"\n")
        await self._stdin.drain()
        answer = await self._answer()
        if answer.refusal is not None:
            raise UnusableReference(answer.refusal)
        return PreparedClip(await self._stdout.readexactly(answer.wav_bytes), answer.seconds, answer.warnings)

    async def _answer(self) -> Answer:
        return msgspec.json.decode(await self._stdout.readline(), type=Answer)

    async def status(self) -> int:
        """Return how the process ended, which it has if its answers have; end it otherwise."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), _GRACE_S)
        return await self.end()

    async def end(self) -> int:
        """End the process at once, unless it has ended, and return its status."""
        if self._process.returncode is None:
            self._process.kill()
        return await self._process.wait()
