"""The pull loop, and the only acknowledgement policy.

A handler returns when its message is done, and raises when it is not. What it raised decides: a retryable failure is
redelivered after a pause, any other ends the message, and so does the last attempt. Before it ends, the failure is
published to the requester.
"""

import asyncio
import contextlib
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Protocol

import structlog

from services.common.bus.ports import Bus, Delivery
from services.common.bus.topology import Consumer
from services.common.runtime.tracing import carried, fail, span
from services.common.wire import codec, subjects
from services.common.wire.failures import BusUnavailable, PipelineError, SynthesisFailed
from services.common.wire.messages import DeadLetter

log = structlog.get_logger()

_PULL_S: Final = 1.0  # a stop is noticed within this
_RETRY_DELAYS_S: Final = (0.1, 0.5, 2.0, 5.0)


class Work(Protocol):
    """The handler of one queue's messages."""

    async def handle(self, delivery: Delivery) -> None:
        """Do it; on return the message is acknowledged."""

    async def give_up(self, delivery: Delivery, failure: PipelineError) -> None:
        """Publish that this message has failed for good."""


@dataclass(frozen=True)
class WorkLoop:
    """Pulls messages of one consumer while a slot is free, and handles each in a task that it owns."""

    bus: Bus
    consumer: Consumer
    work: Work
    seats: int
    # slots shared by several loops; each task takes one of these as well
    shared: asyncio.Semaphore | None = None
    finish_s: float = 10.0  # what was begun before a stop gets so long to end

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, finish what was begun, nak the rest, and return.

        What takes longer than `finish_s` then is cancelled, and delivered again where it is not acknowledged.
        """
        puller = await self.bus.pull(self.consumer)
        free = asyncio.Semaphore(self.seats)
        working = set[asyncio.Task[None]]()
        async with asyncio.TaskGroup() as tasks:
            late = tasks.create_task(
                self._cancel_late(stop, working), name=f"{self.consumer.name}:late"
            )
            while not stop.is_set():
                await self._sit(free)  # ends: every task below has an end
                delivery = None if stop.is_set() else await puller.next(_PULL_S)
                if delivery is None:
                    self._rise(free)
                    continue
                task = tasks.create_task(
                    self._work(delivery), name=f"{self.consumer.name}:{delivery.attempt}"
                )
                working.add(task)
                task.add_done_callback(lambda _task: self._rise(free))
                task.add_done_callback(working.discard)
            if working:
                await asyncio.wait(working)
            late.cancel()
        await puller.close()

    async def _cancel_late(self, stop: asyncio.Event, working: set[asyncio.Task[None]]) -> None:
        """Cancel what has not ended in time after a stop; the caller cancels this where all has."""
        await stop.wait()
        await asyncio.sleep(self.finish_s)
        if working:
            log.warning("handed_back", consumer=self.consumer.name, messages=len(working))
        while True:
            for task in working:
                if not task.cancelling():
                    task.cancel()
            await asyncio.sleep(_PULL_S)  # a last pull may have brought another one

    async def _sit(self, free: asyncio.Semaphore) -> None:
        await free.acquire()
        if self.shared is not None:
            await self.shared.acquire()

    def _rise(self, free: asyncio.Semaphore) -> None:
        free.release()
        if self.shared is not None:
            self.shared.release()

    async def _work(self, delivery: Delivery) -> None:
        heartbeat = asyncio.create_task(self._stay_alive(delivery), name="heartbeat")
        try:
            with span(
                self.consumer.name,
                delivery.headers,
                attempt=delivery.attempt,
                queue_s=delivery.age_s,
            ):
                failure = await self._attempt(delivery)
                if failure is not None:
                    fail(failure.code)
                await self._settle(delivery, failure)
        except BusUnavailable as error:
            # Not acknowledged, so the server delivers it again; the handler's own work is idempotent.
            log.warning("settling_failed", consumer=self.consumer.name, detail=str(error))
        finally:
            heartbeat.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await heartbeat

    async def _attempt(self, delivery: Delivery) -> PipelineError | None:
        if delivery.attempt >= self.consumer.max_deliver:
            return SynthesisFailed(
                f"given up after {delivery.attempt - 1} attempts; the workers' logs say why"
            )
        try:
            await self.work.handle(delivery)
        except PipelineError as failure:
            return failure
        except Exception:  # a bug must cost one message, not the process and all that it holds
            log.exception("handler_failed", consumer=self.consumer.name, attempt=delivery.attempt)
            return _Bug()
        return None

    async def _settle(self, delivery: Delivery, failure: PipelineError | None) -> None:
        if failure is None:
            await delivery.ack()
        elif failure.retryable and delivery.attempt < self.consumer.max_deliver - 1:
            delay_s = _RETRY_DELAYS_S[min(delivery.attempt, len(_RETRY_DELAYS_S)) - 1]
            log.warning(
                "retrying", consumer=self.consumer.name, code=failure.code, attempt=delivery.attempt
            )
            await delivery.retry(delay_s)
        else:
            log.warning(
                "given_up", consumer=self.consumer.name, code=failure.code, attempt=delivery.attempt
            )
            await self.work.give_up(delivery, failure)
            if failure.retryable or failure.kept or delivery.attempt >= self.consumer.max_deliver:
                await self._bury(delivery, failure)
            await delivery.reject()

    async def _bury(self, delivery: Delivery, failure: PipelineError) -> None:
        """Keep what failed every time, with its reason, for an operator to look at and replay."""
        letter = DeadLetter(
            subject=delivery.subject,
            payload=delivery.payload,
            code=failure.code,
            detail=str(failure),
            attempts=delivery.attempt,
            trace=carried().get("traceparent", ""),
        )
        payload = codec.encode(letter)
        await self.bus.publish(
            subjects.dead(delivery.subject), payload, message_id=sha256(payload).hexdigest()
        )

    async def _stay_alive(self, delivery: Delivery) -> None:
        while True:
            await asyncio.sleep(self.consumer.ack_wait_s / 3)
            try:
                await delivery.extend()
            except BusUnavailable:
                continue  # it reconnects; at worst the message is delivered twice


class _Bug(SynthesisFailed):
    """An unexpected exception; the next attempt may succeed."""

    retryable = True

    def __init__(self) -> None:
        super().__init__("an internal error; the workers' logs say which")
