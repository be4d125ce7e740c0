"""Finds the samples in which each word of a sentence is spoken: measured by the engine, or estimated. Pure."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Final, NamedTuple

from services.common.wire.parts import SpokenWord, TimesOrigin, WordTime
from services.synth_worker.engines.protocol import TimedSpan

_CLAUSE_MARKS: Final = frozenset(",;:、，；：،؛—–…")
_CLAUSE_CHARACTERS: Final = 4  # as long as this many, where a mark is a pause


class SpeechSpan(NamedTuple):
    """Samples [first, end) of a sentence, without the silence around its speech."""

    first: int
    end: int


def word_times(
    words: Iterable[SpokenWord],
    text: str,
    times: Sequence[TimedSpan],
    *,
    shift: int,
    speech: SpeechSpan,
) -> tuple[tuple[WordTime, ...], TimesOrigin]:
    """Return when each word is spoken, in samples of the sentence, and how that was found.

    `text`: what the engine spoke. `times`: from the engine, in the order of the text; empty if it has none.
    `shift`: from the engine's samples to those of the sentence.
    """
    measured = bool(times)
    spans = sorted(times) if measured else _estimated(text, speech)
    moved = shift if measured else 0
    starts = [span.start for span in spans]
    found: list[WordTime] = []
    last = speech.first
    for word in words:
        first, end = _time(spans, starts, word.spoken_start, word.spoken_end)
        first = min(max(first + moved, last), speech.end)
        end = min(max(end + moved, first), speech.end)
        found.append(WordTime(word.start, word.end, first, end))
        last = end
    return tuple(found), "measured" if measured else "estimated"


def _time(
    spans: Sequence[TimedSpan], starts: Sequence[int], start: int, end: int
) -> tuple[int, int]:
    """Return when the characters [start, end) are spoken; where no span has them, the end of what is before them."""
    index = max(0, bisect_right(starts, start) - 1)
    if spans[index].end <= start and index + 1 < len(spans):
        index += 1
    if spans[index].start >= end or spans[index].end <= start:
        before = [span.end_sample for span in spans[: index + 1] if span.end <= start]
        sample = before[-1] if before else spans[0].first_sample
        return sample, sample
    last = max(index, bisect_right(starts, end - 1) - 1)
    return _within(spans[index], start), _within(spans[last], end)


def _within(span: TimedSpan, character: int) -> int:
    """Return the sample at a character of a span, in proportion."""
    share = (min(max(character, span.start), span.end) - span.start) / max(1, span.end - span.start)
    return span.first_sample + round(share * (span.end_sample - span.first_sample))


def _estimated(text: str, speech: SpeechSpan) -> list[TimedSpan]:
    """Return the times of each character in proportion to the length of the text."""
    weights = [
        _CLAUSE_CHARACTERS if character in _CLAUSE_MARKS else 1
        for character in text.rstrip(".!?。")
    ] or [1]
    ends = list(accumulate(weights))
    length = speech.end - speech.first
    samples = [speech.first, *(speech.first + end * length // ends[-1] for end in ends)]
    return [
        TimedSpan(index, index + 1, samples[index], samples[index + 1])
        for index in range(len(weights))
    ]
