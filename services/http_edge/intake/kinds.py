"""The two kinds of accepted requests: speech that a client waits for, and jobs.

They differ in where they are stored, how long they can take, and how they count against the queue.
"""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import ClassVar, Protocol

import structlog

from services.common.bus.topology import MEBIBYTE
from services.common.wire import codec
from services.common.wire.failures import QueueFull, TenantRequestsFull
from services.common.wire.messages import SpeechRequest
from services.http_edge.capacity.admission import Admission
from services.http_edge.speech.request_quota import RequestQuota
from services.http_edge.speech.usage.metering import UsageCharges

log = structlog.get_logger()


class KindStore(Protocol):
    """The requests of one kind by tenant and id, and their ids by idempotency key."""

    async def keep(self, request: SpeechRequest) -> bool: ...
    async def known(self, tenant: str, request: str) -> bool: ...
    async def forget(self, tenant: str, request: str) -> None: ...
    async def claimed(self, tenant: str, key: str) -> bool: ...
    async def claim(self, tenant: str, key: str, value: bytes) -> bytes | None: ...
    async def release(self, tenant: str, key: str) -> None: ...


class RequestKind(Protocol):
    """The differences between speech requests and jobs."""

    name: ClassVar[str]  # part of the fingerprint, so it never changes
    waits_for_workers: ClassVar[bool]  # whether it is accepted while no worker is ready

    @property
    def store(self) -> KindStore:
        """Return where requests of this kind are."""

    @property
    def other(self) -> KindStore:
        """Return where requests of the other kind are: an id is unique across both."""

    @property
    def charges(self) -> UsageCharges:
        """Return what is charged to API keys with a quota."""

    @property
    def timeout_s(self) -> float:
        """Return how long a request can take."""

    def check_capacity(self, tenant: str) -> None:
        """Refuse if the queue of the edge's engine is full for any request of this tenant.

        Raises QueueFull, TenantQueueFull.
        """

    def admit(
        self, tenant: str, request_id: str, audio_s: float, engine: str | None
    ) -> AbstractContextManager[None]:
        """Count the estimated audio in the backlog of an engine inside the block.

        `engine`: None for the edge's own. Raises QueueFull, TenantQueueFull.
        """

    async def keep(self, request: SpeechRequest, *, named: bool) -> bool:
        """Store a request; return False if its id is taken. `named`: the client can refer to it."""

    async def forget(self, request: SpeechRequest) -> None:
        """Delete a request that was stored and not published."""


@dataclass(frozen=True)
class SpeechKind:
    """Requests whose client waits for the audio."""

    name: ClassVar[str] = "speech"
    waits_for_workers: ClassVar[bool] = False
    store: KindStore
    other: KindStore
    charges: UsageCharges
    timeout_s: float
    admission: Admission
    stored_quota: RequestQuota

    def check_capacity(self, tenant: str) -> None:
        """See `RequestKind`."""
        self.admission.check(tenant)

    @contextmanager
    def admit(
        self, tenant: str, request_id: str, audio_s: float, engine: str | None
    ) -> Iterator[None]:
        """See `RequestKind`."""
        with self.admission.admit(request_id, tenant, audio_s, engine):
            yield

    async def keep(self, request: SpeechRequest, *, named: bool) -> bool:
        """See `RequestKind`.

        If the bucket is full, an unnamed request is accepted unstored: it cannot be resumed.

        Raises TenantRequestsFull, and QueueFull for a named request.
        """
        try:
            self._reserve_space(request)
            return await self.store.keep(request)
        except QueueFull:
            if named:
                raise
            log.warning("request_not_stored", request=request.request)
            return True

    async def forget(self, request: SpeechRequest) -> None:
        """See `RequestKind`."""
        await self.store.forget(request.tenant, request.request)
        self.stored_quota.release(request.tenant, len(codec.encode(request)))

    def _reserve_space(self, request: SpeechRequest) -> None:
        size = len(codec.encode(request))
        if not self.stored_quota.take(request.tenant, size, time.monotonic()):
            raise TenantRequestsFull(
                f"your requests of the last two hours fill the {self.stored_quota.limit_bytes // MEBIBYTE} MiB that "
                "are stored for retries; send this one without Request-Name and Idempotency-Key, or wait"
            )


@dataclass(frozen=True)
class JobKind:
    """Jobs: they wait for their turn, and `ResultsQuota` counts their space."""

    name: ClassVar[str] = "job"
    waits_for_workers: ClassVar[bool] = True
    store: KindStore
    other: KindStore
    charges: UsageCharges
    timeout_s: float

    def check_capacity(self, tenant: str) -> None:
        """See `RequestKind`: the queue of jobs has no limit here."""

    @contextmanager
    def admit(
        self,
        tenant: str,  # noqa: ARG002  # of the protocol
        request_id: str,  # noqa: ARG002
        audio_s: float,  # noqa: ARG002
        engine: str | None,  # noqa: ARG002
    ) -> Iterator[None]:
        """See `RequestKind`: the backlog does not include jobs."""
        yield

    async def keep(self, request: SpeechRequest, *, named: bool) -> bool:  # noqa: ARG002  # every job is stored
        """See `RequestKind`. Raises QueueFull."""
        return await self.store.keep(request)

    async def forget(self, request: SpeechRequest) -> None:
        """See `RequestKind`."""
        await self.store.forget(request.tenant, request.request)
