"""Aligns a rewritten text with its source. Pure.

Spans in messages refer to the request's own text, so every rewriting step records its replacements.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Final, NamedTuple

from services.common.wire.failures import TextTooLong

MOST_CHARACTERS: Final = 4_000_000  # of a text as it is spoken, however it is written
_MOST_TIMES: Final = 8  # as long as it is written: figures alone are 5 to 7 times as long in words
_MOST_MORE: Final = 20_000  # characters, beyond that: a short text may be all signs

Span = tuple[int, int]  # first character and one past the last, counted in code points
_START: Final = itemgetter(0)


class SpokenTooLong(TextTooLong):
    """The spoken form of a text is many times longer than the written text."""

    def __init__(self, most: int, what: str = "numbers and signs") -> None:
        """`most`: the limit in characters; `what`: the cause of the growth."""
        super().__init__(
            f"{what} make the spoken text longer than {most} characters; send fewer of them, or the text in parts"
        )
        self.most = most


def most_spoken(written: int) -> int:
    """Return the maximum length of the spoken form of a text of this length, in characters."""
    return min(MOST_CHARACTERS, _MOST_TIMES * written + _MOST_MORE)


class Edit(NamedTuple):
    """A replacement of the characters [start, end) of a text."""

    start: int
    end: int
    text: str
    rule: str = ""  # the rule that made it, for counting the edits of each rule


@dataclass(frozen=True)
class _Layer:
    """The replacements of one step, each with its span in the result and its span in the source."""

    inserted: tuple[Span, ...]
    replaced: tuple[Span, ...]
    starts: tuple[int, ...]  # of `inserted`

    def source(self, offset: int, *, ends: bool) -> int:
        """Return the offset in the source. `ends`: the offset ends a span, so text removed there
        comes after it."""
        edit = (bisect_left if ends else bisect_right)(self.starts, offset) - 1
        if edit < 0:
            return offset
        (start, end), (source_start, source_end) = self.inserted[edit], self.replaced[edit]
        if offset >= end:
            return source_end + offset - end
        return source_start + (offset - start) * (source_end - source_start) // (end - start)

    def whole_source(self, offset: int, *, ends: bool) -> int:
        """Return the offset in the source like `source`; inside a replacement, the end or start of what it
        replaced."""
        edit = (bisect_left if ends else bisect_right)(self.starts, offset) - 1
        if edit < 0 or offset >= self.inserted[edit][1]:
            return self.source(offset, ends=ends)
        source_start, source_end = self.replaced[edit]
        return source_end if ends else source_start

    def replaces(self, offset: int) -> bool:
        """Return whether an offset of the source is inside a replaced part."""
        edit = bisect_left(self.replaced, offset, key=_START) - 1
        return edit >= 0 and offset < self.replaced[edit][1]

    def result(self, offset: int, *, ends: bool) -> int:
        """Return the offset in the result of an offset in the source. `ends`: as in `source`."""
        edit = (bisect_left if ends else bisect_right)(self.replaced, offset, key=_START) - 1
        if edit < 0:
            return offset
        (start, end), (result_start, result_end) = self.replaced[edit], self.inserted[edit]
        if offset >= end:
            return result_end + offset - end
        return result_start + (offset - start) * (result_end - result_start) // (end - start)


@dataclass(frozen=True)
class Aligned:
    """A text, aligned with the text that it was made from."""

    text: str
    layers: tuple[_Layer, ...] = ()
    written: int = -1  # characters of the original text; -1: this is the original

    def edited(self, edits: Iterable[Edit]) -> "Aligned":
        """Return the text with these replacements, which must be in order and must not overlap.

        Raises SpokenTooLong as soon as the result exceeds the maximum length for the original text.
        """
        first = len(self.text) if self.written < 0 else self.written
        most = most_spoken(first)
        parts: list[str] = []
        inserted: list[Span] = []
        replaced: list[Span] = []
        read = written = 0
        for start, end, text, _ in edits:
            written += start - read
            if written + len(text) > most:
                raise SpokenTooLong(most)
            parts += (self.text[read:start], text)
            inserted.append((written, written + len(text)))
            replaced.append((start, end))
            read, written = end, written + len(text)
        if not inserted:
            return self
        parts.append(self.text[read:])
        layer = _Layer(tuple(inserted), tuple(replaced), tuple(start for start, _ in inserted))
        return Aligned("".join(parts), (*self.layers, layer), first)

    def translated(self, text: str) -> "Aligned":
        """Return this text replaced by another of the same length, character by character."""
        return replace(
            self, text=text, written=len(self.text) if self.written < 0 else self.written
        )

    def source(self, start: int, end: int) -> Span:
        """Return the span of the original text that [start, end) of this text was made from."""
        for layer in reversed(self.layers):
            start, end = layer.source(start, ends=False), layer.source(end, ends=True)
        return start, max(start, end)

    def whole_source(self, start: int, end: int) -> Span:
        """Return the span of the original text like `source`, extended to whole replaced parts."""
        for layer in reversed(self.layers):
            start = layer.whole_source(start, ends=False)
            end = layer.whole_source(end, ends=True)
        return start, max(start, end)

    def replaces(self, offset: int) -> bool:
        """Return whether an offset of the original text is inside a part that was replaced as a whole."""
        for layer in self.layers:
            if layer.replaces(offset):
                return True
            offset = layer.result(offset, ends=False)
        return False

    def spoken(self, start: int, end: int) -> Span:
        """Return the span of this text that was made from [start, end) of the original text."""
        for layer in self.layers:
            start, end = layer.result(start, ends=False), layer.result(end, ends=True)
        return start, max(start, end)


def changes(edits: Iterable[Edit], text: str) -> Iterator[Edit]:
    """Yield the edits that change something."""
    return (edit for edit in edits if text[edit.start : edit.end] != edit.text)
