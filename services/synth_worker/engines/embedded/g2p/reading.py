"""Phonemes with the characters that each of them reads. Pure.

Most readers return one group of phonemes a word. Where a reader joins words ("of the") or divides one, the words are
also read one by one, and the borders between them are found by matching these readings with the whole.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final, NamedTuple

Span = tuple[int, int]  # first character and one past the last

_SPACED: Final = (re.compile(r"\S+"), re.compile(r"[^\s-]+"))
_SPACE: Final = re.compile(r"\s+")


class Piece(NamedTuple):
    """Phonemes, and the characters that they read; none for a mark."""

    phonemes: str
    span: Span | None


@dataclass(frozen=True)
class PhonemeReading:
    """The phonemes of a text, and the characters that each symbol other than a space reads.

    `owners` is empty if that is not known.
    """

    phonemes: str
    owners: tuple[Span | None, ...] = ()


def word_pieces(
    words: str, phonemes: str, read_each: Callable[[Sequence[str]], Sequence[str]]
) -> list[Piece]:
    """Divide the phonemes of `words` among them. `read_each` reads words one by one."""
    said = phonemes.split()
    if not said:
        return []
    for pattern in _SPACED:
        spans = [found.span() for found in pattern.finditer(words)]
        if len(spans) == len(said):
            return [Piece(group, span) for group, span in zip(said, spans, strict=True)]
    spans = [found.span() for found in _SPACED[0].finditer(words)]
    if len(spans) == 1:
        return [Piece(phonemes, spans[0])]
    alone = [_SPACE.sub("", one) for one in read_each([words[slice(*span)] for span in spans])]
    whole = "".join(said)
    cuts = [0, *_matching_cuts(alone, whole), len(whole)]
    return [
        Piece(whole[cuts[index] : cuts[index + 1]], span)
        for index, span in enumerate(spans)
        if cuts[index] < cuts[index + 1]
    ]


def _matching_cuts(alone: Sequence[str], whole: str) -> list[int]:
    """Return the offsets in `whole` that match the borders between the readings `alone`."""
    joined = "".join(alone)
    blocks = SequenceMatcher(None, joined, whole, autojunk=False).get_matching_blocks()
    cuts = []
    border = 0
    for reading in alone[:-1]:
        border += len(reading)
        cuts.append(_matched(border, blocks))
    return cuts


def _matched(offset: int, blocks: Iterable[tuple[int, int, int]]) -> int:
    """Return the offset that matches one of the first sequence; between two blocks in proportion."""
    before_first = before_second = 0
    for first, second, size in blocks:
        if offset < first:
            share = (offset - before_first) / (first - before_first)
            return before_second + round(share * (second - before_second))
        if offset <= first + size:
            return second + offset - first
        before_first, before_second = first + size, second + size
    return before_second


def placed(pieces: Iterable[Piece], offsets: Sequence[int]) -> Iterator[Piece]:
    """Yield the readings with spans in the text. `offsets`: of each character of their words in the text."""
    for phonemes, span in pieces:
        if span is not None and span[0] < span[1] <= len(offsets):
            yield Piece(phonemes, (offsets[span[0]], offsets[span[1] - 1] + 1))
        else:
            yield Piece(phonemes, None)
