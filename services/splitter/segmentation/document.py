"""Divides a text whose parts are spoken differently: SSML, dialogues, and passages in other languages. Pure,
linear.

The text is cut where language, voice or speed changes, at SSML paragraph and sentence borders, and at
breaks. Each stretch between two cuts is divided separately, like any text; breaks and borders
become pauses, and SSML marks become marks.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Final

from msgspec import structs

from services.common.ssml.dialogue import dialogue_parts
from services.common.ssml.document import Border, Break, DocumentMark, Item, Style, TextRun
from services.common.ssml.reader import read_ssml
from services.common.wire.failures import MalformedSsml
from services.common.wire.options import DEFAULT_TEXT_OPTIONS, TextOptions
from services.common.wire.parts import Mark, Passage
from services.common.wire.punctuation import CLOSING_MARKS, SENTENCE_ENDS
from services.splitter.normalization.say_as import spoken_as
from services.splitter.normalization.text.alignment import Aligned, Edit, SpokenTooLong, most_spoken
from services.splitter.segmentation.boundaries import Span
from services.splitter.segmentation.cutting import CLAUSE_PAUSE_MS
from services.splitter.segmentation.sentences import (
    PARAGRAPH_PAUSE_MS,
    Sentence,
    SplitText,
    divided,
    dropped,
    nothing_spoken,
    pause_after,
    require_few,
)
from services.splitter.segmentation.words import moved, packed, unpacked

# a colon or semicolon at a cut also gets a full pause
_ENDS: Final = frozenset(SENTENCE_ENDS + ":;")
_CLAUSE_ENDS: Final = frozenset(",、，،–—")
_CLOSERS: Final = CLOSING_MARKS + " "


@dataclass(frozen=True)
class SplitOptions:
    """The request-wide options of a division."""

    language: str
    # language -> the longest sentence that the engine accepts, in characters
    limits: Mapping[str, int]
    text: TextOptions = DEFAULT_TEXT_OPTIONS


@dataclass(frozen=True)
class _Stretch:
    """A part of the text that is divided separately."""

    start: int  # offset of its first character in the request's text
    plain: Aligned  # its text without markup
    style: Style


def split_ssml(source: str, options: SplitOptions) -> SplitText:
    """Divide an SSML document. Raises MalformedSsml, EmptyText, UnspeakableText, TextTooLong."""
    document = read_ssml(source)
    for language in document.languages():
        if language not in options.limits:
            raise MalformedSsml(
                f"xml:lang asks for {language}, which the engine does not speak; leave it out"
            )
    found = _divided(
        source, _stretches(source, document.items, options.language), document.items, options
    )
    return replace(found, marks=tuple(_marks(document.items, found.sentences)))


def split_passages(text: str, passages: Sequence[Passage], options: SplitOptions) -> SplitText:
    """Divide a text with passages in other languages. Raises EmptyText, UnspeakableText."""
    stretches: list[_Stretch] = []
    borders: list[Item] = []
    for start, end, language in _in_order(text, passages):
        stretches.append(_Stretch(start, Aligned(text[start:end]), Style(language)))
        ending = text[start:end]
        borders.append(Border(end, paragraph=ending[len(ending.rstrip()) :].count("\n") > 1))
    return _divided(text, stretches, borders, options)


def split_dialogue(
    text: str, names: Sequence[str], passages: Sequence[Passage], options: SplitOptions
) -> SplitText:
    """Divide a dialogue with these speakers, and with passages in other languages. Raises EmptyText,
    UnspeakableText."""
    stretches: list[_Stretch] = []
    borders: list[Item] = []
    languages = list(_in_order(text, passages))
    ends = [end for _, end, _ in languages]
    for part in dialogue_parts(text, names):
        for start, end, language in languages[bisect_right(ends, part.start) :]:
            if start >= part.end:
                break
            begin = max(start, part.start)
            style = Style(language, voice=part.speaker)
            stretches.append(_Stretch(begin, Aligned(text[begin : min(end, part.end)]), style))
        ending = text[part.start : part.end]
        is_paragraph = ending[len(ending.rstrip()) :].count("\n") > 1
        borders.append(Border(part.end, paragraph=is_paragraph))
    return _divided(text, stretches, borders, options)


def _in_order(text: str, passages: Sequence[Passage]) -> Iterator[tuple[int, int, str]]:
    """Yield the passages and the text between them; overlaps and parts outside the text are cut
    off."""
    offset = 0
    for passage in passages:
        start = max(offset, passage.start)
        end = min(len(text), passage.end)
        if start < end:
            if offset < start:
                yield offset, start, ""
            yield start, end, passage.language
            offset = end
    if offset < len(text):
        yield offset, len(text), ""


def _stretches(source: str, items: Iterable[Item], language: str) -> Iterator[_Stretch]:
    """Yield the stretches of a document; marks do not separate stretches."""
    runs: list[TextRun] = []
    for item in items:
        parts = isinstance(item, Break | Border) or (
            isinstance(item, TextRun) and item.style != runs[-1].style if runs else False
        )
        if parts and runs:
            yield _stretch(source, runs, language)
            runs = []
        if isinstance(item, TextRun):
            runs.append(item)
    if runs:
        yield _stretch(source, runs, language)


def _stretch(source: str, runs: list[TextRun], language: str) -> _Stretch:
    """Return a stretch of these consecutive runs, aligned with the source."""
    start, end, style = runs[0].start, runs[-1].end, runs[0].style
    plain = Aligned(source[start:end]).edited(_edits(source, runs, style.language or language))
    return _Stretch(start, plain, style)


def _edits(source: str, runs: list[TextRun], language: str) -> Iterator[Edit]:
    """Yield the edits that remove the markup between the runs and replace the runs that are
    verbalized differently."""
    start = offset = runs[0].start
    for run in runs:
        if run.start > offset:
            yield Edit(offset - start, run.start - start, "")
        spoken = run.text
        if run.say_as is not None:
            spoken = spoken_as(run.text, run.say_as.kind, run.say_as.form, language)
        if spoken != source[run.start : run.end]:
            yield Edit(run.start - start, run.end - start, spoken)
        offset = run.end


def _divided(
    source: str, stretches: Iterable[_Stretch], items: Iterable[Item], options: SplitOptions
) -> SplitText:
    """Return the sentences of all stretches, with their pauses. Raises EmptyText,
    UnspeakableText."""
    sentences: list[Sentence] = []
    left_out: list[Span] = []
    spoken = 0
    for stretch in stretches:
        if stretch.plain.text.strip():
            found = _sentences(stretch, options)
            sentences += found.sentences
            left_out += found.left_out
            require_few(sentences)
            spoken += sum(len(sentence.spoken) for sentence in found.sentences)
            # each stretch may be short, and all together long
            if spoken > (most := most_spoken(len(source))):
                raise SpokenTooLong(
                    most, "pronunciations" if options.text.pronunciations else "numbers and signs"
                )
    if not sentences:
        raise nothing_spoken(source, left_out, options.language)
    sentences[-1] = replace(sentences[-1], pause_after_ms=0)
    _pause(sentences, items)
    return SplitText(tuple(sentences), tuple(dropped(source, sentences)), left_out=tuple(left_out))


def _sentences(stretch: _Stretch, options: SplitOptions) -> SplitText:
    """Return a stretch's sentences and what is left out of it, with offsets in the request's
    text."""
    text, style = stretch.plain.text, stretch.style
    language = style.language or options.language
    found = divided(
        text,
        language,
        max_characters=options.limits[language],
        options=structs.replace(options.text, split=False) if style.sentence else options.text,
    )
    mapped: list[Sentence] = []
    for sentence in found.sentences:
        start, end = _source_span(stretch, sentence.start, sentence.end)
        start = max(start, mapped[-1].end if mapped else 0)  # two may share an alias
        end = max(end, start)
        words = packed(moved(unpacked(sentence.words), stretch.plain, stretch.start))
        mapped.append(
            replace(
                sentence,
                start=start,
                end=end,
                language=style.language,
                rate=style.rate,
                voice=style.voice,
                words=words,
            )
        )
    if mapped:
        mapped[-1] = replace(mapped[-1], pause_after_ms=_pause_of(mapped[-1].spoken))
    return SplitText(
        tuple(mapped), (), left_out=tuple(_source_span(stretch, *span) for span in found.left_out)
    )


def _source_span(stretch: _Stretch, start: int, end: int) -> Span:
    """Return a stretch's span in the request's text."""
    start, end = stretch.plain.source(start, end)
    return start + stretch.start, end + stretch.start


def _pause_of(spoken: str) -> int:
    """Return the pause at the end of a stretch: none within a phrase."""
    last = spoken.rstrip(_CLOSERS)[-1:]
    if last in _ENDS:
        return pause_after(spoken)
    return CLAUSE_PAUSE_MS if last in _CLAUSE_ENDS else 0


def _pause(sentences: list[Sentence], items: Iterable[Item]) -> None:
    """Set the pauses at borders and breaks; a break takes precedence over a border."""
    starts = [sentence.start for sentence in sentences]
    paragraphs: dict[int, bool] = {}
    silences: dict[int, int] = {}
    for item in items:
        if isinstance(item, Border):
            gap = bisect_left(starts, item.place)
            paragraphs[gap] = paragraphs.get(gap, False) or item.paragraph
        elif isinstance(item, Break):
            gap = bisect_left(starts, item.place)
            silences[gap] = silences.get(gap, 0) + item.milliseconds
    for gap, paragraph in paragraphs.items():
        if 0 < gap < len(sentences):
            pause_ms = PARAGRAPH_PAUSE_MS if paragraph else pause_after(sentences[gap - 1].spoken)
            sentences[gap - 1] = replace(sentences[gap - 1], pause_after_ms=pause_ms)
    for gap, milliseconds in silences.items():
        if gap:
            sentences[gap - 1] = replace(sentences[gap - 1], pause_after_ms=milliseconds)
        else:
            sentences[0] = replace(sentences[0], pause_before_ms=milliseconds)


def _marks(items: Iterable[Item], sentences: tuple[Sentence, ...]) -> Iterator[Mark]:
    """Yield the positions of the marks in the audio."""
    starts = [sentence.start for sentence in sentences]
    breaks = [item for item in items if isinstance(item, Break)]
    break_offsets = [item.place for item in breaks]
    sums = [0, *accumulate(item.milliseconds for item in breaks)]
    for item in items:
        if not isinstance(item, DocumentMark):
            continue
        following = bisect_left(starts, item.place)
        before = sums[bisect_left(break_offsets, item.place)]
        if following and sentences[following - 1].end > item.place:
            within = following - 1
            yield Mark(item.name, within, sentences[within].pause_before_ms, within=True)
        elif not following:
            yield Mark(item.name, 0, before)
        else:
            until = (
                bisect_right(break_offsets, starts[following])
                if following < len(starts)
                else len(breaks)
            )
            yield Mark(item.name, following, before - sums[until])
