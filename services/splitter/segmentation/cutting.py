"""Cuts a sentence that is too long: after a clause, else between words, else between characters.
Pure."""

import itertools
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import regex

from services.common.wire.punctuation import CLOSING_MARKS

_CLAUSE_ENDS: Final = frozenset(",;:、，；：،؛—–…)）」』”»।")
_CLOSERS: Final = frozenset(CLOSING_MARKS)
CLAUSE_PAUSE_MS: Final = 120
# times the limit: longer text is cut without calling `fits`, which keeps time linear
_NEVER_SHORTENED: Final = 4
# A plausible word boundary in unspaced script: before the word that follows a particle written in
# hiragana, or around a run of letters of another script. Not within a number, a Latin word or a
# word in katakana.
_UNSPACED_BORDER: Final = regex.compile(
    r"(?<=\p{Hiragana})(?=[\p{Han}\p{Katakana}])|(?<=\p{Han})(?=[\p{Latin}\p{Nd}])|(?<=\p{Latin})(?=\p{Han})"
)
# belongs to the character before it
_EXTENDS: Final = regex.compile(r"[\p{Grapheme_Extend}\p{Mc}\u200D]")

_UNSPACED: Final = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}]")
_CLUSTER: Final = regex.compile(r"\X")


class Cut(NamedTuple):
    """A part of a sentence, and the pause after it."""

    start: int
    end: int
    pause_after_ms: int | None  # None: the sentence's own


def cut(
    text: str, start: int, end: int, fits: Callable[[int, int], bool], limit: int
) -> Iterator[Cut]:
    """Yield parts of text[start:end] that each fit, in order and without gaps.

    `fits(start, end)` returns whether a part is short enough to speak; a part of one character is
    always accepted. Each step examines at most `limit` characters, so time is linear.
    """
    while end - start > _NEVER_SHORTENED * limit or not fits(start, end):
        longest = _longest(start, min(end, start + limit), fits)
        offset, pause_ms = _best_offset(text, start, _before_a_tail(start, longest, end), longest)
        yield Cut(start, offset, pause_ms)
        start = offset
    if start < end:
        yield Cut(start, end, None)


def _longest(start: int, end: int, fits: Callable[[int, int], bool]) -> int:
    """Return the largest end of a part that fits, by binary search: a longer part is never shorter
    to speak."""
    low, high = start + 1, end
    while low < high:
        middle = (low + high + 1) // 2
        if fits(start, middle):
            low = middle
        else:
            high = middle - 1
    return low


def _before_a_tail(start: int, longest: int, end: int) -> int:
    """Return an offset of at most `longest` after which no fragment of a few letters is left."""
    if end - longest >= (longest - start) // 3:
        return longest
    return max(start + 1, min(longest, start + (end - start) * 3 // 5))


def _best_offset(text: str, start: int, preferred: int, longest: int) -> tuple[int, int]:
    """Return the offset to cut at and the pause there: near `preferred`, rather before it, never
    after `longest`."""
    half = start + (preferred - start) // 2
    beyond = range(preferred + 1, longest + 1)
    for offset in itertools.chain(range(preferred, half, -1), beyond):
        if _ends_clause(text, offset):
            return offset, CLAUSE_PAUSE_MS
    earliest = half if _UNSPACED.match(text[preferred - 1]) else start + 1
    for offset in itertools.chain(range(preferred, earliest, -1), beyond):
        if text[offset - 1].isspace() and not _EXTENDS.match(text[offset : offset + 1]):
            return offset, 0
    borders = [
        match.start() for match in _UNSPACED_BORDER.finditer(text, max(half, start + 1), longest)
    ]
    return (borders[-1] if borders else _between_characters(text, start, longest)), 0


def _ends_clause(text: str, offset: int) -> bool:
    """Return whether a clause ends before this offset: after a clause mark that is not inside a
    number."""
    mark = text[offset - 1]
    following = text[offset : offset + 1]
    if mark not in _CLAUSE_ENDS or following in _CLOSERS or _EXTENDS.match(following):
        return False
    if mark.isascii():
        return not following or following.isspace()
    # 1914–1918, 3：00
    return not (following.isdecimal() and text[offset - 2 : offset - 1].isdecimal())


def _between_characters(text: str, start: int, longest: int) -> int:
    """Return the last grapheme cluster boundary (Unicode UAX 29); `longest` if a single cluster is
    longer than that."""
    border = start
    for cluster in _CLUSTER.finditer(text, start, longest + 1):
        if cluster.end() > longest:
            break
        border = cluster.end()
    return border if border > start else longest
