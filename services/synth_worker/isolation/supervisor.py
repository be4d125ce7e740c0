"""Supervises the engine process: starts it, restarts it after a crash, and resubmits all sentences in flight.

How it works
------------
The supervisor runs in the worker process and implements `SpeakingEngine`. It forwards commands over a socket and keeps
a copy of everything that an engine process needs to continue: the loaded voices, the unanswered calls and the sentences
in flight. Most engines are deterministic for a seed, so a new engine process synthesizes a sentence from its first
sample, and the supervisor drops as many samples as it has delivered already. If the engine is not `reproducible`, a
sentence of which samples were delivered fails instead, and is delivered to a worker again as another attempt.

Before every step the engine process writes the numbers of its sentences to the crash record, in shared memory. When the
process dies, the supervisor reads them:

- one sentence, and a fault signal, an exit or a hang ended the process: that sentence is the crash culprit and fails
  with `engine_crashed`. It becomes a dead letter; no other worker receives it.
- one sentence, and the process was killed (by an operator, or by the kernel when memory is short) or reported that its
  engine is broken (a CUDA error: of the sentence or of the GPU): that proves nothing, so the sentence is synthesized
  once more. The second time it is the culprit.
- several sentences: they are quarantined, so each runs in steps without the others and the culprit is found here.
- none: an idle crash. Three in a row mean that the machine or the installation is at fault, and the worker ends.

Four processes in a row that report a broken engine, with no sentence finished in between, mean the same: the fourth is
one more than a single sentence can break (in a shared step, alone, and alone again).

Sentences that were in flight but not in the step are resubmitted unchanged.
"""

import asyncio
import itertools
import socket
import tempfile
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import numpy as np
import structlog

from services.common.audio.clip import Clip
from services.common.runtime.child.signals import was_killed
from services.common.runtime.child.start import exit_status
from services.common.wire.failures import PipelineError, SpeechCancelled
from services.common.wire.options import AS_USUAL, Parameters
from services.synth_worker.engines.protocol import EngineDescription, Utterance, not_described
from services.synth_worker.isolation import crash_record, messages
from services.synth_worker.isolation.in_flight import InFlightSentence, PendingCall, RemoteVoice
from services.synth_worker.isolation.launch import launch
from services.synth_worker.isolation.messages import (
    BROKEN_STATUS,
    Begin,
    CallFailed,
    CallSucceeded,
    Described,
    FromEngine,
    Produced,
)
from services.synth_worker.isolation.quarantine import quarantine
from services.synth_worker.ports import AttemptLost, EngineClosed, EngineStuck
from services.synth_worker.settings import Settings

log = structlog.get_logger()

_MAX_IDLE_CRASHES: Final = 3  # in a row
_MAX_BROKEN: Final = 4  # in a row
_REAP_GRACE_S: Final = 1.0  # from the end of the socket to the end of the process
_CLOSE_GRACE_S: Final = 10.0  # for the step that runs when the worker stops


class EngineSupervisor:
    """A `SpeakingEngine` whose engine runs in a separate process."""

    def __init__(self, settings: Settings, *, step_timeout_s: float) -> None:
        """Set up the state; `load` starts the process."""
        self.stuck = asyncio.Event()
        self.step_timeout_s = step_timeout_s
        self.crashes = 0
        self._settings = settings
        self._description = not_described(settings.engine)
        self._numbers = itertools.count(1)
        self._calls: dict[int, PendingCall] = {}
        self._sentences: dict[int, InFlightSentence] = {}
        self._voices: weakref.WeakValueDictionary[int, RemoteVoice] = weakref.WeakValueDictionary()
        self._crash_file = tempfile.TemporaryFile()  # noqa: SIM115  # closed by `close`
        self._crash_file.truncate(crash_record.BYTES)
        self._crash_record = crash_record.CrashRecord(self._crash_file.fileno())
        self._idle_crashes = 0
        self._broken = 0  # processes in a row that reported a broken engine
        self._loaded = False
        self._serving = False  # the process accepts commands
        self._closing = False
        self._hung = False  # the process was killed because it hung
        self._started_s = 0.0
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._supervision: asyncio.Task[None] | None = None

    def describe(self) -> EngineDescription:
        """Return the engine's latest description of itself."""
        return self._description

    def process_id(self) -> int:
        """Return the id of the process that was started last; 0 before the first one."""
        return 0 if self._process is None else self._process.pid

    async def load(self) -> None:
        """Start the process and make the model resident. Raises PipelineError."""
        reader = await self._start()
        self._supervision = asyncio.create_task(self._supervise(reader), name="engine")
        await self._call(lambda number: messages.Load(call=number))
        self._loaded = True

    async def condition(self, clips: Sequence[Clip], parameters: Parameters = AS_USUAL) -> bytes:
        """Compute a serialised voice, between two steps. Raises UnusableReference."""
        packed = tuple(messages.packed(clip) for clip in clips)
        return await self._call(
            lambda number: messages.Condition(call=number, clips=packed, parameters=parameters)
        )

    async def built_in(self, name: str) -> bytes:
        """Return a built-in voice, serialised. Raises UnknownVoice."""
        return await self._call(lambda number: messages.BuiltIn(call=number, name=name))

    async def restore(self, voice: bytes) -> RemoteVoice:
        """Load a voice into the engine process; it is released there when the returned object is garbage-collected."""
        remote = RemoteVoice(next(self._numbers), voice)
        await self._call(
            lambda number: messages.Restore(call=number, voice=remote.number, content=voice)
        )
        self._voices[remote.number] = remote
        weakref.finalize(remote, self.send, messages.Release(voice=remote.number)).atexit = False
        return remote

    def speak(self, utterance: Utterance, voice: RemoteVoice, *, urgent: bool) -> InFlightSentence:
        """Begin a sentence; urgent ones are stepped first."""
        number = next(self._numbers)
        command = messages.Speak(
            sentence=number, utterance=utterance, voice=voice.number, urgent=urgent
        )
        sentence = InFlightSentence(self, command, voice)
        self._sentences[number] = sentence
        self.send(command)
        return sentence

    async def close(self) -> None:
        """End the process after the current step; kill it if it hangs or is still loading."""
        self._closing = True
        self.send(messages.Close())
        if self._process is not None:
            await self._end(self._process)
        if self._supervision is not None:
            with suppress(PipelineError):
                await self._supervision
        self._fail_all(EngineClosed("the worker is stopping"))
        self._crash_file.close()

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        if self._loaded:
            grace_s = min(self.step_timeout_s, _CLOSE_GRACE_S)
            reason = "it did not end when the worker stopped"
            await exit_status(process, grace_s, lambda: self.kill(reason))
        else:
            await exit_status(process, 0.0, process.kill)

        if self._writer is not None:
            self._writer.close()

    def send(self, message: messages.EngineMessage) -> None:
        """Send a message to the engine process; between two processes drop it, as `_resubmit` sends the full state."""
        if self._serving and self._writer is not None and not self._writer.is_closing():
            self._writer.write(messages.frame(message))

    def kill(self, reason: str) -> None:
        """Kill a process that hangs; the supervisor starts another one."""
        if self._process is not None and self._process.returncode is None:
            log.error("engine_killed", reason=reason)
            self._hung = True
            self._process.kill()

    def on_step_timeout(self) -> None:
        """Kill the process, unless it started less than a step timeout ago and replaced the one that hung."""
        if time.monotonic() - self._started_s >= self.step_timeout_s:
            self.kill(f"it produced no audio for {self.step_timeout_s:.0f} s")

    def forget(self, sentence: InFlightSentence) -> None:
        """Drop a sentence that has ended or whose consumer has stopped reading."""
        self._sentences.pop(sentence.command.sentence, None)

    async def _call(self, message: Callable[[int], messages.EngineCall]) -> bytes:
        number = next(self._numbers)
        call = PendingCall(message(number), asyncio.get_running_loop().create_future())
        self._calls[number] = call
        self.send(call.message)
        try:
            return await call.result
        finally:
            self._calls.pop(number, None)

    async def _start(self) -> asyncio.StreamReader:
        """Start a process and have it build its engine; start another one if it is killed meanwhile.

        Raises PipelineError if the engine cannot be built.
        """
        for tries_left in reversed(range(_MAX_IDLE_CRASHES)):
            try:
                return await self._begin()
            except EOFError:
                status = await self._reap()
                log.error(
                    "engine_crashed",
                    status=status,
                    in_work=0,
                    in_flight=len(self._sentences),
                )
                if self._closing or not was_killed(status) or not tries_left:
                    break
        raise EngineStuck("the engine process ended before it was ready; see its log lines above")

    async def _begin(self) -> asyncio.StreamReader:
        """Start a process and have it build its engine. Raises PipelineError, and EOFError if the process ends."""
        near, far = socket.socketpair()
        self._crash_record.clear()
        self._hung = False
        self._started_s = time.monotonic()
        with far:
            self._process = await launch(far.fileno(), self._crash_file.fileno())

        reader, self._writer = await asyncio.open_connection(sock=near)
        self._writer.write(messages.frame(Begin(call=0, settings=self._settings)))
        try:
            while not isinstance(message := await self._receive(reader), CallSucceeded):
                self._handle(message)
        except PipelineError:
            await self._reap()
            raise

        self._serving = True
        return reader

    async def _receive(self, reader: asyncio.StreamReader) -> FromEngine:
        return await messages.read(reader, FromEngine)  # type: ignore[arg-type]  # a union is a type to msgspec

    async def _supervise(self, reader: asyncio.StreamReader) -> None:
        """Handle the messages of the process and of those that replace it."""
        try:
            while True:
                with suppress(EOFError):
                    while True:
                        self._handle(await self._receive(reader))
                status = await self._reap()
                if self._closing:
                    return
                reader = await self._recover(status)
        except PipelineError as failure:
            self._fail_all(failure)
            self.stuck.set()

    def _handle(self, message: FromEngine) -> None:
        if isinstance(message, Described):
            self._description = message.description
        elif isinstance(message, CallFailed) and message.call == 0:
            raise messages.error_of(message.failure)  # it cannot do what an earlier process could
        elif isinstance(message, CallSucceeded | CallFailed):
            self._settle(message)
        elif message.sentence in self._sentences:
            sentence = self._sentences[message.sentence]
            if isinstance(message, Produced):
                sentence.add(np.frombuffer(message.samples, np.float32))
            else:
                if message.failure is None:
                    self._idle_crashes = 0
                    self._broken = 0
                sentence.end(message)

    def _settle(self, message: CallSucceeded | CallFailed) -> None:
        call = self._calls.get(message.call)
        if call is None or call.result.done():
            return  # the caller was cancelled
        if isinstance(message, CallSucceeded):
            call.result.set_result(message.content)
        else:
            call.result.set_exception(messages.error_of(message.failure))

    async def _reap(self) -> int:
        """Wait for the end of a process that has closed its socket or failed to begin; return its exit status."""
        process = self._process
        assert process is not None  # noqa: S101  # it was started
        self._serving = False
        if self._writer is not None:
            self._writer.close()

        reason = "it closed its socket but did not end"
        return await exit_status(process, _REAP_GRACE_S, lambda: self.kill(reason))

    async def _recover(self, status: int) -> asyncio.StreamReader:
        """Look for the crash culprit, start another process and resubmit what was in flight.

        `status`: the exit status of the crashed process. Raises PipelineError.
        """
        killed = was_killed(status)
        if not self._loaded and not killed:
            raise EngineStuck("the engine crashed while it was loading; see its log lines above")

        self.crashes += 1
        in_step = self._crash_record.read()
        log.error(
            "engine_crashed",
            status=status,
            in_work=len(in_step),
            in_flight=len(self._sentences),
            crashes=self.crashes,
        )
        self._idle_crashes = 0 if in_step else self._idle_crashes + 1
        if self._idle_crashes >= _MAX_IDLE_CRASHES:
            raise EngineStuck(f"the engine crashed {self._idle_crashes} times in a row while idle")
        broken = status == BROKEN_STATUS
        self._broken = self._broken + 1 if broken else 0
        if self._broken >= _MAX_BROKEN:
            raise EngineStuck(
                f"the engine failed {self._broken} times in a row; check the device, see the log lines above"
            )

        conclusive = self._hung or not (killed or broken)
        quarantine(in_step, self._calls, self._sentences, conclusive=conclusive)
        reader = await self._start()
        if self._closing:
            self.send(messages.Close())
        else:
            self._resubmit()
        return reader

    def _resubmit(self) -> None:
        """Send a new process the full state of the previous one."""
        if self._loaded:  # otherwise `load` is one of the pending calls
            self.send(messages.Load(call=0))

        for voice in self._voices.values():
            self.send(messages.Restore(call=0, voice=voice.number, content=voice.content))

        for call in list(self._calls.values()):
            if not call.result.done():
                self.send(call.message)

        for sentence in list(self._sentences.values()):
            if sentence.cancelled:
                sentence.fail(SpeechCancelled("the request was cancelled"))
                self.forget(sentence)
            elif sentence.delivered_samples and not self._is_reproducible():
                sentence.fail(AttemptLost("the engine process ended within the sentence"))
                self.forget(sentence)
            else:
                sentence.restart()
                self.send(sentence.command)

    def _is_reproducible(self) -> bool:
        return self._description.reproducible

    def _fail_all(self, failure: PipelineError) -> None:
        for call in self._calls.values():
            if not call.result.done():
                call.result.set_exception(failure)
        for sentence in self._sentences.values():
            sentence.fail(failure)
