"""Portions of a request: the text of a real-time listener is requested portion by portion.

Each portion is a separate `SpeechRequest` under one id (an attempt), with the next `first_sentence`. The next one is
requested when the listener reaches the last one, so at most two are ahead of it: half a window of audio each.
"""

import time
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec
from msgspec import UNSET

from services.common.runtime.deadline import Deadline
from services.common.wire.messages import SpeechRequest, TextSplit

PORTION_S: Final = 60.0  # of audio, by default
_LEAST_S: Final = 10.0  # of a portion after audio was lost


@dataclass(frozen=True)
class Commands:
    """Creates the commands that synthesize parts of one request."""

    request: SpeechRequest
    portion_s: float
    # validity of each command from its creation; None: up to the request's deadline
    lasts_s: float | None

    @classmethod
    def of(cls, request: SpeechRequest, portion_s: float, *, renewing: bool) -> "Commands":
        """Return the commands for a request. `renewing`: each is valid for as long as the request was at first."""
        return cls(
            request, portion_s, Deadline.at(request.deadline_unix_ms).left_s if renewing else None
        )

    def smaller(self) -> "Commands":
        """Return commands with smaller portions, after one exceeded the audio store or an inbox."""
        return replace(
            self, portion_s=min(self.portion_s, max(_LEAST_S, min(self.portion_s, PORTION_S) / 2))
        )

    def all_from(self, attempt: str, first_sentence: int) -> SpeechRequest:
        """Return the command to synthesize everything from a sentence on."""
        deadline_unix_ms = self.request.deadline_unix_ms
        if self.lasts_s is not None:
            deadline_unix_ms = round((time.time() + self.lasts_s) * 1000)
        return msgspec.structs.replace(
            self.request,
            request=attempt,
            first_sentence=first_sentence,
            deadline_unix_ms=deadline_unix_ms,
        )

    def portion(self, attempt: str, first_sentence: int) -> SpeechRequest:
        """Return the command to synthesize a portion that the listener waits for."""
        return msgspec.structs.replace(
            self.all_from(attempt, first_sentence), portion_s=self.portion_s
        )

    def next_portion(self, attempt: str, first_sentence: int) -> SpeechRequest:
        """Return the command to synthesize a portion while the listener still plays the one before it."""
        return msgspec.structs.replace(self.portion(attempt, first_sentence), first_lane="standard")


@dataclass
class LatestPortion:
    """The latest requested portion of an attempt."""

    attempt: str
    first: int = 0  # its first sentence
    until: int | None = None  # the first sentence after it; None: unknown so far
    sentences: int | None = None  # of the text
    # ranges of sentences that the attempt leaves out, as other attempts had them stored
    left_out: list[range] = field(default_factory=list)

    def skip(self, first: int, until: int) -> None:
        """Take the sentences from `first` to `until` for the latest portion: other attempts have their audio stored."""
        self.left_out.append(range(first, until))
        self.first = first
        self.until = until

    def leaves_out(self, sentence: int) -> bool:
        """Return whether only other attempts have this sentence."""
        return any(sentence in sentences for sentences in self.left_out)

    def update(self, split: TextSplit) -> None:
        """Apply a splitter's report of a portion; reports of earlier portions change nothing."""
        if split.request != self.attempt:
            return
        self.sentences = len(split.sentences)
        if split.portion is UNSET:
            self.until = len(split.sentences)
        elif split.portion.first >= self.first:
            self.first = split.portion.first
            self.until = split.portion.until

    def due(self, sentence: int) -> bool:
        """Return whether a listener at this sentence needs the next portion, or a report on this one."""
        if sentence < self.first:
            return False
        return self.until is None or self.sentences is None or self.until < self.sentences
