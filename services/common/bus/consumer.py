"""The pull loop, and the only acknowledgement policy.

A message is acked when its handler returns. If the handler raises a retryable failure, the message is
nak'ed and redelivered after a delay, unless only the requester can retry it (`redelivered`). Any other
failure, or one at the last attempt, is published to the requester, and the message is terminated.
"""

import asyncio
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Protocol

import structlog

from services.common.bus.listening import next_before
from services.common.bus.ports import Bus, Delivery
from services.common.bus.topology import Consumer
from services.common.runtime.lifecycle import cancel_until_done
from services.common.runtime.tracing import carried, fail, span
from services.common.wire import codec, subjects
from services.common.wire.failures import BusUnavailable, PipelineError, SynthesisFailed
from services.common.wire.messages import DeadLetter

log = structlog.get_logger()

# until a message is pulled again, and handlers that are late are cancelled again
_PULL_S: Final = 0.5
_RETRY_DELAYS_S: Final = (0.1, 0.5, 2.0, 5.0)


class Work(Protocol):
    """The handler of one queue's messages."""

    async def handle(self, delivery: Delivery) -> None:
        """Process the message, which is acked on return."""

    async def give_up(self, delivery: Delivery, failure: PipelineError) -> None:
        """Publish the failure of a message that will not be redelivered."""


@dataclass(frozen=True)
class WorkLoop:
    """Pulls messages of one consumer while a slot is free, and handles each in a task."""

    bus: Bus
    consumer: Consumer
    work: Work
    slots: int  # messages handled concurrently
    # slots shared by several loops, acquired in addition
    shared: asyncio.Semaphore | None = None
    finish_s: float = 10.0  # grace period of messages in flight at a stop

    async def run(self, stop: asyncio.Event) -> None:
        """Handle messages until `stop` is set, finish those in flight, nak the rest, and return.

        A handler that needs longer than `finish_s` after the stop is cancelled; its message is
        redelivered unless it was acked.
        """
        puller = await self.bus.pull(self.consumer)
        free = asyncio.Semaphore(self.slots)
        working = set[asyncio.Task[None]]()
        async with asyncio.TaskGroup() as tasks:
            late = tasks.create_task(
                self._cancel_late(stop, working), name=f"{self.consumer.name}:late"
            )
            try:
                while not stop.is_set():
                    await self._acquire_slot(free)  # cannot wait for ever: every task below ends
                    delivery = None if stop.is_set() else await next_before(stop, puller, _PULL_S)
                    if delivery is None:
                        self._release_slot(free)
                        continue
                    task = tasks.create_task(
                        self._work(delivery), name=f"{self.consumer.name}:{delivery.attempt}"
                    )
                    working.add(task)
                    task.add_done_callback(lambda _task: self._release_slot(free))
                    task.add_done_callback(working.discard)
            finally:
                await puller.close()

            if working:
                await asyncio.wait(working)
            late.cancel()

    async def _cancel_late(self, stop: asyncio.Event, working: set[asyncio.Task[None]]) -> None:
        """Cancel handlers that outlive the grace period; cancelled by the caller if none does."""
        await stop.wait()
        await asyncio.sleep(self.finish_s)
        if working:
            log.warning("messages_returned", consumer=self.consumer.name, messages=len(working))
        while True:
            for task in working:
                if not task.cancelling():
                    task.cancel()
            await asyncio.sleep(_PULL_S)  # the last pull may have returned another message

    async def _acquire_slot(self, free: asyncio.Semaphore) -> None:
        await free.acquire()
        if self.shared is not None:
            await self.shared.acquire()

    def _release_slot(self, free: asyncio.Semaphore) -> None:
        free.release()
        if self.shared is not None:
            self.shared.release()

    async def _work(self, delivery: Delivery) -> None:
        heartbeat = asyncio.create_task(self._extend_while_running(delivery), name="heartbeat")
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
            # Not acked, so the server redelivers it; handlers are idempotent.
            log.warning("ack_failed", consumer=self.consumer.name, detail=str(error))
        finally:
            await cancel_until_done(heartbeat)
            if not heartbeat.cancelled():
                heartbeat.result()

    async def _attempt(self, delivery: Delivery) -> PipelineError | None:
        if delivery.attempt >= self.consumer.max_deliver:
            return SynthesisFailed(
                f"given up after {delivery.attempt - 1} attempts; see the workers' logs"
            )
        try:
            await self.work.handle(delivery)
        except PipelineError as failure:
            return failure
        except Exception:  # a bug costs one message, not the whole process
            log.exception("handler_failed", consumer=self.consumer.name, attempt=delivery.attempt)
            return _InternalError()
        return None

    async def _settle(self, delivery: Delivery, failure: PipelineError | None) -> None:
        if failure is None:
            await delivery.ack()
        elif (
            failure.retryable
            and failure.redelivered
            and delivery.attempt < self.consumer.max_deliver - 1
        ):
            delay_s = _RETRY_DELAYS_S[min(delivery.attempt, len(_RETRY_DELAYS_S)) - 1]
            log.warning(
                "retrying", consumer=self.consumer.name, code=failure.code, attempt=delivery.attempt
            )
            await delivery.nak(delay_s)
        else:
            log.warning(
                "given_up", consumer=self.consumer.name, code=failure.code, attempt=delivery.attempt
            )
            await self.work.give_up(delivery, failure)
            retried = failure.retryable and failure.redelivered
            if retried or failure.kept or delivery.attempt >= self.consumer.max_deliver:
                await self._store_dead_letter(delivery, failure)
            await delivery.term()

    async def _store_dead_letter(self, delivery: Delivery, failure: PipelineError) -> None:
        """Store a message that failed at every attempt, for an operator to inspect and replay."""
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

    async def _extend_while_running(self, delivery: Delivery) -> None:
        """Extend the acknowledgement wait three times within each period, until cancelled."""
        while True:
            await asyncio.sleep(self.consumer.ack_wait_s / 3)
            try:
                await delivery.extend()
            except BusUnavailable:
                continue  # the client reconnects; at worst the message is redelivered


class _InternalError(SynthesisFailed):
    """An unexpected exception; the next attempt may succeed."""

    retryable = True

    def __init__(self) -> None:
        super().__init__("internal error; see the workers' logs")
