"""The engine process: `python -m services.synth_worker.isolation.engine_process SOCKET RECORD`.

SOCKET and RECORD are inherited file descriptors: the socket to the supervisor and the file of the crash record. The
process ends at once when the supervisor's end of the socket closes, even in the middle of a step.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, NoReturn, ParamSpec, TypeVar

import structlog

from services.common.runtime.logs import configure_logs, places_of
from services.common.wire.failures import EngineUnavailable, PipelineError
from services.synth_worker.building import build_engine
from services.synth_worker.engine_thread import EngineThread, SentenceTask
from services.synth_worker.engines.protocol import (
    Engine,
    EngineBroken,
    EngineDescription,
    Step,
    Utterance,
)
from services.synth_worker.isolation.crash_record import CrashRecord
from services.synth_worker.isolation.messages import (
    BROKEN_STATUS,
    Begin,
    BuiltIn,
    CallFailed,
    CallSucceeded,
    Cancel,
    Close,
    Condition,
    Described,
    FromEngine,
    Load,
    Produced,
    Release,
    Restore,
    SentenceEnded,
    Speak,
    ToEngine,
    failure_of,
    frame,
    read,
    unpacked,
)

log = structlog.get_logger()

_NO_LIMIT_S: Final = 1e6  # the supervisor enforces the step timeout: it kills this process
_PROGRESS_S: Final = 0.25
_MAX_FAILED_STEPS: Final = 3  # in a row

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class NumberedUtterance(Utterance):
    """An utterance with the number that the supervisor gave its sentence."""

    number: int = 0


class RecordingEngine:
    """Wraps an engine and writes the numbers of the sentences to the crash record before it computes.

    An engine that reports that it is broken ends the process, which the supervisor replaces. So does one whose steps
    fail several times in a row; its sentences are not to blame, and the crash record is empty then.
    """

    def __init__(self, engine: Engine[Any, Any], record: CrashRecord) -> None:
        self._engine = engine
        self._record = record
        self._failed_steps = 0  # in a row
        self.describe = engine.describe
        self.load = engine.load
        self.condition = _ending_if_broken(engine.condition)
        self.built_in = engine.built_in
        self.restore = _ending_if_broken(engine.restore)
        self.close = engine.close

    def open(self, utterance: Utterance, voice: Any) -> tuple[int, Any]:
        """Begin a sentence; return its number and the engine's sequence."""
        assert isinstance(utterance, NumberedUtterance)  # noqa: S101  # this module makes all of them
        with self._record.of([utterance.number]):
            return utterance.number, _ending_if_broken(self._engine.open)(utterance, voice)

    def step(self, batch: Sequence[tuple[int, Any]]) -> list[Step]:
        """Advance a batch."""
        try:
            with self._record.of([number for number, _ in batch]):
                steps = _ending_if_broken(self._engine.step)([sequence for _, sequence in batch])
        except Exception:
            self._failed_steps += 1
            if self._failed_steps >= _MAX_FAILED_STEPS:
                log.exception("engine_broken")
                _end()
            raise

        self._failed_steps = 0
        return steps

    def discard(self, sequence: tuple[int, Any]) -> None:
        """Discard a sentence that is not done."""
        self._engine.discard(sequence[1])


def _ending_if_broken(call: Callable[P, T]) -> Callable[P, T]:
    """Return the function; if it raises EngineBroken, it ends the process and leaves the crash record as it is."""

    def ending(*arguments: P.args, **named: P.kwargs) -> T:
        try:
            return call(*arguments, **named)
        except EngineBroken:
            log.exception("engine_broken")
            _end()

    return ending


def _end() -> NoReturn:
    sys.stdout.flush()
    os._exit(BROKEN_STATUS)


class EngineServer:
    """Executes the supervisor's commands until its end of the socket closes."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, record: CrashRecord
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._record = record
        self._voices: dict[int, Any] = {}
        self._sentences: dict[int, SentenceTask] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._engine: RecordingEngine
        self._thread: EngineThread
        self._described: EngineDescription | None = None  # as it was sent last

    async def serve(self) -> None:
        """Serve until a `Close` command, or until the supervisor's end of the socket closes."""
        while True:
            try:
                message: ToEngine = await read(self._reader, ToEngine)  # type: ignore[arg-type]  # a union is a type
            except EOFError:
                os._exit(0)  # without waiting for the current step: its result has no consumer

            if isinstance(message, Close):
                await self._thread.close()
                return
            await self._handle(message)

    async def _handle(self, message: ToEngine) -> None:
        if isinstance(message, Begin):
            await self._reply(message.call, self._begin(message))
        elif isinstance(message, Load):
            self._start(self._reply(message.call, self._load()))
        elif isinstance(message, Condition):
            self._start(self._reply(message.call, self._condition(message)))
        elif isinstance(message, BuiltIn):
            self._start(self._reply(message.call, self._thread.built_in(message.name)))
        elif isinstance(message, Restore):  # awaited, as a sentence with this voice may follow
            await self._reply(message.call, self._restore(message))
        elif isinstance(message, Release):
            self._voices.pop(message.voice, None)
        elif isinstance(message, Cancel):
            if message.sentence in self._sentences:
                self._sentences[message.sentence].cancel()
        elif isinstance(message, Speak):
            self._speak(message)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send(self, message: FromEngine) -> None:
        with suppress(ConnectionError):  # `serve` sees the closed socket and ends the process
            self._writer.write(frame(message))
            await self._writer.drain()

    async def _reply(self, call: int, work: Awaitable[bytes]) -> None:
        try:
            content = await work
        except Exception as error:
            if not isinstance(error, PipelineError):
                log.exception("engine_call_failed")
            await self._send(CallFailed(call=call, failure=failure_of(error)))
        else:
            await self._send(CallSucceeded(call=call, content=content))

    async def _begin(self, message: Begin) -> bytes:
        configure_logs(
            "synth_worker", level=message.settings.log_level, readable=message.settings.log_readable
        )
        self._engine = RecordingEngine(build_engine(message.settings), self._record)
        self._thread = EngineThread(self._engine, step_timeout_s=_NO_LIMIT_S)
        await self._describe()
        return b""

    async def _describe(self) -> None:
        description = self._thread.describe()
        if description != self._described:
            self._described = description
            await self._send(Described(description=description))

    async def _load(self) -> bytes:
        loading = asyncio.ensure_future(self._thread.load())
        while not loading.done():
            await asyncio.wait([loading], timeout=_PROGRESS_S)
            await self._describe()
        try:
            await loading
        except PipelineError:
            raise
        except Exception as error:
            log.exception("engine_load_failed")
            raise EngineUnavailable(
                f"the engine cannot be loaded: {type(error).__name__}: {str(error)[:500]}"
            ) from error
        return b""

    async def _condition(self, message: Condition) -> bytes:
        clips = [unpacked(clip) for clip in message.clips]

        def condition() -> bytes:
            with self._record.of([message.call]):
                return self._engine.condition(clips, message.parameters)

        return await self._thread.call(condition)

    async def _restore(self, message: Restore) -> bytes:
        self._voices[message.voice] = await self._thread.restore(message.content)
        return b""

    def _speak(self, message: Speak) -> None:
        sent = message.utterance
        utterance = NumberedUtterance(
            sent.text, sent.language, sent.seed, sent.parameters, message.sentence
        )
        task = self._thread.speak(
            utterance, self._voices.get(message.voice), urgent=message.urgent, alone=message.alone
        )
        self._sentences[message.sentence] = task
        self._start(self._forward(message.sentence, task))

    async def _forward(self, number: int, task: SentenceTask) -> None:
        """Send a sentence's samples as they are synthesized, and then how it ended."""
        failure = None
        try:
            async for samples in task.stream():
                await self._send(Produced(sentence=number, samples=samples.tobytes()))
        except Exception as error:  # noqa: BLE001  # sent to the supervisor
            if not isinstance(error, PipelineError):
                log.error("sentence_failed", error=type(error).__name__, places=places_of(error))
            failure = failure_of(error)

        del self._sentences[number]
        await self._send(
            SentenceEnded(
                sentence=number,
                busy_s=task.busy_s,
                orphaned_s=task.orphaned_s,
                redrawn=task.redrawn,
                fault=task.fault,
                failure=failure,
                times=task.times,
            )
        )


async def _serve(connection: socket.socket, record: CrashRecord) -> None:
    reader, writer = await asyncio.open_connection(sock=connection)
    await EngineServer(reader, writer, record).serve()
    writer.close()


def main() -> None:
    """Serve the supervisor, through the descriptors of the command line."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the worker handles them, and ends this process
    connection = socket.socket(fileno=int(sys.argv[1]))
    asyncio.run(_serve(connection, CrashRecord(int(sys.argv[2]))))


if __name__ == "__main__":
    main()
