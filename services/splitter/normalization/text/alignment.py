"""A text that was rewritten, and where each of its characters comes from. Pure.

Spans of a request count its own text, so every step of the rewriting keeps a list of what it replaced.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from services.common.wire.failures import TextTooLong

MOST_CHARACTERS: Final = 4_000_000  # of a text as it is spoken, however it is written
_MOST_TIMES: Final = 8  # as long as it is written: figures alone are 5 to 7 times as long in words
_MOST_MORE: Final = 20_000  # characters, beyond that: a short text may be all signs

Span = tuple[int, int]  # first character and one past the last, counted in code points


class SpokenTooLong(TextTooLong):
    """What is spoken of a text is many times longer than what is written."""

    def __init__(self, most: int, what: str = "numbers and signs") -> None:
        """`most`: characters that may be spoken; `what` makes it longer."""
        super().__init__(
            f"{what} make the spoken text longer than {most} characters; send fewer of them, or the text in parts"
        )
        self.most = most


def most_spoken(written: int) -> int:
    """Return how many characters may be spoken of a text that is written in so many."""
    return min(MOST_CHARACTERS, _MOST_TIMES * written + _MOST_MORE)


class Edit(NamedTuple):
    """Characters [start, end) of a text give way to another text."""

    start: int
    end: int
    text: str
    rule: str = ""  # the rule that asks for it, for those who count rewrites


@dataclass(frozen=True)
class _Layer:
    """The replacements of one step: where each stands in its result, and what it stands for in its source."""

    placed: tuple[Span, ...]
    replaced: tuple[Span, ...]
    starts: tuple[int, ...]  # of `placed`

    def source(self, place: int, *, ends: bool) -> int:
        """Return the place in the source; `ends`: a span ends there, so what was left out there is behind it."""
        edit = (bisect_left if ends else bisect_right)(self.starts, place) - 1
        if edit < 0:
            return place
        (start, end), (source_start, source_end) = self.placed[edit], self.replaced[edit]
        if place >= end:
            return source_end + place - end
        return source_start + (place - start) * (source_end - source_start) // (end - start)


@dataclass(frozen=True)
class Aligned:
    """A text and the way back to the one that it was made from."""

    text: str
    layers: tuple[_Layer, ...] = ()
    written: int = -1  # characters of the first text; -1: this is the first

    def edited(self, edits: Iterable[Edit]) -> "Aligned":
        """Return the text with these replacements, which are in order and do not overlap.

        Raises SpokenTooLong as soon as it has more characters than may be spoken of the first text.
        """
        first = len(self.text) if self.written < 0 else self.written
        most = most_spoken(first)
        pieces: list[str] = []
        placed: list[Span] = []
        replaced: list[Span] = []
        read = written = 0
        for start, end, text, _ in edits:
            written += start - read
            if written + len(text) > most:
                raise SpokenTooLong(most)
            pieces += (self.text[read:start], text)
            placed.append((written, written + len(text)))
            replaced.append((start, end))
            read, written = end, written + len(text)
        if not placed:
            return self
        pieces.append(self.text[read:])
        layer = _Layer(tuple(placed), tuple(replaced), tuple(start for start, _ in placed))
        return Aligned("".join(pieces), (*self.layers, layer), first)

    def translated(self, text: str) -> "Aligned":
        """Return another text in place of this one, character for character."""
        return replace(self, text=text, written=len(self.text) if self.written < 0 else self.written)

    def source(self, start: int, end: int) -> Span:
        """Return the span of the first text that [start, end) of this one was made from."""
        for layer in reversed(self.layers):
            start, end = layer.source(start, ends=False), layer.source(end, ends=True)
        return start, max(start, end)


def changes(edits: Iterable[Edit], text: str) -> Iterator[Edit]:
    """Yield the edits that change something."""
    return (edit for edit in edits if text[edit.start : edit.end] != edit.text)
