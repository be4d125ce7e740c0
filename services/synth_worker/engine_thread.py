"""Runs an engine on its own thread, so that the event loop never waits for a step.

How it works
------------
The engine is not thread-safe, so every call to it is made on one thread, the engine thread. Coroutines communicate with
it in two ways:

- Commands go through a queue: either a function to call between two steps (`load`, `condition`, `restore`), or a new
  sentence (`SentenceTask`).
- Results return through `loop.call_soon_threadsafe`: the steps of a sentence into its own asyncio queue, the result of
  a function into a future.

The thread repeats one cycle: execute the queued commands, which opens new sentences; discard the cancelled sentences;
advance one batch by a step. So a sentence joins or leaves at the next step and never waits for another one to end
(continuous batching), and a cancelled sentence costs at most the step that is running. Without sentences, the thread
blocks on the queue.

A batch has at most `max_batch` sentences, those of the express lane first, then in order of arrival. A quarantined
sentence (`alone`) is stepped without others: every second step is one of those, in which only the oldest advances.

If a step fails, all sentences of its batch fail. If a step hangs, the thread cannot be stopped: the sentence's consumer
times out and sets `stuck`, and the process has to end.
"""

import asyncio
import queue
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import structlog

from services.common.audio.clip import Clip, Samples
from services.common.wire.failures import PipelineError, SpeechCancelled
from services.common.wire.options import AS_USUAL, Parameters
from services.synth_worker.engines.protocol import (
    Engine,
    EngineDescription,
    Step,
    TimedSpan,
    Utterance,
)
from services.synth_worker.ports import EngineClosed, EngineStuck

log = structlog.get_logger()

T = TypeVar("T")
_IDLE_S: Final = 1.0  # how often an idle engine thread checks whether to stop


@dataclass(eq=False)
class SentenceTask:
    """One sentence in flight. Made by `EngineThread.speak`; `stream` yields its samples as they are synthesized."""

    urgent: bool
    loop: asyncio.AbstractEventLoop
    step_timeout_s: float
    begin: Callable[[], Any]  # opens the engine's sequence; called on the engine thread
    stuck: asyncio.Event  # set when a step did not end in time
    # bounded by the longest sentence
    received: asyncio.Queue[Step | Exception] = field(default_factory=asyncio.Queue)
    cancelled: threading.Event = field(default_factory=threading.Event)
    alone: bool = False  # shares no step
    busy_s: float = 0.0  # spent in steps that advanced this sentence
    orphaned_s: float = 0.0  # of these, in steps that ended after it was cancelled
    redrawn: int = 0  # times that the engine synthesized a part of it again
    fault: str = ""  # why it is faulty or ends early; empty: it does not
    times: tuple[TimedSpan, ...] = ()  # complete when `stream` has ended

    def cancel(self) -> None:
        """Stop before the next step; `stream` then raises SpeechCancelled."""
        self.cancelled.set()

    async def stream(self) -> AsyncIterator[Samples]:
        """Yield the samples (float32 [n], mono) in order. Raises the engine's error, or SpeechCancelled."""
        try:
            while True:
                try:
                    async with asyncio.timeout(self.step_timeout_s):
                        item = await self.received.get()
                except TimeoutError:
                    self.stuck.set()
                    raise EngineStuck(
                        f"the engine produced no audio for {self.step_timeout_s:.0f} s"
                    ) from None

                if isinstance(item, Exception):
                    raise item
                if len(item.samples):
                    yield item.samples
                if item.done:
                    return
        finally:
            self.cancel()

    def deliver(self, item: Step | Exception) -> None:
        """Pass a step or an error to the event loop; called on the engine thread."""
        with suppress(RuntimeError):  # the loop was closed during the step
            self.loop.call_soon_threadsafe(self.received.put_nowait, item)


class EngineThread:
    """An engine and the thread that it runs on."""

    def __init__(self, engine: Engine[Any, Any], *, step_timeout_s: float = 120.0) -> None:
        self.crashes = 0  # always 0: a crash ends this process
        self.stuck = asyncio.Event()  # set when a step hangs; only a new process helps
        self._engine = engine
        self._max_batch = engine.describe().max_batch
        self._step_timeout_s = step_timeout_s
        self._commands: queue.Queue[Callable[[], None] | SentenceTask] = queue.Queue()
        self._stop = threading.Event()
        self._in_flight: list[tuple[SentenceTask, Any]] = []  # with the engine's sequences
        self._alone_next = False
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    def describe(self) -> EngineDescription:
        """Return the engine's description, which is complete once it is loaded."""
        return self._engine.describe()

    async def load(self) -> None:
        """Make the model resident. Raises PipelineError."""
        await self.call(self._engine.load)

    async def condition(self, clips: Sequence[Clip], parameters: Parameters = AS_USUAL) -> bytes:
        """Compute a serialised voice, between two steps. Raises UnusableReference."""
        return await self.call(lambda: self._engine.condition(clips, parameters))

    async def built_in(self, name: str) -> bytes:
        """Return a built-in voice, serialised. Raises UnknownVoice."""
        return await self.call(lambda: self._engine.built_in(name))

    async def restore(self, voice: bytes) -> Any:  # the engine's own type, opaque here
        """Turn a serialised voice into what `speak` takes."""
        return await self.call(lambda: self._engine.restore(voice))

    def speak(
        self, utterance: Utterance, voice: Any, *, urgent: bool, alone: bool = False
    ) -> SentenceTask:
        """Begin a sentence; urgent ones are stepped first, and one that is `alone` shares no step."""
        task = SentenceTask(
            urgent=urgent,
            alone=alone,
            loop=asyncio.get_running_loop(),
            step_timeout_s=self._step_timeout_s,
            begin=lambda: self._engine.open(utterance, voice),
            stuck=self.stuck,
        )
        self._commands.put(task)
        return task

    async def close(self) -> None:
        """End the thread after the current step and free the model; a thread that hangs ends with the process."""
        self._stop.set()
        self._commands.put(lambda: None)
        timeout_s = 0.0 if self.stuck.is_set() else self._step_timeout_s
        await asyncio.to_thread(self._thread.join, timeout_s)

    async def call(self, function: Callable[[], T]) -> T:
        """Call `function` on the engine thread, between two steps; return its result or raise its error."""
        loop = asyncio.get_running_loop()
        result: asyncio.Future[T] = loop.create_future()

        def settle(outcome: T | Exception) -> None:
            if result.done():
                return  # the caller was cancelled
            if isinstance(outcome, Exception):
                result.set_exception(outcome)
            else:
                result.set_result(outcome)

        def run() -> None:
            try:
                outcome: T | Exception = function()
            except Exception as error:  # noqa: BLE001  # raised in the caller
                outcome = error
            loop.call_soon_threadsafe(settle, outcome)

        self._commands.put(run)
        return await result

    def _run(self) -> None:
        """Run the engine thread until `close`."""
        while not self._stop.is_set():
            self._drop_cancelled()  # first: the engine may have a slot per sentence
            self._execute_commands()
            if self._in_flight:
                self._step()

        for task, _ in self._in_flight:
            task.deliver(EngineClosed("the worker is stopping"))
        self._engine.close()

    def _execute_commands(self) -> None:
        """Execute all queued commands; with no sentence in flight, wait for one."""
        try:
            command = self._commands.get(block=not self._in_flight, timeout=_IDLE_S)

            while True:
                if isinstance(command, SentenceTask):
                    self._open(command)
                else:
                    command()
                command = self._commands.get_nowait()
        except queue.Empty:
            return

    def _open(self, task: SentenceTask) -> None:
        if task.cancelled.is_set():
            task.deliver(SpeechCancelled("the request was cancelled"))
            return
        try:
            self._in_flight.append((task, task.begin()))
        except Exception as error:  # noqa: BLE001  # raised in the sentence's consumer
            task.deliver(error)

    def _drop_cancelled(self) -> None:
        remaining = []
        for task, sequence in self._in_flight:
            if task.cancelled.is_set():
                self._engine.discard(sequence)
                task.deliver(SpeechCancelled("the request was cancelled"))
            else:
                remaining.append((task, sequence))
        self._in_flight = remaining

    def _step(self) -> None:
        """Advance one batch."""
        batch = self._next_batch()
        began_s = time.monotonic()
        try:
            steps = self._engine.step([sequence for _, sequence in batch])
        except (
            Exception
        ) as error:  # raised in every consumer of the batch; each sentence is redelivered
            if not isinstance(error, PipelineError):
                log.exception("step_failed", batch=len(batch))
            self._fail(batch, error)
            return

        took_s = (time.monotonic() - began_s) / len(batch)
        finished = set()
        for (task, _), step in zip(batch, steps, strict=True):
            task.busy_s += took_s
            task.orphaned_s += took_s if task.cancelled.is_set() else 0.0
            task.redrawn += step.redrawn
            task.fault = task.fault or step.fault
            task.times += step.times
            if step.failure is not None or step.done or len(step.samples):
                task.deliver(step.failure or step)
            if step.done:
                finished.add(id(task))
        self._in_flight = [entry for entry in self._in_flight if id(entry[0]) not in finished]

    def _next_batch(self) -> list[tuple[SentenceTask, Any]]:
        """Return the sentences of the next step: the urgent ones first, then the oldest.

        Every second step is for a sentence that shares no step, if there is one.
        """
        alone = [entry for entry in self._in_flight if entry[0].alone]
        together = [entry for entry in self._in_flight if not entry[0].alone]

        self._alone_next = bool(alone) and (not together or not self._alone_next)
        if self._alone_next:
            return alone[:1]
        return sorted(together, key=lambda entry: not entry[0].urgent)[: self._max_batch]  # stable

    def _fail(self, batch: list[tuple[SentenceTask, Any]], error: Exception) -> None:
        failed = {id(task) for task, _ in batch}
        for task, sequence in batch:
            self._engine.discard(sequence)
            task.deliver(error)
        self._in_flight = [entry for entry in self._in_flight if id(entry[0]) not in failed]
