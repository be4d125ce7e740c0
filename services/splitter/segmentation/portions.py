"""Which sentences of a request are spoken now, where it asks for a portion of its text only.

A listener who hears a text in real time asks for it portion by portion, under one request id: each portion is a command
of its own, with the same text and the next `first_sentence`. So the audio that is stored ahead of a listener is bounded
by what it has asked for, no splitter waits for a listener, and one that goes away costs at most what it asked for.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from services.common.wire.messages import Lane, Portion, SpeechRequest
from services.splitter.segmentation.process import SHORT_CHARACTERS, SegmentationTask
from services.splitter.segmentation.sentences import SplitText

_REMEMBERED_CHARACTERS: Final = 4_000_000  # of texts whose division is kept: some 40 MB with their sentences


def portion_of(request: SpeechRequest, seconds: Sequence[float]) -> Portion:
    """Return the sentences that the request asks for: at least one, and then as many as begin within its seconds.

    `seconds`: the estimated audio of every sentence of the text.
    """
    if request.portion_s is UNSET:
        return Portion(request.first_sentence, len(seconds))
    sum_s, until = 0.0, request.first_sentence
    while until < len(seconds) and sum_s < request.portion_s:
        sum_s += seconds[until]
        until += 1
    return Portion(request.first_sentence, until)


def told_portion(request: SpeechRequest, portion: Portion) -> Portion | UnsetType:
    """Return what `TextSplit` says of the portion; nothing to who has not asked for one."""
    return UNSET if request.portion_s is UNSET else portion


def first_lane(request: SpeechRequest) -> Lane:
    """Return where the first sentence is queued: it is waited for, unless the listener has audio in hand."""
    return "express" if request.first_lane is UNSET else request.first_lane


class Divisions:
    """Divides texts, and remembers the long ones that are asked for in portions."""

    def __init__(self, divide: Callable[[SegmentationTask], Awaitable[SplitText]]) -> None:
        self._divide = divide
        self._known: OrderedDict[bytes, tuple[int, SplitText]] = OrderedDict()  # characters, sentences

    async def of(self, task: SegmentationTask, *, in_portions: bool) -> SplitText:
        """Divide a text, as `divide` does."""
        if not in_portions or len(task.text) <= SHORT_CHARACTERS:
            return await self._divide(task)
        key = sha256(msgspec.msgpack.encode(task)).digest()
        if key not in self._known:
            self._known[key] = len(task.text), await self._divide(task)
        self._known.move_to_end(key)
        _, division = self._known[key]
        while len(self._known) > 1 and sum(size for size, _ in self._known.values()) > _REMEMBERED_CHARACTERS:
            self._known.popitem(last=False)
        return division
