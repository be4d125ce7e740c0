"""The engine process: `python -m services.synth_worker.isolation.engine_process SOCKET BATCH`.

SOCKET and BATCH are file descriptors that it inherits from its worker.

It lives as long as its worker's end of the socket, and no longer: also in the middle of a step.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from services.common.runtime.child.parent_death import die_with_parent
from services.common.runtime.logs import configure_logs
from services.synth_worker.building import build_engine
from services.synth_worker.engine_thread import EngineThread, SentenceTask
from services.synth_worker.engines.protocol import Engine, EngineDescription, Step, Utterance
from services.synth_worker.isolation.crash_record import CrashRecord
from services.synth_worker.isolation.messages import (
    Answered,
    Begin,
    Cancel,
    Close,
    Condition,
    Described,
    Ended,
    FromEngine,
    Load,
    Refused,
    Release,
    Restore,
    Sounded,
    Speak,
    ToEngine,
    failure_of,
    frame,
    read,
    unpacked,
)

_NO_LIMIT_S: Final = 1e6  # the worker has the clock: it ends this process
_PROGRESS_S: Final = 0.25


@dataclass(frozen=True)
class Numbered(Utterance):
    """An utterance, and the number by which the worker knows its sentence."""

    number: int = 0


class Announced:
    """An engine that notes what it works on before it begins."""

    def __init__(self, engine: Engine[Any, Any], batch: CrashRecord) -> None:
        self._engine = engine
        self._batch = batch
        self.describe, self.load = engine.describe, engine.load
        self.condition, self.restore, self.close = engine.condition, engine.restore, engine.close

    def open(self, utterance: Utterance, voice: Any) -> tuple[int, Any]:
        """Begin a sentence."""
        assert isinstance(utterance, Numbered)  # noqa: S101  # this module makes all of them
        with self._batch.of([utterance.number]):
            return utterance.number, self._engine.open(utterance, voice)

    def step(self, batch: Sequence[tuple[int, Any]]) -> list[Step]:
        """Advance a batch."""
        with self._batch.of([number for number, _ in batch]):
            return self._engine.step([sequence for _, sequence in batch])

    def discard(self, sequence: tuple[int, Any]) -> None:
        """Give up a sentence."""
        self._engine.discard(sequence[1])


class Child:
    """Does what the worker asks, until its end of the socket closes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, batch: CrashRecord) -> None:
        self._reader = reader
        self._writer = writer
        self._batch = batch
        self._voices: dict[int, Any] = {}
        self._speeches: dict[int, SentenceTask] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._engine: Announced
        self._model: EngineThread
        self._said: EngineDescription | None = None

    async def live(self) -> None:
        """Serve until told to close, or until the worker is gone."""
        while True:
            try:
                message: ToEngine = await read(self._reader, ToEngine)  # type: ignore[arg-type]  # a union is a type
            except EOFError:
                os._exit(0)  # a step may run, and nobody waits for it
            if isinstance(message, Close):
                await self._model.close()
                return
            await self._take(message)

    async def _take(self, message: ToEngine) -> None:
        if isinstance(message, Begin):
            await self._answer(message.call, self._begin(message))
        elif isinstance(message, Load):
            self._own(self._answer(message.call, self._load()))
        elif isinstance(message, Condition):
            self._own(self._answer(message.call, self._condition(message)))
        elif isinstance(message, Restore):  # at once, as a sentence in this voice may follow
            await self._answer(message.call, self._restore(message))
        elif isinstance(message, Release):
            self._voices.pop(message.voice, None)
        elif isinstance(message, Cancel):
            if message.speech in self._speeches:
                self._speeches[message.speech].cancel()
        elif isinstance(message, Speak):
            self._speak(message)

    def _own(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send(self, message: FromEngine) -> None:
        with suppress(ConnectionError):  # the reader sees it, and ends the process
            self._writer.write(frame(message))
            await self._writer.drain()

    async def _answer(self, call: int, work: Awaitable[bytes]) -> None:
        try:
            content = await work
        except Exception as error:  # noqa: BLE001  # carried to the worker
            await self._send(Refused(call=call, failure=failure_of(error)))
        else:
            await self._send(Answered(call=call, content=content))

    async def _begin(self, message: Begin) -> bytes:
        configure_logs("synth_worker", level=message.settings.log_level, readable=message.settings.log_readable)
        self._engine = Announced(build_engine(message.settings), self._batch)
        self._model = EngineThread(self._engine, step_timeout_s=_NO_LIMIT_S)
        await self._describe()
        return b""

    async def _describe(self) -> None:
        description = self._model.describe()
        if description != self._said:
            self._said = description
            await self._send(Described(description=description))

    async def _load(self) -> bytes:
        loading = asyncio.ensure_future(self._model.load())
        while not loading.done():
            await asyncio.wait([loading], timeout=_PROGRESS_S)
            await self._describe()
        await loading
        return b""

    async def _condition(self, message: Condition) -> bytes:
        clips = [unpacked(clip) for clip in message.clips]

        def condition() -> bytes:
            with self._batch.of([message.call]):
                return self._engine.condition(clips, message.parameters)

        return await self._model.call(condition)

    async def _restore(self, message: Restore) -> bytes:
        self._voices[message.voice] = await self._model.restore(message.content)
        return b""

    def _speak(self, message: Speak) -> None:
        spoken = message.utterance
        utterance = Numbered(spoken.text, spoken.language, spoken.seed, spoken.parameters, message.speech)
        speech = self._model.speak(
            utterance, self._voices.get(message.voice), urgent=message.urgent, alone=message.alone
        )
        self._speeches[message.speech] = speech
        self._own(self._carry(message.speech, speech))

    async def _carry(self, number: int, speech: SentenceTask) -> None:
        """Send a sentence's samples as they are made, and then how it ended."""
        failure = None
        try:
            async for samples in speech.pieces():
                await self._send(Sounded(speech=number, samples=samples.tobytes()))
        except Exception as error:  # noqa: BLE001  # carried to the worker
            failure = failure_of(error)
        del self._speeches[number]
        await self._send(
            Ended(
                speech=number,
                busy_s=speech.busy_s,
                orphaned_s=speech.orphaned_s,
                redrawn=speech.redrawn,
                failure=failure,
            )
        )


async def _serve(connection: socket.socket, batch: CrashRecord) -> None:
    reader, writer = await asyncio.open_connection(sock=connection)
    await Child(reader, writer, batch).live()
    writer.close()


def main() -> None:
    """Serve the worker whose descriptors the command line names."""
    die_with_parent()  # where the kernel offers that; else, and before this, the socket's end is heard
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # they are for the worker, which ends this process in its time
    connection = socket.socket(fileno=int(sys.argv[1]))
    asyncio.run(_serve(connection, CrashRecord(int(sys.argv[2]))))


if __name__ == "__main__":
    main()
