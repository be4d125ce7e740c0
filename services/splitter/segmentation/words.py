"""Finds the words of a text as its client wrote them, and what is spoken for each. Pure, linear.

Words are separated by white space, and contain the punctuation next to them. In the scripts that are written without
spaces (Chinese characters, kana), each character is a word. A token for which nothing is spoken is not a word.
"""

import string
import struct
from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from typing import Final, NamedTuple

import regex

from services.splitter.normalization.text.alignment import Aligned, Span

_UNSPACED: Final = r"\p{Han}\p{Hiragana}\p{Katakana}"
_TOKEN: Final = regex.compile(
    # a mark that lengthens or closes belongs to the character before it
    rf"[{_UNSPACED}][ー\p{{M}}\p{{Pe}}\p{{Pf}}\p{{Po}}]*+|(?:(?![{_UNSPACED}])\S)++"
)
_DIGIT_CHARACTERS: Final = 5  # that a digit is spoken with
_PACKED: Final = struct.Struct("<IHHH")
_LONGEST: Final = 0xFFFF


class Word(NamedTuple):
    """A written word: characters [start, end) of the text, and the part of the sentence that is spoken for it."""

    start: int
    end: int
    spoken_start: int
    spoken_end: int


def words_of(text: str, written: Span, aligned: Aligned, part: Span) -> Iterator[Word]:
    """Yield the words of a sentence.

    `written`: its span in the text; `part`: its span in the aligned text. The offsets of what is spoken count in the
    sentence that the engine receives, which is the part without repeated white space.
    """
    start, end = written
    spoken = aligned.text[part[0] : part[1]]
    offsets = _collapsed_offsets(spoken)
    tokens = [token.span() for token in _TOKEN.finditer(text, start, end)]
    if text[start:end] == spoken:
        parts = [(span, (span[0] - start, span[1] - start)) for span in tokens]
    else:
        parts = [
            found
            for group in _groups(tokens, aligned)
            for found in _spoken_parts(text, group, aligned, part)
        ]
    for span, (low, high) in parts:
        if any(map(str.isalnum, spoken[low:high])):
            yield Word(span[0], span[1], offsets[low], offsets[high])


def _groups(tokens: Iterable[Span], aligned: Aligned) -> Iterator[list[Span]]:
    """Yield the tokens in groups that were replaced together, such as those of a date; most are alone."""
    group: list[Span] = []
    for token in tokens:
        if group and not (aligned.replaces(group[-1][1]) or aligned.replaces(token[0])):
            yield group
            group = []
        group.append(token)
    if group:
        yield group


def _spoken_parts(
    text: str, group: list[Span], aligned: Aligned, part: Span
) -> Iterator[tuple[Span, Span]]:
    """Yield the tokens of a group, each with its share of what is spoken for the group."""
    low, high = (
        min(max(offset, part[0]), part[1]) for offset in aligned.spoken(group[0][0], group[-1][1])
    )
    if len(group) == 1:
        yield group[0], (low - part[0], high - part[0])
        return
    verbalized = [found.span() for found in _TOKEN.finditer(aligned.text, low, high)]
    if not verbalized:
        return
    shares = _shares(
        [_bare(text[slice(*token)]) for token in group],
        [_bare(aligned.text[slice(*word)]) for word in verbalized],
    )
    for token, (first, beyond) in zip(group, shares, strict=True):
        if first < beyond:
            yield token, (verbalized[first][0] - part[0], verbalized[beyond - 1][1] - part[0])


def _shares(written: list[str], verbalized: list[str]) -> list[Span]:
    """Divide spoken words among written ones, in order: equal words first, the rest by length."""
    matcher = SequenceMatcher(None, written, verbalized, autojunk=False)
    shares: list[Span] = []
    for kind, low, high, first, beyond in matcher.get_opcodes():
        if kind == "equal":
            shares += [(first + index, first + index + 1) for index in range(high - low)]
        elif low == high:
            if shares:  # in addition: it belongs to the word before it
                shares[-1] = (shares[-1][0], beyond)
        else:
            shares += _divided(written[low:high], verbalized[first:beyond], first)
    return shares


def _divided(written: list[str], verbalized: list[str], first: int) -> Iterator[Span]:
    """Divide spoken words by the length of the written ones. `first`: index of the first spoken word."""
    weights = [
        _DIGIT_CHARACTERS * len(word) if word[:1].isdigit() else max(1, len(word))
        for word in written
    ]
    sizes = [len(word) + 1 for word in verbalized]
    ends = [sum(sizes[: index + 1]) / sum(sizes) for index in range(len(sizes))]
    index = 0
    for count, _ in enumerate(weights, 1):
        share = sum(weights[:count]) / sum(weights)
        left = len(weights) - count  # words that need one each
        begin = index
        while index < len(verbalized) and (
            index == begin or (ends[index] - share < share - ends[index - 1])
        ):
            if index > begin and len(verbalized) - index <= left:
                break
            index += 1
        if not left:
            index = len(verbalized)
        yield first + begin, first + index


def _bare(word: str) -> str:
    return word.strip(string.punctuation + "。，、").casefold()


def moved(words: Iterable[Word], aligned: Aligned, offset: int) -> Iterator[Word]:
    """Yield words of an aligned text as words of its source, which begins at `offset`.

    Words that replace one part of the source are one word.
    """
    before: Word | None = None
    for word in words:
        start, end = aligned.whole_source(word.start, word.end)
        here = word._replace(start=start + offset, end=end + offset)
        if before is not None and here.start < before.end:
            before = before._replace(end=max(before.end, here.end), spoken_end=here.spoken_end)
            continue
        if before is not None:
            yield before
        before = here
    if before is not None:
        yield before


def packed(words: Iterable[Word]) -> bytes:
    """Return words in ten bytes each: a long text has hundreds of thousands."""
    return b"".join(
        _PACKED.pack(
            word.start,
            min(word.end - word.start, _LONGEST),
            min(word.spoken_start, _LONGEST),
            min(word.spoken_end - word.spoken_start, _LONGEST),
        )
        for word in words
    )


def unpacked(content: bytes) -> Iterator[Word]:
    """Yield the words of `packed`."""
    for start, length, spoken_start, spoken_length in _PACKED.iter_unpack(content):
        yield Word(start, start + length, spoken_start, spoken_start + spoken_length)


def _collapsed_offsets(text: str) -> list[int]:
    """Return the offset of each character, and of the end, in the text without repeated white space."""
    offsets: list[int] = []
    count = 0
    gap = False
    for character in text:
        if character.isspace():
            offsets.append(count)
            gap = count > 0
            continue
        count += gap
        gap = False
        offsets.append(count)
        count += 1
    return [*offsets, count]
