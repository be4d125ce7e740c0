"""A pool of decoder processes.

Untrusted bytes reach C decoders there, never in the process that serves all clients.

Each file is decoded in a separate confined process, which a decoder process forks
(`decoder_process`). A file that crashes it, hangs or grows costs only its own upload; a decoder
process that does is replaced. Tenants share the processes' time (`decode_queue`).
"""

import asyncio
import sys
from collections import deque
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec
import structlog

from services.common.runtime.child.confinement import LAYERS
from services.common.wire.failures import UnusableReference
from services.http_edge.intake.reference.answer import (
    FoundWatermark,
    Ready,
)
from services.http_edge.intake.reference.decode_queue import DecodeQueue
from services.http_edge.intake.reference.decoder_child import (
    TOO_SLOW,
    UNREADABLE,
    DecoderChild,
    answer_of,
)

log = structlog.get_logger()

_START_S: Final = 60.0
_RETRY_S: Final = 5.0
_GRACE_S: Final = 1.0
_PROCESSOR_S: Final = 5  # for one file: ten minutes take one to three
_TIME_LIMIT_S: Final = 60.0  # wall clock, on a busy machine
_WAITING: Final = 64
_WAITING_PER_TENANT: Final = 32
_WAIT_S: Final = 60.0

_Ticket = asyncio.Future[DecoderChild]


@dataclass(frozen=True)
class PreparedClip:
    """The clip of an upload."""

    wav: bytes  # 24 kHz, mono, 16-bit, at most 30 s
    seconds: float
    warnings: tuple[str, ...]  # ASCII, for a response header: why this is a poor reference


@dataclass(frozen=True)
class InspectedRecording:
    """The audio of a recording that is looked up, and its watermark."""

    wav: bytes  # 24 kHz, mono, 16-bit, at most INSPECTED_S; of 24 kHz mono the same samples
    seconds: float
    cut: bool  # whether the recording is longer
    watermark: FoundWatermark


class ReferenceDecoder:
    """A few decoder processes, each used for one upload at a time, in an order that is fair to tenants."""

    def __init__(
        self,
        children: int,
        *,
        processor_s: int = _PROCESSOR_S,
        time_limit_s: float = _TIME_LIMIT_S,
        waiting: int = _WAITING,
        waiting_per_tenant: int = _WAITING_PER_TENANT,
    ) -> None:
        self._count = children
        self._processor_s = processor_s
        self._time_limit_s = time_limit_s
        self._free: deque[DecoderChild] = deque()
        self._queue: DecodeQueue[_Ticket] = DecodeQueue(
            most=waiting, most_per_tenant=waiting_per_tenant
        )
        self._children: set[DecoderChild] = set()
        # in progress; never cancelled, as that can leave a process behind
        self._starts: set[asyncio.Task[None]] = set()
        self._closing = asyncio.Event()
        self.last_peak_bytes = 0  # peak resident memory of the process that decoded the last upload
        self.last_processor_s = 0.0
        self._layers_logged = False

    async def __aenter__(self) -> Self:
        """Start the processes and wait until they are warmed up. Raises OSError if one fails."""
        starting = [self._start(self._add_child()) for _ in range(self._count)]
        try:
            await asyncio.wait(starting)
            await asyncio.gather(*starting)
        except (OSError, asyncio.CancelledError):
            await self._close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Kill the processes."""
        await self._close()

    async def prepare(self, path: Path, tenant: str) -> PreparedClip:
        """Decode the file and return its clip.

        Raises UnusableReference if it is not audio, silent, too short, not speech, too costly to
        decode, or crashes the decoder. Raises TenantQueueFull if too many of the tenant's uploads
        wait already, QueueFull if too many of all tenants do.
        """
        async with self._child(tenant) as child, asyncio.timeout(self._time_limit_s + _GRACE_S):
            ended, content = await child.decode("reference", path)
            self.last_peak_bytes = ended.peak_bytes
            self.last_processor_s = ended.processor_s
            answer, wav = answer_of(ended, content)
            return PreparedClip(wav, answer.seconds, answer.warnings)

    async def inspect(self, path: Path, tenant: str) -> InspectedRecording:
        """Decode the file as it is, and look for the watermark.

        Raises UnusableReference if it is not audio, too costly to decode, or crashes the decoder.
        Raises TenantQueueFull and QueueFull as `prepare` does.
        """
        async with self._child(tenant) as child, asyncio.timeout(self._time_limit_s + _GRACE_S):
            answer, wav = answer_of(*await child.decode("inspection", path))
            if answer.watermark is None:
                raise ValueError("no watermark in the answer")
            return InspectedRecording(wav, answer.seconds, answer.cut, answer.watermark)

    @asynccontextmanager
    async def _child(self, tenant: str) -> AsyncIterator[DecoderChild]:
        """Acquire a process, and replace it afterwards unless it replied with a clip or a refusal."""
        child = await self._next_free(tenant)
        began_s = asyncio.get_running_loop().time()
        usable = False
        try:
            yield child
            usable = True
        except UnusableReference:
            usable = True
            raise
        except TimeoutError:
            log.warning("decoder_too_slow", limit_s=self._time_limit_s)
            raise UnusableReference(TOO_SLOW) from None
        except (EOFError, OSError, ValueError, msgspec.DecodeError):  # no reply, or an invalid one
            log.warning("decoder_crashed", status=await child.status())
            raise UnusableReference(UNREADABLE) from None
        finally:  # no await here: a client that disconnects must not cost the pool a process
            if usable:
                self._queue.charge(tenant, asyncio.get_running_loop().time() - began_s)
                self._release(child)
            elif not self._closing.is_set():
                self._start(self._replace(child, tenant, began_s))

    async def _next_free(self, tenant: str) -> DecoderChild:
        ticket: _Ticket = asyncio.get_running_loop().create_future()
        displaced = self._queue.add(tenant, ticket)
        if displaced is not None and not displaced.done():
            displaced.set_exception(self._queue.full())
        self._assign()
        try:
            async with asyncio.timeout(_WAIT_S):
                return await ticket
        except (TimeoutError, asyncio.CancelledError) as error:
            if (
                ticket.done() and not ticket.cancelled() and ticket.exception() is None
            ):  # both happened at once
                self._queue.charge(tenant, 0.0)
                self._release(ticket.result())
            if isinstance(error, TimeoutError):
                raise self._queue.full() from None
            raise
        finally:
            self._queue.remove(tenant, ticket)

    def _assign(self) -> None:
        """Assign the free processes to the next tickets."""
        while self._free and (following := self._queue.pop()):
            tenant, ticket = following
            if ticket.done():  # its client has disconnected
                self._queue.charge(tenant, 0.0)
            else:
                ticket.set_result(self._free.popleft())

    def _release(self, child: DecoderChild) -> None:
        self._free.append(child)
        self._assign()

    def _start(self, starting: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(starting, name="start-decoder")
        self._starts.add(task)
        task.add_done_callback(self._starts.discard)
        return task

    async def _replace(self, child: DecoderChild, tenant: str, began_s: float) -> None:
        """Kill a process and start another.

        Its tenant is charged for the time of both, from `began_s` on.
        """
        await child.end()
        self._children.discard(child)
        while not self._closing.is_set():
            try:
                successor = await self._warm_child()
                self._queue.charge(tenant, asyncio.get_running_loop().time() - began_s)
                self._release(successor)
                break
            except OSError as error:
                log.error("decoder_not_started", reason=str(error))
                with suppress(TimeoutError):
                    async with asyncio.timeout(_RETRY_S):
                        await self._closing.wait()

    async def _add_child(self) -> None:
        """Start a process and add it to the pool when it is warmed up.

        Raises OSError if that fails.
        """
        self._release(await self._warm_child())

    async def _warm_child(self) -> DecoderChild:
        """Start a process and return it when it is warmed up. Raises OSError if that fails."""
        child = await DecoderChild.start(self._processor_s, self._time_limit_s)
        self._children.add(child)
        try:
            if self._closing.is_set():
                await child.end()
            async with asyncio.timeout(_START_S):
                self._log_layers(await child.ready())
        except (EOFError, TimeoutError, ValueError, msgspec.DecodeError):
            self._children.discard(child)
            raise OSError(
                f"a decoder process did not become ready; it exited with status {await child.status()}"
            ) from None
        return child

    def _log_layers(self, ready: Ready) -> None:
        """Log once which layers of confinement are active here, and which are missing."""
        if self._layers_logged:
            return
        self._layers_logged = True
        missing = [layer for layer in LAYERS if layer not in ready.layers]
        log_event = log.warning if sys.platform == "linux" and "seccomp" in missing else log.info
        log_event("decoder_confined", layers=list(ready.layers), missing=missing)

    async def _close(self) -> None:
        self._closing.set()
        await asyncio.gather(*(child.end() for child in self._children))
        # ends soon: a killed process does not become ready
        await asyncio.gather(*self._starts, return_exceptions=True)
        self._children.clear()
