"""Portions of a request: the sentences that are spoken now, if the client requests its text in
portions.

A client that plays a text in real time requests it portion by portion under one request id: each
portion is a separate command with the same text and the next `first_sentence`. So at most one
portion of audio is stored ahead of playback, no splitter waits for a client, and a client that
disconnects wastes at most the portion it requested.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from services.common.wire.fields import Lane
from services.common.wire.messages import SpeechRequest
from services.common.wire.parts import Portion
from services.splitter.segmentation.process import SHORT_CHARACTERS, SegmentationTask
from services.splitter.segmentation.sentences import SplitText

# of texts whose sentences are cached: some 40 MB with the sentences
_REMEMBERED_CHARACTERS: Final = 4_000_000


def portion_of(request: SpeechRequest, seconds: Sequence[float]) -> Portion:
    """Return the portion that the request asks for: at least one sentence, and all that start
    within its seconds.

    `seconds`: the estimated audio of every sentence of the text.
    """
    if request.portion_s is UNSET:
        return Portion(request.first_sentence, len(seconds))
    sum_s, until = 0.0, request.first_sentence
    while until < len(seconds) and sum_s < request.portion_s:
        sum_s += seconds[until]
        until += 1
    return Portion(request.first_sentence, until)


def reported_portion(request: SpeechRequest, portion: Portion) -> Portion | UnsetType:
    """Return the portion for `TextSplit`; UNSET if the client did not request one."""
    return UNSET if request.portion_s is UNSET else portion


def first_lane(request: SpeechRequest) -> Lane:
    """Return the lane of the first sentence: express, unless the request sets another since audio
    is buffered."""
    return "express" if request.first_lane is UNSET else request.first_lane


class Divisions:
    """Divides texts and caches the result for long texts that are requested in portions."""

    def __init__(self, divide: Callable[[SegmentationTask], Awaitable[SplitText]]) -> None:
        self._divide = divide
        # characters, sentences
        self._cache: OrderedDict[bytes, tuple[int, SplitText]] = OrderedDict()

    async def of(self, task: SegmentationTask, *, in_portions: bool) -> SplitText:
        """Divide a text, as `divide` does."""
        if not in_portions or len(task.text) <= SHORT_CHARACTERS:
            return await self._divide(task)
        key = sha256(msgspec.msgpack.encode(task)).digest()
        if key not in self._cache:
            self._cache[key] = len(task.text), await self._divide(task)
        self._cache.move_to_end(key)
        _, division = self._cache[key]
        while (
            len(self._cache) > 1
            and sum(size for size, _ in self._cache.values()) > _REMEMBERED_CHARACTERS
        ):
            self._cache.popitem(last=False)
        return division
