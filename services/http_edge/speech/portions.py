"""Portions of a request: the text of a real-time listener is requested portion by portion.

Each portion is a separate `SpeechRequest` under one id (an attempt), with the next `first_sentence`. The next one is
requested when the listener reaches the last one, so at most two are ahead of it: half a window of audio each.
"""

import time
from dataclasses import dataclass, replace
from typing import Final

import msgspec
from msgspec import UNSET

from services.common.runtime.deadline import Deadline
from services.common.wire.messages import SpeechRequest, TextSplit

PORTION_S: Final = 60.0  # of audio, by default
_LEAST_S: Final = 10.0  # of a portion after audio was lost


@dataclass(frozen=True)
class Commands:
    """Makes the commands that speak parts of one request."""

    request: SpeechRequest
    portion_s: float
    lasts_s: float | None  # how long each command is good for, from when it is made; None: to the request's deadline

    @classmethod
    def of(cls, request: SpeechRequest, portion_s: float, *, renewing: bool) -> "Commands":
        """`renewing`: every command is good for as long as the request was at first."""
        return cls(request, portion_s, Deadline.at(request.deadline_unix_ms).left_s if renewing else None)

    def smaller(self) -> "Commands":
        """Return the same with smaller portions: the last one exceeded the audio store or an inbox."""
        return replace(self, portion_s=min(self.portion_s, max(_LEAST_S, min(self.portion_s, PORTION_S) / 2)))

    def all_from(self, run: str, first_sentence: int) -> SpeechRequest:
        """Return the command to speak everything from a sentence on."""
        deadline_unix_ms = self.request.deadline_unix_ms
        if self.lasts_s is not None:
            deadline_unix_ms = round((time.time() + self.lasts_s) * 1000)
        return msgspec.structs.replace(
            self.request, request=run, first_sentence=first_sentence, deadline_unix_ms=deadline_unix_ms
        )

    def portion(self, run: str, first_sentence: int) -> SpeechRequest:
        """Return the command to speak a portion that is waited for."""
        return msgspec.structs.replace(self.all_from(run, first_sentence), portion_s=self.portion_s)

    def next_portion(self, run: str, first_sentence: int) -> SpeechRequest:
        """Return the command to speak a portion while the listener has the one before it in hand."""
        return msgspec.structs.replace(self.portion(run, first_sentence), first_lane="standard")


@dataclass
class Asked:
    """The latest requested portion of an attempt."""

    run: str
    first: int = 0  # its first sentence
    until: int | None = None  # the first sentence that was not requested; None: unknown so far
    sentences: int | None = None  # of the text

    def hear(self, split: TextSplit) -> None:
        """Note a splitter's report of a portion; reports of earlier portions change nothing."""
        if split.request != self.run:
            return
        self.sentences = len(split.sentences)
        if split.portion is UNSET:
            self.until = len(split.sentences)
        elif split.portion.first >= self.first:
            self.first, self.until = split.portion.first, split.portion.until

    def due(self, sentence: int) -> bool:
        """Return whether a listener at this sentence has to know, or ask for, what comes after this portion."""
        if sentence < self.first:
            return False
        return self.until is None or self.sentences is None or self.until < self.sentences
