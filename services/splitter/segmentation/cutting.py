"""Where a sentence that is too long is cut: at a clause, else between words, else between characters. Pure."""

import itertools
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import regex

_CLAUSE_ENDS: Final = frozenset(",;:、，；：،؛—–…)）」』”»।")
_CLOSERS: Final = frozenset("\"'”’»)]）」』")
CLAUSE_PAUSE_MS: Final = 120
_NEVER_SHORTENED: Final = 4  # times the limit: what is longer is cut without asking, which keeps time linear
# A border that a reader of unspaced script might take: before the word that follows a particle written in hiragana,
# or around a run of letters of another script. Not within a number, a Latin word or a word in katakana.
_UNSPACED_BORDER: Final = regex.compile(
    r"(?<=\p{Hiragana})(?=[\p{Han}\p{Katakana}])|(?<=\p{Han})(?=[\p{Latin}\p{Nd}])|(?<=\p{Latin})(?=\p{Han})"
)
_EXTENDS: Final = regex.compile(r"[\p{Grapheme_Extend}\p{Mc}\u200D]")  # belongs to the character before it

_UNSPACED: Final = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}]")
_CLUSTER: Final = regex.compile(r"\X")


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
        place, pause_ms = _best_place(text, start, _before_a_tail(start, longest, end), longest)
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


def _before_a_tail(start: int, longest: int, end: int) -> int:
    """Return a place not after `longest` that leaves no fragment of a few letters behind it."""
    if end - longest >= (longest - start) // 3:
        return longest
    return max(start + 1, min(longest, start + (end - start) * 3 // 5))


def _best_place(text: str, start: int, preferred: int, longest: int) -> tuple[int, int]:
    """Return where to cut, and the pause there: near `preferred` and rather before it, never after `longest`."""
    half = start + (preferred - start) // 2
    beyond = range(preferred + 1, longest + 1)
    for place in itertools.chain(range(preferred, half, -1), beyond):
        if _ends_clause(text, place):
            return place, CLAUSE_PAUSE_MS
    earliest = half if _UNSPACED.match(text[preferred - 1]) else start + 1
    for place in itertools.chain(range(preferred, earliest, -1), beyond):
        if text[place - 1].isspace() and not _EXTENDS.match(text[place : place + 1]):
            return place, 0
    borders = [match.start() for match in _UNSPACED_BORDER.finditer(text, max(half, start + 1), longest)]
    return (borders[-1] if borders else _between_characters(text, start, longest)), 0


def _ends_clause(text: str, place: int) -> bool:
    """Say whether a speaker would breathe before this place: after a clause mark that is not inside a number."""
    mark, following = text[place - 1], text[place : place + 1]
    if mark not in _CLAUSE_ENDS or following in _CLOSERS or _EXTENDS.match(following):
        return False
    if mark.isascii():
        return not following or following.isspace()
    return not (following.isdecimal() and text[place - 2 : place - 1].isdecimal())  # 1914–1918, 3：00


def _between_characters(text: str, start: int, longest: int) -> int:
    """Return the last border of a grapheme cluster (Unicode UAX 29), or, in an endless one, any border."""
    border = start
    for cluster in _CLUSTER.finditer(text, start, longest + 1):
        if cluster.end() > longest:
            break
        border = cluster.end()
    return border if border > start else longest
