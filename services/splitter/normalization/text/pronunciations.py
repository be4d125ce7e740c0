"""Applies the pronunciations of a request. Pure and linear."""

from collections.abc import Iterator, Mapping

import regex

from services.splitter.normalization.text.alignment import Aligned, Edit


def respelled(aligned: Aligned, pronunciations: Mapping[str, str]) -> Aligned:
    """Return the text with these words replaced: whole words, case-sensitive, the longest first."""
    if not pronunciations:
        return aligned
    words = regex.compile(r"\L<words>", words=list(pronunciations))
    return aligned.edited(_edits(words, aligned.text, pronunciations))


def _edits(
    words: "regex.Pattern[str]", text: str, pronunciations: Mapping[str, str]
) -> Iterator[Edit]:
    offset = 0
    while (found := words.search(text, offset)) is not None:
        start, offset = found.span()
        if _whole(text, start, offset):
            yield Edit(start, offset, pronunciations[found[0]])


def _whole(text: str, start: int, end: int) -> bool:
    """Return whether the match does not begin or end inside a word; always true in scripts without
    spaces."""
    return not (
        _within(text[start - 1 : start], text[start]) or _within(text[end - 1], text[end : end + 1])
    )


def _within(left: str, right: str) -> bool:
    return left.isalnum() and right.isalnum() and ord(max(left, right)) < 0x2E80
