"""Requests over core NATS, each answered once: all edges share them, and no tenant takes the others' turns."""

import asyncio
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Protocol

import structlog

from services.common.bus.ports import Bus, Received
from services.common.runtime.tracing import fail, span
from services.common.wire.addressing import tenant_of
from services.common.wire.failures import BusUnavailable, MalformedMessage, PipelineError, QueueFull, TenantQueueFull
from services.http_edge.metrics import Metrics

log = structlog.get_logger()

_GROUP: Final = "edges"  # of which each request reaches one
_WAITING: Final = 1024  # messages that this process has heard and not begun
_WAITING_BYTES: Final = 64 * 1024 * 1024
_TELL_S: Final = 10.0
_SUBJECTS: Final = 1024  # whose last line is remembered
_LOOK_S: Final = 0.5  # how often to see whether to stop


class Answering(Protocol):
    """What is done with one kind of request."""

    async def answer(self, tenant: str, heard: Received) -> bytes:
        """Do it and return the reply. Raises PipelineError."""

    def refuse(self, failure: PipelineError) -> bytes:
        """Return the reply that says why not."""


class _Refusals:
    """Logs the first refusal on a subject, and then a line every while: a flood must not fill the disk."""

    def __init__(self) -> None:
        self._told_s: dict[str, float] = {}
        self._untold: Counter[str] = Counter()

    def tell(self, subject: str, code: str) -> None:
        """Log a refusal, or count it for the next line."""
        now_s = time.monotonic()
        if now_s - self._told_s.get(subject, -_TELL_S) < _TELL_S:
            self._untold[subject] += 1
            return
        if len(self._told_s) >= _SUBJECTS:
            self._told_s.clear()
        self._told_s[subject] = now_s
        log.warning("door_refused", subject=subject, code=code, more=self._untold.pop(subject, 0))


@dataclass(frozen=True)
class Responder:
    """Serves the requests on one subject, whose last token is the tenant."""

    bus: Bus
    metrics: Metrics
    subject: str
    work: Answering
    at_once: int  # of one tenant at this edge
    in_all: int
    _running: Counter[str] = field(default_factory=Counter)
    _refusals: _Refusals = field(default_factory=_Refusals)

    async def serve(self, stop: asyncio.Event) -> None:
        """Answer until `stop` is set; what was begun is finished."""
        listener = await self.bus.subscribe(self.subject, limit=_WAITING, group=_GROUP, limit_bytes=_WAITING_BYTES)
        try:
            async with asyncio.TaskGroup() as tasks:
                while not stop.is_set():
                    heard = await listener.next(_LOOK_S)
                    if heard is not None:
                        await self._begin(tasks, heard)
        finally:
            await listener.close()

    async def _begin(self, tasks: asyncio.TaskGroup, heard: Received) -> None:
        tenant = tenant_of(heard.subject)
        if tenant is None:
            await self._refuse(heard, MalformedMessage("the subject does not end with the name of a tenant"))
        elif self._running[tenant] >= self.at_once:
            await self._refuse(heard, TenantQueueFull("too many of your requests came at once; wait for some answers"))
        elif self._running.total() >= self.in_all:
            await self._refuse(heard, QueueFull("too many requests came at once; retry later"))
        else:
            self._running[tenant] += 1
            tasks.create_task(self._answer(tenant, heard), name=f"door:{tenant}")

    async def _answer(self, tenant: str, heard: Received) -> None:
        try:
            with span(f"door {self.subject}", heard.headers, tenant=tenant):
                await self._reply(heard, await self.work.answer(tenant, heard))
        except PipelineError as failure:
            await self._refuse(heard, failure)
        except Exception:  # a bug must cost one answer, not the process and all that it holds
            log.exception("door_failed", subject=self.subject)
            await self._refuse(heard, PipelineError("an internal error; the edge's log says which"))
        finally:
            self._running[tenant] -= 1
            if not self._running[tenant]:
                del self._running[tenant]

    async def _refuse(self, heard: Received, failure: PipelineError) -> None:
        self.metrics.failures.labels(failure.code).inc()
        fail(failure.code)
        self._refusals.tell(heard.subject, failure.code)
        await self._reply(heard, self.work.refuse(failure))

    async def _reply(self, heard: Received, payload: bytes) -> None:
        if heard.reply:
            with suppress(BusUnavailable):  # the sender gives up after a while, and asks again
                await self.bus.send(heard.reply, payload)
