"""Requests the next portion of an attempt in the background, before its listener needs it."""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from services.common.bus.ports import Bus
from services.common.runtime.lifecycle import cancel_until_done
from services.common.wire.failures import BusUnavailable, QueueFull
from services.common.wire.messages import RequestEvent, TextSplit
from services.http_edge.speech.attempt_events import AttemptEvents
from services.http_edge.speech.commands import publish_request
from services.http_edge.speech.portions import Commands, LatestPortion
from services.http_edge.speech.sentence_offsets import SentenceOffsets

log = structlog.get_logger()

_MOST_STORED: Final = 64  # sentences that are looked up at once
_RETRY_S: Final = 0.5  # pause after the next portion could not be requested


class PortionRequests:
    """The portions of the latest attempt of one request."""

    def __init__(
        self,
        bus: Bus,
        commands: Commands,
        events: AttemptEvents,
        offsets: SentenceOffsets,
        check_split: Callable[[TextSplit], RequestEvent],
    ) -> None:
        self.commands = commands
        self.latest: LatestPortion | None = None
        self._bus = bus
        self._events = events
        self._offsets = offsets
        self._check_split = check_split
        self._task: asyncio.Task[None] | None = None
        self._not_before_s = 0.0

    def request_ahead(self) -> None:
        """Start requesting the next portion if the listener has reached the latest one.

        Raises what the previous request for a portion raised, except for temporary failures of the bus.
        """
        if self._task is not None and self._task.done():
            finished = self._task
            self._task = None
            finished.result()

        if self.latest is None or self._task is not None or _now_s() < self._not_before_s:
            return

        if self.latest.due(self._events.assembly.sentence):
            self._task = asyncio.create_task(self._request(self.latest), name="next-portion")

    async def stop(self) -> None:
        """Cancel the request for a portion that is in progress."""
        if self._task is not None:
            await cancel_until_done(self._task)
            await asyncio.gather(self._task, return_exceptions=True)  # retrieves its exception
            self._task = None

    async def _request(self, portion: LatestPortion) -> None:
        """Request the portion after this one, unless another listener did, or its audio is stored."""
        try:
            split = await self._events.split(portion.attempt)
            if isinstance(split, TextSplit):
                self._check_split(split)

            sentence = self._events.assembly.sentence
            # `Attempts.failed` handles the failure
            ended = await self._events.failed(portion.attempt) is not None
            if ended or portion.until is None or not portion.due(sentence):
                self._not_before_s = _now_s() + _RETRY_S
                return

            await self._events.drain(portion.attempt)
            first = max(portion.until, sentence)
            missing = await self._events.first_missing(first, _MOST_STORED)
            if missing != first:
                end = portion.sentences if missing is None else missing
                portion.skip(first, first if end is None else end)
                return

            await publish_request(
                self._bus, self.commands.next_portion(portion.attempt, first), part=first
            )
            portion.first = first
            portion.until = None
            await self._offsets.note(self._events.assembly)
        except (BusUnavailable, QueueFull) as failure:  # the listener still has a portion to play
            log.warning("portion_delayed", request=self.commands.request.request, code=failure.code)
            self._not_before_s = _now_s() + _RETRY_S


def _now_s() -> float:
    return asyncio.get_running_loop().time()
