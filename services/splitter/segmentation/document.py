"""A text whose parts are spoken differently: in other languages, at other speeds, with pauses and marks. Pure, linear.

It is cut where the way of speaking changes, where SSML sets a border, and where there is a break. Each stretch between
two cuts is divided by itself, as any text is; what stands between them becomes pauses and marks.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Final

from services.common.ssml.document import Border, Break, Item, Style, TextRun
from services.common.ssml.document import Mark as DocumentMark
from services.common.ssml.reader import read_ssml
from services.common.wire.failures import MalformedSsml
from services.common.wire.messages import Mark, Passage
from services.splitter.normalization.say_as import said_as
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

_ENDS: Final = frozenset(".!?…:;。！？؟।｡")
_CLAUSE_ENDS: Final = frozenset(",、，،–—")
_CLOSERS: Final = "\"'”’»)]）」』 "


@dataclass(frozen=True)
class SplitOptions:
    """How a whole request is divided; as the arguments of `split`."""

    language: str
    limits: Mapping[str, int]  # language -> the longest sentence that the engine takes
    splitting: bool = True
    spoken_forms: bool = True
    pronunciations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Stretch:
    """What is divided by itself."""

    start: int  # of its first character in the request's text
    plain: Aligned  # what is spoken of it
    style: Style


def split_ssml(source: str, manner: SplitOptions) -> SplitText:
    """Divide an SSML document. Raises MalformedSsml, EmptyText, UnspeakableText, TextTooLong."""
    document = read_ssml(source)
    for language in document.languages():
        if language not in manner.limits:
            raise MalformedSsml(f"xml:lang asks for {language}, which the engine does not speak; leave it out")
    found = _divided(source, _stretches(source, document.items, manner.language), document.items, manner)
    return replace(found, marks=tuple(_marks(document.items, found.sentences)))


def split_passages(text: str, passages: Sequence[Passage], manner: SplitOptions) -> SplitText:
    """Divide a text with passages in other languages. Raises EmptyText, UnspeakableText."""
    stretches: list[_Stretch] = []
    borders: list[Item] = []
    for start, end, language in _in_order(text, passages):
        stretches.append(_Stretch(start, Aligned(text[start:end]), Style(language)))
        ending = text[start:end]
        borders.append(Border(end, paragraph=ending[len(ending.rstrip()) :].count("\n") > 1))
    return _divided(text, stretches, borders, manner)


def _in_order(text: str, passages: Sequence[Passage]) -> Iterator[tuple[int, int, str]]:
    """Yield the passages and what is between them; what overlaps or lies outside is cut off."""
    place = 0
    for passage in passages:
        start, end = max(place, passage.start), min(len(text), passage.end)
        if start < end:
            if place < start:
                yield place, start, ""
            yield start, end, passage.language
            place = end
    if place < len(text):
        yield place, len(text), ""


def _stretches(source: str, items: Iterable[Item], language: str) -> Iterator[_Stretch]:
    """Yield what is divided by itself; marks part nothing."""
    pieces: list[TextRun] = []
    for item in items:
        parts = isinstance(item, Break | Border) or (
            isinstance(item, TextRun) and item.style != pieces[-1].style if pieces else False
        )
        if parts and pieces:
            yield _stretch(source, pieces, language)
            pieces = []
        if isinstance(item, TextRun):
            pieces.append(item)
    if pieces:
        yield _stretch(source, pieces, language)


def _stretch(source: str, pieces: list[TextRun], language: str) -> _Stretch:
    """Return what these pieces say, one after another, and the way back to their places."""
    start, end, style = pieces[0].start, pieces[-1].end, pieces[0].style
    plain = Aligned(source[start:end]).edited(_edits(source, pieces, style.language or language))
    return _Stretch(start, plain, style)


def _edits(source: str, pieces: list[TextRun], language: str) -> Iterator[Edit]:
    """Yield what is said instead of the markup between the pieces and of those that are said otherwise."""
    start = place = pieces[0].start
    for piece in pieces:
        if piece.start > place:
            yield Edit(place - start, piece.start - start, "")
        said = piece.text
        if piece.say_as is not None:
            said = said_as(piece.text, piece.say_as.kind, piece.say_as.form, language)
        if said != source[piece.start : piece.end]:
            yield Edit(piece.start - start, piece.end - start, said)
        place = piece.end


def _divided(source: str, stretches: Iterable[_Stretch], items: Iterable[Item], manner: SplitOptions) -> SplitText:
    """Return the sentences of all stretches, with their pauses. Raises EmptyText, UnspeakableText."""
    sentences: list[Sentence] = []
    left_out: list[Span] = []
    spoken = 0
    for stretch in stretches:
        if stretch.plain.text.strip():
            found = _sentences(stretch, manner)
            sentences += found.sentences
            left_out += found.left_out
            require_few(sentences)
            spoken += sum(len(sentence.spoken) for sentence in found.sentences)
            if spoken > (most := most_spoken(len(source))):  # each stretch may be short, and all together long
                raise SpokenTooLong(most, "pronunciations" if manner.pronunciations else "numbers and signs")
    if not sentences:
        raise nothing_spoken(source, left_out, manner.language)
    sentences[-1] = replace(sentences[-1], pause_after_ms=0)
    _pause(sentences, items)
    return SplitText(tuple(sentences), tuple(dropped(source, sentences)), left_out=tuple(left_out))


def _sentences(stretch: _Stretch, manner: SplitOptions) -> SplitText:
    """Return a stretch's sentences and what is left out of it, with places in the request's text."""
    text, style = stretch.plain.text, stretch.style
    language = style.language or manner.language
    found = divided(
        text,
        language,
        max_characters=manner.limits[language],
        enable_text_splitting=manner.splitting and not style.sentence,
        spoken_forms=manner.spoken_forms,
        pronunciations=manner.pronunciations,
    )
    placed: list[Sentence] = []
    for sentence in found.sentences:
        start, end = _placed(stretch, sentence.start, sentence.end)
        start = max(start, placed[-1].end if placed else 0)  # two may share an alias
        end = max(end, start)
        placed.append(replace(sentence, start=start, end=end, language=style.language, rate=style.rate))
    if placed:
        placed[-1] = replace(placed[-1], pause_after_ms=_pause_of(placed[-1].spoken))
    return SplitText(tuple(placed), (), left_out=tuple(_placed(stretch, *span) for span in found.left_out))


def _placed(stretch: _Stretch, start: int, end: int) -> Span:
    """Return a stretch's span in the request's text."""
    start, end = stretch.plain.source(start, end)
    return start + stretch.start, end + stretch.start


def _pause_of(spoken: str) -> int:
    """Return the silence after words behind which the manner changes: none within a phrase."""
    last = spoken.rstrip(_CLOSERS)[-1:]
    if last in _ENDS:
        return pause_after(spoken)
    return CLAUSE_PAUSE_MS if last in _CLAUSE_ENDS else 0


def _pause(sentences: list[Sentence], items: Iterable[Item]) -> None:
    """Let borders and breaks say how long the pauses are where they stand; a break outdoes a border."""
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
    """Yield where the marks are in the sound."""
    starts = [sentence.start for sentence in sentences]
    breaks = [item for item in items if isinstance(item, Break)]
    places = [item.place for item in breaks]
    sums = [0, *accumulate(item.milliseconds for item in breaks)]
    for item in items:
        if not isinstance(item, DocumentMark):
            continue
        following, before = bisect_left(starts, item.place), sums[bisect_left(places, item.place)]
        if following and sentences[following - 1].end > item.place:
            within = following - 1
            yield Mark(item.name, within, sentences[within].pause_before_ms, within=True)
        elif not following:
            yield Mark(item.name, 0, before)
        else:
            until = bisect_right(places, starts[following]) if following < len(starts) else len(places)
            yield Mark(item.name, following, before - sums[until])
