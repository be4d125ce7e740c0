"""Where a sentence that is too long is cut: at a clause, else between words, else between characters. Pure."""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import regex

_CLAUSE_ENDS: Final = frozenset(",;:、，；：،؛—–…)）」』”»।")
_CLOSERS: Final = frozenset("\"'”’»)]）」』")
CLAUSE_PAUSE_MS: Final = 120
_NEVER_SHORTENED: Final = 4  # times the limit: what is longer is cut without asking, which keeps time linear


class Cut(NamedTuple):
    """A piece of a sentence, and the silence owed after it."""

    start: int
    end: int
    pause_after_ms: int | None  # None: the sentence's own


def cut(text: str, start: int, end: int, fits: Callable[[int, int], bool], limit: int) -> Iterator[Cut]:
    """Yield pieces of text[start:end], in order and complete, each of which fits.

    `fits(start, end)` says whether a piece is short enough to speak; a piece of one character is taken in any case.
    Each step looks at no more than `limit` characters, so time is linear.
    """
    while end - start > _NEVER_SHORTENED * limit or not fits(start, end):
        longest = _longest(start, min(end, start + limit), fits)
        place, pause_ms = _best_place(text, start, longest)
        yield Cut(start, place, pause_ms)
        start = place
    if start < end:
        yield Cut(start, end, None)


def _longest(start: int, end: int, fits: Callable[[int, int], bool]) -> int:
    """Return the largest place up to which a piece fits, by halving: a longer piece is never shorter to speak."""
    low, high = start + 1, end
    while low < high:
        middle = (low + high + 1) // 2
        if fits(start, middle):
            low = middle
        else:
            high = middle - 1
    return low


def _best_place(text: str, start: int, longest: int) -> tuple[int, int]:
    """Return where to cut at the latest, in the second half if possible, and the pause there."""
    half = start + (longest - start) // 2
    for place in range(longest, half, -1):
        if _ends_clause(text, place):
            return place, CLAUSE_PAUSE_MS
    for place in range(longest, start + 1, -1):
        if text[place - 1].isspace():
            return place, 0
    return _between_characters(text, start, longest), 0


def _ends_clause(text: str, place: int) -> bool:
    """Say whether a speaker would breathe before this place: after a clause mark that is not inside a number."""
    mark, following = text[place - 1], text[place : place + 1]
    if mark not in _CLAUSE_ENDS or following in _CLOSERS:
        return False
    return not mark.isascii() or not following or following.isspace()


def _between_characters(text: str, start: int, longest: int) -> int:
    """Return the last border of a grapheme cluster (Unicode UAX 29), or, in an endless one, any border."""
    border = start
    for cluster in regex.finditer(r"\X", text, pos=start, endpos=longest + 1):
        if cluster.end() > longest:
            break
        border = cluster.end()
    return border if border > start else longest
