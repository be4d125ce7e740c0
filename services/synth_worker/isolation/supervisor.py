"""The worker's end: an engine in a process of its own, started again when it dies, with all that was in flight.

What the engine worked on when it died is known (`batch`). A sentence that was alone there is guilty and fails; several
are spoken again, each in steps of its own, so that the guilty one is found here and visits no other worker. A process
that was killed proves nothing (an operator does that, or the kernel when memory is short), so whoever was alone then is
spoken once more. All others go on: engines repeat their samples for a seed, so a sentence begins anew and what was
handed on already is left out.
"""

import asyncio
import itertools
import os
import signal
import socket
import sys
import tempfile
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
import structlog

from services.common.audio.clip import Clip
from services.common.runtime.child.confinement import without_secrets
from services.common.runtime.child.parent_death import with_parent_death
from services.common.wire.failures import EngineCrashed, PipelineError, SpeechCancelled
from services.common.wire.messages import AS_USUAL, Parameters
from services.synth_worker.engines.protocol import EngineDescription, Utterance
from services.synth_worker.isolation import crash_record, messages
from services.synth_worker.isolation.in_flight import InFlightSentence, Voice
from services.synth_worker.isolation.messages import Answered, Begin, Described, FromEngine, Refused, Sounded
from services.synth_worker.ports import EngineClosed, EngineStuck
from services.synth_worker.settings import Settings

log = structlog.get_logger()

_MOST_CAUSELESS_CRASHES: Final = 3  # in a row, with nothing in work: then it is the machine, or the installation
_LAST_BREATH_S: Final = 1.0
_END_S: Final = 10.0  # a step that takes longer is not waited for when the worker stops
_FAULTS: Final = {
    signal.SIGSEGV,
    signal.SIGBUS,
    signal.SIGILL,
    signal.SIGFPE,
    signal.SIGABRT,
    signal.SIGTRAP,
    signal.SIGSYS,
}
_KILLED: Final = frozenset(-number for number in signal.valid_signals() - _FAULTS)  # statuses: somebody else's doing
_GUILTY: Final = "this sentence makes the engine crash; its operator finds it among the dead letters, with the reason"


@dataclass(eq=False)
class _Call:
    """A question to the engine's process, to be put again to its successor."""

    message: messages.Load | messages.Condition | messages.Restore
    answer: asyncio.Future[bytes]
    suspected: bool = False  # it was alone in work when the process was killed


class EngineSupervisor:
    """A `SpeakingEngine` whose engine has a process of its own."""

    def __init__(self, settings: Settings, *, step_timeout_s: float) -> None:
        """Start nothing yet: `load` does."""
        self.stuck = asyncio.Event()
        self.step_timeout_s = step_timeout_s
        self.crashes = 0
        self._settings = settings
        self._description = _unknown(settings.engine)
        self._numbers = itertools.count(1)
        self._calls: dict[int, _Call] = {}
        self._speeches: dict[int, InFlightSentence] = {}
        self._voices: weakref.WeakValueDictionary[int, Voice] = weakref.WeakValueDictionary()
        self._batch_file = tempfile.TemporaryFile()  # noqa: SIM115  # closed by `close`
        self._batch_file.truncate(crash_record.BYTES)
        self._batch = crash_record.CrashRecord(self._batch_file.fileno())
        self._causeless = 0
        self._loaded = False
        self._serving = False  # the process takes orders
        self._closing = False
        self._hung = False  # the process, which is killed for it
        self._started_s = 0.0
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._living: asyncio.Task[None] | None = None

    def describe(self) -> EngineDescription:
        """Return what the engine last said of itself."""
        return self._description

    async def load(self) -> None:
        """Start the process and make the model resident. Raises PipelineError."""
        reader = await self._start()
        self._living = asyncio.create_task(self._live(reader), name="engine")
        await self._ask(lambda number: messages.Load(call=number))
        self._loaded = True

    async def condition(self, clips: Sequence[Clip], parameters: Parameters = AS_USUAL) -> bytes:
        """Compute a serialised voice, between two steps. Raises UnusableReference."""
        sent = tuple(messages.packed(clip) for clip in clips)
        return await self._ask(lambda number: messages.Condition(call=number, clips=sent, parameters=parameters))

    async def restore(self, voice: bytes) -> Voice:
        """Let the engine's process keep a voice, as long as the returned one is kept here."""
        kept = Voice(next(self._numbers), voice)
        await self._ask(lambda number: messages.Restore(call=number, voice=kept.number, content=voice))
        self._voices[kept.number] = kept
        weakref.finalize(kept, self.send, messages.Release(voice=kept.number)).atexit = False
        return kept

    def speak(self, utterance: Utterance, voice: Voice, *, urgent: bool) -> InFlightSentence:
        """Begin a sentence; urgent ones are stepped first."""
        order = messages.Speak(speech=next(self._numbers), utterance=utterance, voice=voice.number, urgent=urgent)
        speech = InFlightSentence(self, order, voice)
        self._speeches[order.speech] = speech
        self.send(order)
        return speech

    async def close(self) -> None:
        """End the process, after the step that runs; one that hangs, or loads, is killed."""
        self._closing = True
        self.send(messages.Close())
        if self._process is not None:
            await self._end(self._process)
        if self._living is not None:
            with suppress(PipelineError):
                await self._living
        self._fail_all(EngineClosed("the worker stops"))
        self._batch_file.close()

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        try:
            await asyncio.wait_for(process.wait(), min(self.step_timeout_s, _END_S) if self._loaded else 0.0)
        except TimeoutError:
            if self._loaded:
                self.kill("it does not end")
            elif process.returncode is None:
                process.kill()
            await process.wait()
        if self._writer is not None:
            self._writer.close()

    def send(self, message: messages.Message) -> None:
        """Send something; while one process follows another it is left out, as the new one is told everything."""
        if self._serving and self._writer is not None and not self._writer.is_closing():
            self._writer.write(messages.frame(message))

    def kill(self, reason: str) -> None:
        """End a process that hangs; it is followed by another one."""
        if self._process is not None and self._process.returncode is None:
            log.error("engine_killed", reason=reason)
            self._hung = True
            self._process.kill()

    def lose_patience(self) -> None:
        """A sentence has waited too long: end the process, unless it has only just followed the one that hung."""
        if time.monotonic() - self._started_s >= self.step_timeout_s:
            self.kill(f"nothing was made within {self.step_timeout_s:.0f} s")

    def forget(self, speech: InFlightSentence) -> None:
        """A sentence has nobody any more who listens."""
        self._speeches.pop(speech.order.speech, None)

    async def _ask(self, message: Callable[[int], messages.Load | messages.Condition | messages.Restore]) -> bytes:
        number = next(self._numbers)
        call = _Call(message(number), asyncio.get_running_loop().create_future())
        self._calls[number] = call
        self.send(call.message)
        try:
            return await call.answer
        finally:
            self._calls.pop(number, None)

    async def _start(self) -> asyncio.StreamReader:
        """Start a process and have it build its engine; one that is killed meanwhile is followed by another.

        Raises PipelineError where it cannot.
        """
        for tries_left in reversed(range(_MOST_CAUSELESS_CRASHES)):
            try:
                return await self._begin()
            except EOFError:
                await self._bury()
                assert self._process is not None  # noqa: S101  # it was buried
                log.error("engine_crashed", status=self._process.returncode, in_work=0, in_flight=len(self._speeches))
                if self._closing or self._process.returncode not in _KILLED or not tries_left:
                    break
        raise EngineStuck("the engine's process ends before it has begun; its lines above say why")

    async def _begin(self) -> asyncio.StreamReader:
        """Start a process and have it build its engine. Raises PipelineError, and EOFError where it ends at once."""
        near, far = socket.socketpair()
        self._batch.clear()
        self._hung = False
        self._started_s = time.monotonic()
        with far:
            self._process = await self._spawn(far.fileno(), self._batch_file.fileno())
        reader, self._writer = await asyncio.open_connection(sock=near)
        self._writer.write(messages.frame(Begin(call=0, settings=self._settings)))
        try:
            while not isinstance(message := await self._hear(reader), Answered):
                self._take(message)
        except PipelineError:
            await self._bury()
            raise
        self._serving = True
        return reader

    async def _hear(self, reader: asyncio.StreamReader) -> FromEngine:
        return await messages.read(reader, FromEngine)  # type: ignore[arg-type]  # a union is a type to msgspec

    async def _spawn(self, *descriptors: int) -> asyncio.subprocess.Process:
        """Start the engine's program, which inherits the descriptors. Raises EngineStuck."""
        try:
            return await asyncio.create_subprocess_exec(
                *with_parent_death(
                    sys.executable, "-m", "services.synth_worker.isolation.engine_process", *map(str, descriptors)
                ),
                pass_fds=descriptors,
                env=without_secrets(os.environ),
                stdin=asyncio.subprocess.DEVNULL,
            )
        except OSError as error:
            raise EngineStuck(f"the engine's process cannot be started ({error.strerror})") from None

    async def _live(self, reader: asyncio.StreamReader) -> None:
        """Hear the process out, and its successors."""
        try:
            while True:
                with suppress(EOFError):
                    while True:
                        self._take(await self._hear(reader))
                await self._bury()
                if self._closing:
                    return
                reader = await self._recover()
        except PipelineError as failure:
            self._fail_all(failure)
            self.stuck.set()

    def _take(self, message: FromEngine) -> None:
        if isinstance(message, Described):
            self._description = message.description
        elif isinstance(message, Refused) and message.call == 0:
            raise messages.error_of(message.failure)  # it cannot do what its predecessor could
        elif isinstance(message, Answered | Refused):
            self._settle(message)
        elif message.speech in self._speeches:
            speech = self._speeches[message.speech]
            if isinstance(message, Sounded):
                speech.take(np.frombuffer(message.samples, np.float32))
            else:
                self._causeless = 0
                speech.end(message)

    def _settle(self, message: Answered | Refused) -> None:
        call = self._calls.get(message.call)
        if call is None or call.answer.done():
            return  # whoever asked has gone
        if isinstance(message, Answered):
            call.answer.set_result(message.content)
        else:
            call.answer.set_exception(messages.error_of(message.failure))

    async def _bury(self) -> None:
        """See the process end, which has closed its socket or is of no use."""
        assert self._process is not None  # noqa: S101  # it was heard
        self._serving = False
        if self._writer is not None:
            self._writer.close()
        try:
            await asyncio.wait_for(self._process.wait(), _LAST_BREATH_S)
        except TimeoutError:
            self.kill("it closed its socket and goes on")
            await self._process.wait()

    async def _recover(self) -> asyncio.StreamReader:
        """Find who is to blame, start a successor, and give it what was in flight. Raises PipelineError."""
        assert self._process is not None  # noqa: S101  # it was heard
        if not self._loaded and self._process.returncode not in _KILLED:
            raise EngineStuck("the engine crashes while it loads; its lines above say why")
        self.crashes += 1
        in_work = self._batch.read()
        log.error(
            "engine_crashed",
            status=self._process.returncode,
            in_work=len(in_work),
            in_flight=len(self._speeches),
            crashes=self.crashes,
        )
        self._causeless = 0 if in_work else self._causeless + 1
        if self._causeless >= _MOST_CAUSELESS_CRASHES:
            raise EngineStuck(f"the engine died {self._causeless} times with nothing in work")
        self._judge(in_work, proven=self._hung or self._process.returncode not in _KILLED)
        reader = await self._start()
        if self._closing:
            self.send(messages.Close())
        else:
            self._resume()
        return reader

    def _judge(self, in_work: set[int], *, proven: bool) -> None:
        """Fail what was alone in work, where that proves its guilt; what was there with others is to be alone now."""
        alone = len(in_work) == 1
        for number in in_work & self._calls.keys():
            call = self._calls[number]
            if alone and (proven or call.suspected) and not call.answer.done():
                call.answer.set_exception(EngineCrashed(_GUILTY.replace("sentence", "reference audio")))
            call.suspected = alone
        for number in in_work & self._speeches.keys():
            speech = self._speeches[number]
            if alone and (proven or speech.suspected):
                speech.made.put_nowait(EngineCrashed(_GUILTY))
                self.forget(speech)
            speech.suspected = alone
            speech.order = msgspec.structs.replace(speech.order, alone=True)

    def _resume(self) -> None:
        """Tell a new process everything that the one before it knew."""
        if self._loaded:  # else whoever loads it is among those who asked
            self.send(messages.Load(call=0))
        for voice in self._voices.values():
            self.send(messages.Restore(call=0, voice=voice.number, content=voice.content))
        for call in list(self._calls.values()):
            if not call.answer.done():
                self.send(call.message)
        for speech in list(self._speeches.values()):
            if speech.cancelled:
                speech.made.put_nowait(SpeechCancelled("the request was cancelled"))
                self.forget(speech)
            else:
                speech.repeated = speech.passed_on
                self.send(speech.order)

    def _fail_all(self, failure: PipelineError) -> None:
        for call in self._calls.values():
            if not call.answer.done():
                call.answer.set_exception(failure)
        for speech in self._speeches.values():
            speech.made.put_nowait(failure)


def _unknown(name: str) -> EngineDescription:
    """Return what can be said of an engine that has not said anything yet."""
    return EngineDescription(
        name=name,
        version="unknown",
        languages=(),
        max_characters={},
        licence="unknown",
        sample_rate_hz=24_000,
        device="unknown",
        max_batch=1,
        level=None,
    )
