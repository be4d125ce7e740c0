"""Answers what a text is when it is spoken, without speaking it: a request and a reply over core NATS.

Texts are short (docs/wire.md), so one after another is soon done. All splitters share the questions; one that has too
many of them drops the rest, and the client gives up after a while.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog

from services.common.bus.heartbeats import Heartbeats
from services.common.bus.ports import Bus, Received
from services.common.wire import codec, subjects
from services.common.wire.addressing import require_own
from services.common.wire.failures import BusUnavailable, PipelineError
from services.common.wire.messages import (
    Message,
    NormalizedSentence,
    NormalizeText,
    SpeechFailed,
    TextNormalized,
    WorkerState,
)
from services.splitter.conversion import in_our_codes, limits_of, task_of, told_left_out, usual_limits
from services.splitter.segmentation.process import divide

log = structlog.get_logger()

_MOST_WAITING: Final = 64  # questions that this process has heard and not answered
_LOOK_S: Final = 0.5  # how often to see whether to stop
_GROUP: Final = "splitters"  # of which each question reaches one


@dataclass(frozen=True)
class NormalizeWork:
    """What a splitter does with the questions on `tts.v1.normalize.<tenant>`."""

    bus: Bus
    workers: Heartbeats[WorkerState]

    async def serve(self, stop: asyncio.Event) -> None:
        """Answer questions until `stop` is set."""
        listener = await self.bus.subscribe(subjects.NORMALIZE, limit=_MOST_WAITING, group=_GROUP)
        try:
            while not stop.is_set():
                heard = await listener.next(_LOOK_S)
                if heard is not None and heard.reply:
                    await self._answer(heard)
        finally:
            await listener.close()

    async def _answer(self, heard: Received) -> None:
        """Reply with the text as it would be spoken, or why not; to bytes that name no request with nothing."""
        try:
            await self._reply(heard, await self._normalized(heard))
        except PipelineError as failure:  # of the text, or of NATS, which does not take so large an answer
            await self._refuse(heard, failure)
        except Exception:  # a bug must cost one answer, not the process and all that it holds
            log.exception("normalizing_failed")
            await self._refuse(heard, PipelineError("an internal error; the splitter's log says which"))

    async def _refuse(self, heard: Received, failure: PipelineError) -> None:
        request = codec.peek_request(heard.payload)
        if request is None:
            return
        message = SpeechFailed(
            request=request, sentence=None, code=failure.code, detail=str(failure), retryable=failure.retryable
        )
        with suppress(BusUnavailable):  # the client gives up after a while
            await self._reply(heard, message)

    async def _reply(self, heard: Received, message: Message) -> None:
        await self.bus.send(heard.reply, codec.encode(message))

    async def _normalized(self, heard: Received) -> TextNormalized:
        asked = codec.decode(heard.payload, NormalizeText)
        require_own(asked, heard.subject)
        asked = in_our_codes(asked)
        workers = [worker for worker in self.workers.alive() if worker.engine == asked.engine]
        division = await divide(task_of(asked, limits_of(workers) or usual_limits()))
        return TextNormalized(
            request=asked.request,
            language=asked.language,
            sentences=tuple(
                NormalizedSentence(found.start, found.end, found.spoken, found.language or asked.language)
                for found in division.sentences
            ),
            left_out=told_left_out(division),
        )
