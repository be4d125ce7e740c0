"""Answers requests over core NATS.

A queue group shares them among the edges, with a limit per tenant.
"""

import asyncio
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Protocol

import structlog

from services.common.bus.listening import next_before
from services.common.bus.ports import Bus, Received
from services.common.runtime.tracing import fail, span
from services.common.wire.addressing import tenant_of
from services.common.wire.failures import (
    BusUnavailable,
    MalformedMessage,
    PipelineError,
    QueueFull,
    TenantQueueFull,
)
from services.http_edge.metrics import Metrics

log = structlog.get_logger()

_GROUP: Final = "edges"  # queue group: each request reaches one edge
_WAITING: Final = 1024  # messages that were received and not started
_WAITING_BYTES: Final = 64 * 1024 * 1024
_LOG_S: Final = 10.0  # between two log lines about one subject
_SUBJECTS: Final = 1024  # whose last log line is remembered


class RequestHandler(Protocol):
    """Handles one kind of request."""

    async def answer(self, tenant: str, message: Received) -> bytes:
        """Handle a request and return the reply. Raises PipelineError."""

    def refuse(self, failure: PipelineError) -> bytes:
        """Return the reply with the reason of a failure."""


class _Refusals:
    """Logs the first refusal on a subject, and then one line per interval.

    A flood must not fill the disk.
    """

    def __init__(self) -> None:
        self._logged_s: dict[str, float] = {}
        self._skipped: Counter[str] = Counter()

    def log(self, subject: str, code: str) -> None:
        """Log a refusal, or count it for the next line."""
        now_s = time.monotonic()
        if now_s - self._logged_s.get(subject, -_LOG_S) < _LOG_S:
            self._skipped[subject] += 1
            return
        if len(self._logged_s) >= _SUBJECTS:
            self._logged_s.clear()
        self._logged_s[subject] = now_s
        log.warning(
            "ingress_refused", subject=subject, code=code, more=self._skipped.pop(subject, 0)
        )


@dataclass(frozen=True)
class Responder:
    """Serves the requests on one subject, whose last token is the tenant."""

    bus: Bus
    metrics: Metrics
    subject: str
    handler: RequestHandler
    limit_per_tenant: int  # concurrent requests at this edge
    limit: int  # of all tenants
    _running: Counter[str] = field(default_factory=Counter)
    _refusals: _Refusals = field(default_factory=_Refusals)

    async def serve(self, stop: asyncio.Event) -> None:
        """Answer until `stop` is set; requests in progress are finished."""
        listener = await self.bus.subscribe(
            self.subject, limit=_WAITING, group=_GROUP, limit_bytes=_WAITING_BYTES
        )
        try:
            async with asyncio.TaskGroup() as tasks:
                while not stop.is_set():
                    message = await next_before(stop, listener)
                    if message is not None:
                        await self._begin(tasks, message)
        finally:
            await listener.close()

    async def _begin(self, tasks: asyncio.TaskGroup, message: Received) -> None:
        tenant = tenant_of(message.subject)
        if tenant is None:
            await self._refuse(
                message, MalformedMessage("the subject must end with the name of a tenant")
            )
        elif self._running[tenant] >= self.limit_per_tenant:
            await self._refuse(
                message,
                TenantQueueFull(
                    "too many concurrent requests of this tenant; retry after some replies"
                ),
            )
        elif self._running.total() >= self.limit:
            await self._refuse(message, QueueFull("too many concurrent requests; retry later"))
        else:
            self._running[tenant] += 1
            tasks.create_task(self._answer(tenant, message), name=f"ingress:{tenant}")

    async def _answer(self, tenant: str, message: Received) -> None:
        try:
            with span(f"ingress {self.subject}", message.headers, tenant=tenant):
                await self._reply(message, await self.handler.answer(tenant, message))
        except PipelineError as failure:
            await self._refuse(message, failure)
        except Exception:  # a bug must cost one reply, not the process with everything in flight
            log.exception("ingress_failed", subject=self.subject)
            await self._refuse(message, PipelineError("internal error; see the log of the edge"))
        finally:
            self._running[tenant] -= 1
            if not self._running[tenant]:
                del self._running[tenant]

    async def _refuse(self, message: Received, failure: PipelineError) -> None:
        self.metrics.failures.labels(failure.code).inc()
        fail(failure.code)
        self._refusals.log(message.subject, failure.code)
        await self._reply(message, self.handler.refuse(failure))

    async def _reply(self, message: Received, payload: bytes) -> None:
        if message.reply:
            with suppress(BusUnavailable):  # the sender times out and retries
                await self.bus.send(message.reply, payload)
