"""The model thread: the engine lives on it, and the event loop never waits for a step.

Sentences of many requests are in flight at once. Before every step those that were cancelled are dropped and the
newcomers join; then the engine advances as many as it can batch, the express lane first.
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
from services.common.wire.messages import AS_USUAL, Parameters
from services.synth_worker.engines.protocol import Engine, EngineDescription, Step, Utterance
from services.synth_worker.ports import EngineClosed, EngineStuck

log = structlog.get_logger()

T = TypeVar("T")
_IDLE_S: Final = 1.0  # how often a model thread without work looks whether to stop


@dataclass(eq=False)
class SentenceTask:
    """One sentence in flight. Made by `EngineThread.speak`; `pieces` yields its samples as they are made."""

    urgent: bool
    loop: asyncio.AbstractEventLoop
    step_timeout_s: float
    begin: Callable[[], Any]  # opens the engine's sequence, on the model thread
    stuck: asyncio.Event  # set when a step did not end in time
    made: asyncio.Queue[Step | Exception] = field(default_factory=asyncio.Queue)  # bounded by the longest sentence
    cancelled: threading.Event = field(default_factory=threading.Event)
    alone: bool = False  # shares no step
    busy_s: float = 0.0  # spent in steps that advanced this sentence
    orphaned_s: float = 0.0  # of these, in steps that ended after it was cancelled
    redrawn: int = 0  # times that the engine made a part of it again

    def cancel(self) -> None:
        """Stop before the next step; `pieces` then raises SpeechCancelled."""
        self.cancelled.set()

    async def pieces(self) -> AsyncIterator[Samples]:
        """Yield the samples (float32 [n], mono), in order. Raises what the engine raised, or SpeechCancelled."""
        try:
            while True:
                try:
                    made = await asyncio.wait_for(self.made.get(), self.step_timeout_s)
                except TimeoutError:
                    self.stuck.set()
                    raise EngineStuck(f"the model made nothing within {self.step_timeout_s:.0f} s") from None
                if isinstance(made, Exception):
                    raise made
                if len(made.samples):
                    yield made.samples
                if made.done:
                    return
        finally:
            self.cancel()

    def tell(self, made: Step | Exception) -> None:
        """Hand something to the event loop; called on the model thread."""
        with suppress(RuntimeError):  # a step outlived the loop: nobody listens any more
            self.loop.call_soon_threadsafe(self.made.put_nowait, made)


class EngineThread:
    """An engine on a thread of its own."""

    def __init__(self, engine: Engine[Any, Any], *, step_timeout_s: float = 120.0) -> None:
        self.crashes = 0  # one that dies takes this process along
        self.stuck = asyncio.Event()  # the thread hangs in a step, and only a new process helps
        self._engine = engine
        self._max_batch = engine.describe().max_batch
        self._step_timeout_s = step_timeout_s
        self._jobs: queue.Queue[Callable[[], None] | SentenceTask] = queue.Queue()
        self._stop = threading.Event()
        self._in_flight: list[tuple[SentenceTask, Any]] = []  # and the engine's sequence
        self._alone_next = False
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        self._thread.start()

    def describe(self) -> EngineDescription:
        """Return what the engine says of itself, which is more once it is loaded."""
        return self._engine.describe()

    async def load(self) -> None:
        """Make the model resident. Raises PipelineError."""
        await self.call(self._engine.load)

    async def condition(self, clips: Sequence[Clip], parameters: Parameters = AS_USUAL) -> bytes:
        """Compute a serialised voice, between two steps. Raises UnusableReference."""
        return await self.call(lambda: self._engine.condition(clips, parameters))

    async def restore(self, voice: bytes) -> Any:  # the engine's own type, passed back to it unseen
        """Turn a serialised voice into the engine's own."""
        return await self.call(lambda: self._engine.restore(voice))

    def speak(self, utterance: Utterance, voice: Any, *, urgent: bool, alone: bool = False) -> SentenceTask:
        """Begin a sentence; urgent ones are stepped first, and one that is to be alone shares no step."""
        speech = SentenceTask(
            urgent=urgent,
            alone=alone,
            loop=asyncio.get_running_loop(),
            step_timeout_s=self._step_timeout_s,
            begin=lambda: self._engine.open(utterance, voice),
            stuck=self.stuck,
        )
        self._jobs.put(speech)
        return speech

    async def close(self) -> None:
        """End the thread, after the step that runs, and free the model; a thread that hangs ends with the process."""
        self._stop.set()
        self._jobs.put(lambda: None)
        await asyncio.to_thread(self._thread.join, 0.0 if self.stuck.is_set() else self._step_timeout_s)

    async def call(self, act: Callable[[], T]) -> T:
        """Run `act` on the model thread, between two steps; return or raise what it does."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def settle(outcome: T | Exception) -> None:
            if answer.done():
                return  # whoever asked has gone
            if isinstance(outcome, Exception):
                answer.set_exception(outcome)
            else:
                answer.set_result(outcome)

        def run() -> None:
            try:
                outcome: T | Exception = act()
            except Exception as error:  # noqa: BLE001  # carried to whoever asked
                outcome = error
            loop.call_soon_threadsafe(settle, outcome)

        self._jobs.put(run)
        return await answer

    def _run(self) -> None:
        """The thread's life."""
        while not self._stop.is_set():
            self._take_jobs()
            self._drop_cancelled()
            if self._in_flight:
                self._step()
        for speech, _ in self._in_flight:
            speech.tell(EngineClosed("the worker stops"))
        self._engine.close()

    def _take_jobs(self) -> None:
        """Let newcomers in; with nothing in flight, wait for one."""
        try:
            job = self._jobs.get(timeout=_IDLE_S) if not self._in_flight else self._jobs.get_nowait()
            while True:
                if isinstance(job, SentenceTask):
                    self._open(job)
                else:
                    job()
                job = self._jobs.get_nowait()
        except queue.Empty:
            return

    def _open(self, speech: SentenceTask) -> None:
        if speech.cancelled.is_set():
            speech.tell(SpeechCancelled("the request was cancelled"))
            return
        try:
            self._in_flight.append((speech, speech.begin()))
        except Exception as error:  # noqa: BLE001  # carried to whoever waits for the sentence
            speech.tell(error)

    def _drop_cancelled(self) -> None:
        kept = []
        for speech, sequence in self._in_flight:
            if speech.cancelled.is_set():
                self._engine.discard(sequence)
                speech.tell(SpeechCancelled("the request was cancelled"))
            else:
                kept.append((speech, sequence))
        self._in_flight = kept

    def _step(self) -> None:
        """Advance one batch."""
        batch = self._next_batch()
        began_s = time.monotonic()
        try:
            steps = self._engine.step([sequence for _, sequence in batch])
        except Exception as error:  # carried to everybody in the batch; each is delivered again
            if not isinstance(error, PipelineError):
                log.exception("step_failed", batch=len(batch))
            self._fail(batch, error)
            return
        took_s = (time.monotonic() - began_s) / len(batch)
        for (speech, _), step in zip(batch, steps, strict=True):
            speech.busy_s += took_s
            speech.orphaned_s += took_s if speech.cancelled.is_set() else 0.0
            speech.redrawn += step.redrawn
            if step.failure is not None or step.done or len(step.samples):
                speech.tell(step.failure or step)
        finished = {id(entry[0]) for entry, step in zip(batch, steps, strict=True) if step.done}
        self._in_flight = [entry for entry in self._in_flight if id(entry[0]) not in finished]

    def _next_batch(self) -> list[tuple[SentenceTask, Any]]:
        """Return urgent sentences first, then the ones that came first; at every other step one that is alone."""
        alone = [entry for entry in self._in_flight if entry[0].alone]
        together = [entry for entry in self._in_flight if not entry[0].alone]
        self._alone_next = bool(alone) and (not together or not self._alone_next)
        if self._alone_next:
            return alone[:1]
        return sorted(together, key=lambda entry: not entry[0].urgent)[: self._max_batch]  # stable

    def _fail(self, batch: list[tuple[SentenceTask, Any]], error: Exception) -> None:
        failed = {id(speech) for speech, _ in batch}
        for speech, sequence in batch:
            self._engine.discard(sequence)
            speech.tell(error)
        self._in_flight = [entry for entry in self._in_flight if id(entry[0]) not in failed]
