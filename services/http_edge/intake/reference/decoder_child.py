"""A decoder process, as the edge sees it: it sends a task and a path, and checks the reply.

The messages are frames (`child.framing`): a request is a task and a path; the reply is a
`DecodeResult`, and then the answer.
"""

import os
import signal
from pathlib import Path
from typing import Final

import msgspec
import structlog

from services.common.audio.wav import read_wav
from services.common.runtime.child.environment import only
from services.common.runtime.child.process import ChildProcess
from services.common.wire.failures import UnusableReference
from services.http_edge.intake.reference.answer import (
    FORMATS,
    MOST_ANSWER_BYTES,
    MOST_REPORT_BYTES,
    DecodeAnswer,
    DecodeResult,
    Ready,
    Task,
)

log = structlog.get_logger()

TOO_SLOW: Final = f"the audio took too long to decode; send 6-30 s as {FORMATS}"
UNREADABLE: Final = f"the file cannot be decoded; send 6-30 s of speech as {FORMATS}"
_ROOT: Final = Path(__file__).parents[4]
# A decoder process gets no other environment variables: an exploit would look for secrets there.
_INHERITED: Final = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR")
_OWN_VARIABLES: Final = {
    "PYTHONPATH": str(_ROOT),
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


class DecoderChild:
    """A decoder process, which forks a confined process for each file."""

    def __init__(self, process: ChildProcess) -> None:
        self._process = process

    @classmethod
    async def start(cls, processor_s: int, time_limit_s: float) -> "DecoderChild":
        """Start a process. Raises OSError."""
        process = await ChildProcess.start(
            "services.http_edge.intake.reference.decoder_process",
            str(processor_s),
            str(time_limit_s),
            environment=only(_INHERITED, os.environ) | _OWN_VARIABLES,
            interpreter_options=("-P",),
            own_session=True,  # a signal from a terminal reaches only the edge; its end kills all forks
        )
        return cls(process)

    async def ready(self) -> Ready:
        """Wait until it is warmed up.

        Raises EOFError if it exited, ValueError or msgspec.DecodeError for an invalid message.
        """
        report = await self._process.receive(max_bytes=MOST_REPORT_BYTES)
        return msgspec.json.decode(report, type=Ready)

    async def decode(self, task: Task, path: Path) -> tuple[DecodeResult, bytes]:
        """Decode one file for a task. Return the report, and the answer with its WAV.

        Raises EOFError if the process died, ValueError or msgspec.DecodeError for an invalid reply.
        """
        await self._process.send(task.encode() + b"\n" + os.fsencode(path))
        report = await self._process.receive(max_bytes=MOST_REPORT_BYTES)
        content = await self._process.receive(max_bytes=MOST_ANSWER_BYTES)
        return msgspec.json.decode(report, type=DecodeResult), content

    async def status(self) -> int:
        """Return the exit status of a process that closed its output; kill it if it still runs."""
        return await self._process.exit_status()

    async def end(self) -> int:
        """Kill the process and its forks, unless it has exited, and return its status."""
        return await self._process.end()


def answer_of(ended: DecodeResult, content: bytes) -> tuple[DecodeAnswer, bytes]:
    """Return the answer and the WAV in the reply of a process that read untrusted bytes.

    Raises UnusableReference.
    """
    figures = {"processor_s": round(ended.processor_s, 3), "peak_bytes": ended.peak_bytes}
    if ended.overrun or ended.status == -signal.SIGXCPU:
        log.warning("decoder_too_slow", **figures)
        raise UnusableReference(TOO_SLOW)
    line, _, wav = content.partition(b"\n")
    answer: DecodeAnswer | None = None
    try:
        answer = msgspec.json.decode(line, type=DecodeAnswer)
        if answer.refusal is not None:
            raise UnusableReference(answer.refusal)
        if ended.status or answer.fault is not None or len(wav) != answer.wav_bytes:
            raise ValueError("no clip")
        read_wav(wav)
    except (ValueError, msgspec.DecodeError):
        fault = None if answer is None else answer.fault
        log.warning("decoder_crashed", status=ended.status, fault=fault, **figures)
        raise UnusableReference(UNREADABLE) from None
    return answer, wav
