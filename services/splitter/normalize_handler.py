"""Returns the normalized form of a text without synthesizing it: request and reply over core NATS.

Texts are short (docs/wire.md), so they are handled one at a time. The splitters form a queue group;
one with too many pending requests drops the rest, and the client times out.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog

from services.common.bus.heartbeats import Heartbeats
from services.common.bus.listening import next_before
from services.common.bus.ports import Bus, Received
from services.common.wire import codec, subjects
from services.common.wire.addressing import require_own
from services.common.wire.failures import BusUnavailable, PipelineError
from services.common.wire.messages import (
    Message,
    NormalizeText,
    SpeechFailed,
    TextNormalized,
    WorkerState,
)
from services.common.wire.parts import NormalizedSentence
from services.splitter.conversion import (
    left_out_of,
    limits_of,
    task_of,
    usual_limits,
    with_language_codes,
)
from services.splitter.segmentation.process import divide

log = structlog.get_logger()

_MOST_WAITING: Final = 64  # requests received and not answered yet
_GROUP: Final = "splitters"  # queue group: each request reaches one splitter


@dataclass(frozen=True)
class NormalizeWork:
    """The handler of the requests on `tts.v1.normalize.<tenant>`."""

    bus: Bus
    workers: Heartbeats[WorkerState]

    async def serve(self, stop: asyncio.Event) -> None:
        """Answer requests until `stop` is set."""
        listener = await self.bus.subscribe(subjects.NORMALIZE, limit=_MOST_WAITING, group=_GROUP)
        try:
            while not stop.is_set():
                received = await next_before(stop, listener)
                if received is not None and received.reply:
                    await self._answer(received)
        finally:
            await listener.close()

    async def _answer(self, received: Received) -> None:
        """Reply with the normalized text or a failure; send no reply to a payload without a request
        id."""
        try:
            await self._reply(received, await self._normalized(received))
        except PipelineError as failure:  # of the text, or of NATS, which refuses too large a reply
            await self._refuse(received, failure)
        except Exception:  # a bug must fail one reply, not the process with all requests it holds
            log.exception("normalization_failed")
            await self._refuse(received, PipelineError("an internal error; see the splitter's log"))

    async def _refuse(self, received: Received, failure: PipelineError) -> None:
        request = codec.peek_request(received.payload)
        if request is None:
            return
        message = SpeechFailed(
            request=request,
            sentence=None,
            code=failure.code,
            detail=str(failure),
            retryable=failure.retryable,
        )
        with suppress(BusUnavailable):  # the client times out
            await self._reply(received, message)

    async def _reply(self, received: Received, message: Message) -> None:
        await self.bus.send(received.reply, codec.encode(message))

    async def _normalized(self, received: Received) -> TextNormalized:
        command = codec.decode(received.payload, NormalizeText)
        require_own(command, received.subject)
        command = with_language_codes(command)
        workers = [worker for worker in self.workers.alive() if worker.engine == command.engine]
        division = await divide(task_of(command, limits_of(workers) or usual_limits()))
        return TextNormalized(
            request=command.request,
            language=command.language,
            sentences=tuple(
                NormalizedSentence(
                    found.start, found.end, found.spoken, found.language or command.language
                )
                for found in division.sentences
            ),
            left_out=left_out_of(division),
        )
