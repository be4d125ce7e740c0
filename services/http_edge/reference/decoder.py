"""Child processes that decode: untrusted bytes meet C decoders there, never in the process that serves everybody.

A child that crashes, hangs or grows costs its own upload and is replaced. It is asked by one line with a path, and
answers by one line of JSON, which a WAV of the length it names may follow.
"""

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec
import structlog

from services.common.wire.failures import UnusableReference
from services.http_edge.reference.answer import Answer

log = structlog.get_logger()

_START_S: Final = 60.0
_TIME_LIMIT_S: Final = 30.0  # 200 MB of FLAC decode in a few
_FORMATS: Final = "WAV, FLAC, MP3, OGG, WebM or M4A"


@dataclass(frozen=True)
class PreparedClip:
    """What is stored of an upload."""

    wav: bytes  # 24 kHz, mono, 16-bit, at most 30 s
    seconds: float
    warnings: tuple[str, ...]  # ASCII, for a response header: what makes this a doubtful reference


class ReferenceDecoder:
    """A few decoder processes, used one upload each at a time."""

    def __init__(self, children: int, *, time_limit_s: float = _TIME_LIMIT_S) -> None:
        self._count = children
        self._time_limit_s = time_limit_s
        self._free: asyncio.Queue[_Child] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        """Start the processes and wait until they are warm."""
        for child in await asyncio.gather(*(_Child.start() for _ in range(self._count))):
            self._free.put_nowait(child)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the processes."""
        while not self._free.empty():
            await self._free.get_nowait().kill()

    async def prepare(self, path: Path) -> PreparedClip:
        """Decode the file and return its clip.

        Raises UnusableReference: not audio, silent, too short, nothing like speech, or nothing that a decoder
        survives.
        """
        child = await self._free.get()
        healthy = False
        try:
            answer = await asyncio.wait_for(child.ask(path), self._time_limit_s)
            healthy = True
            return answer
        except UnusableReference:
            healthy = True
            raise
        except TimeoutError:
            raise UnusableReference(f"the audio took too long to decode; send 6-30 s as {_FORMATS}") from None
        except (EOFError, ConnectionError, msgspec.DecodeError):
            log.warning("decoder_died", status=child.status)
            raise UnusableReference(f"the file cannot be decoded; send 6-30 s of speech as {_FORMATS}") from None
        finally:
            # Shielded: a client that leaves in the middle must not cost the pool a process.
            self._free.put_nowait(child if healthy else await asyncio.shield(_replaced(child)))


async def _replaced(child: "_Child") -> "_Child":
    await child.kill()
    return await _Child.start()


class _Child:
    """One decoder process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls) -> "_Child":
        """Start a process and wait until it has imported its decoders."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "services.http_edge.reference.child",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            start_new_session=True,
        )
        child = cls(process)
        await asyncio.wait_for(child._answer(), _START_S)
        return child

    async def ask(self, path: Path) -> PreparedClip:
        """Have one file decoded. Raises UnusableReference, EOFError where the process died."""
        if self._process.stdin is None:
            raise EOFError
        self._process.stdin.write(f"{path}\n".encode())
        await self._process.stdin.drain()
        answer = await self._answer()
        if answer.refusal is not None:
            raise UnusableReference(answer.refusal)
        return PreparedClip(await self._read(answer.wav_bytes), answer.seconds, answer.warnings)

    async def _answer(self) -> Answer:
        if self._process.stdout is None:
            raise EOFError
        return msgspec.json.decode(await self._process.stdout.readline(), type=Answer)

    async def _read(self, count: int) -> bytes:
        if self._process.stdout is None:
            raise EOFError
        return await self._process.stdout.readexactly(count)

    async def kill(self) -> None:
        """End the process at once."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    @property
    def status(self) -> int | None:
        """Return the exit status, or None while it runs."""
        return self._process.returncode
