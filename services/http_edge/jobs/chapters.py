"""The chapters of a job: at which sentence each begins, and when. Pure."""

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import NamedTuple

import msgspec

from services.common.wire.parts import Chapter, Span

_BYTES_PER_SAMPLE = 2


class LocatedChapter(msgspec.Struct, frozen=True, array_like=True):
    """A chapter that has at least one sentence."""

    title: str
    start: int  # its first character in the text
    first: int  # sentences [first, until)
    until: int


class ChapterTimes(NamedTuple):
    """The position of a chapter in the audio, in samples."""

    title: str
    first_sample: int
    end_sample: int


def located(chapters: Iterable[Chapter], sentences: Sequence[Span]) -> tuple[LocatedChapter, ...]:
    """Return the chapters with their sentences. A chapter without any is left out.

    A sentence that reaches over the start of a chapter is the first one of that chapter.
    """
    firsts: list[tuple[Chapter, int]] = []
    sentence = 0
    for chapter in sorted(chapters, key=lambda each: each.start):
        while sentence < len(sentences) and sentences[sentence].end <= chapter.start:
            sentence += 1
        firsts.append((chapter, sentence))

    untils = [*(first for _, first in firsts[1:]), len(sentences)]
    return tuple(
        LocatedChapter(chapter.title, chapter.start, first, until)
        for (chapter, first), until in zip(firsts, untils, strict=True)
        if first < until
    )


def timed(chapters: Iterable[LocatedChapter], lengths: Sequence[int]) -> list[ChapterTimes]:
    """Return the times of the chapters that are spoken completely. `lengths`: bytes of each sentence."""
    begins = [0, *accumulate(length // _BYTES_PER_SAMPLE for length in lengths)]
    return [
        ChapterTimes(chapter.title, begins[chapter.first], begins[chapter.until])
        for chapter in chapters
        if chapter.until < len(begins)
    ]
