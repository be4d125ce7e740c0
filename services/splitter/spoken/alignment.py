"""A text that was rewritten, and where each of its characters comes from. Pure.

Spans of a request count its own text, so every step of the rewriting keeps a list of what it replaced.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

Span = tuple[int, int]  # first character and one past the last, counted in code points


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

    def edited(self, edits: Iterable[Edit]) -> "Aligned":
        """Return the text with these replacements, which are in order and do not overlap."""
        pieces: list[str] = []
        placed: list[Span] = []
        replaced: list[Span] = []
        read = written = 0
        for start, end, text, _ in edits:
            written += start - read
            pieces += (self.text[read:start], text)
            placed.append((written, written + len(text)))
            replaced.append((start, end))
            read, written = end, written + len(text)
        if not placed:
            return self
        pieces.append(self.text[read:])
        layer = _Layer(tuple(placed), tuple(replaced), tuple(start for start, _ in placed))
        return Aligned("".join(pieces), (*self.layers, layer))

    def source(self, start: int, end: int) -> Span:
        """Return the span of the first text that [start, end) of this one was made from."""
        for layer in reversed(self.layers):
            start, end = layer.source(start, ends=False), layer.source(end, ends=True)
        return start, max(start, end)


def changes(edits: Iterable[Edit], text: str) -> Iterator[Edit]:
    """Yield the edits that change something."""
    return (edit for edit in edits if text[edit.start : edit.end] != edit.text)
