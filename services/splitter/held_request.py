"""A request that is held until all of it is spoken: its state, and its end markers."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from services.common.bus.inbox import Inbox
from services.common.runtime.deadline import Deadline
from services.common.wire.failures import SpeechCancelled
from services.common.wire.fields import Lane
from services.common.wire.messages import RequestEvent, SentenceSpoken, SpeechRequest
from services.splitter.scheduling.backlog import RequestBacklog
from services.splitter.scheduling.progress import Progress
from services.splitter.scheduling.scheduler import Permit
from services.splitter.segmentation.portions import first_lane
from services.splitter.segmentation.sentences import Sentence

_READ_AT_ONCE: Final = 32  # end markers; a book has thousands, and its client is waiting


@dataclass(frozen=True, eq=False)
class HeldRequest:
    """A request that is held until all of it is spoken, and its progress."""

    request: SpeechRequest
    deadline: Deadline
    sentences: tuple[Sentence, ...]
    progress: Progress
    inbox: Inbox
    backlog: RequestBacklog
    permit: Permit
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)

    def lane(self, index: int) -> Lane:
        """Return the lane of a sentence: the client waits for the first one."""
        return first_lane(self.request) if index == self.request.first_sentence else "standard"

    def end(self, index: int) -> None:
        """Record that a sentence is spoken."""
        self.backlog.mark_spoken(index)
        if self.progress.end(index):
            self.permit.release(self.lane(index))


async def until_cancelled(held: HeldRequest) -> None:
    """Raise SpeechCancelled as soon as the request is cancelled."""
    await held.cancelled.wait()
    raise SpeechCancelled("the request was cancelled")


async def restore(held: HeldRequest) -> None:
    """Read from the stored end markers which sentences are spoken already."""
    for event in await stored_ends(held, range(held.progress.sentences)):
        if isinstance(event, SentenceSpoken):
            held.end(event.sentence)


async def stored_ends(held: HeldRequest, indexes: Sequence[int]) -> list[RequestEvent | None]:
    """Return the stored end markers of these sentences; some may have been missed when they were
    sent."""
    found: list[RequestEvent | None] = []
    for begin in range(0, len(indexes), _READ_AT_ONCE):
        found += await asyncio.gather(*map(held.inbox.end, indexes[begin : begin + _READ_AT_ONCE]))
    return [event for event in found if event is not None]
