"""Divides a text into the sentences to synthesize, each within the engine's limit. Pure, linear in
the text.

The text is first verbalized, then divided; the spans still refer to the text as it was sent. Every
character of that text is in exactly one sentence or in a dropped span. Dropped are white space,
lone punctuation, and letters that no voice can speak; the spans of these letters are also reported
as left out.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import regex

from services.common.wire.failures import EmptyText, TextTooLong, UnspeakableText
from services.common.wire.options import DEFAULT_TEXT_OPTIONS, TextOptions
from services.common.wire.parts import Mark
from services.common.wire.punctuation import CLOSING_MARKS, SPACED_ENDS, WIDE_ENDS
from services.splitter.normalization.reader import read
from services.splitter.normalization.text.alignment import Aligned
from services.splitter.normalization.text.alphabets import script_of, speakable
from services.splitter.segmentation.boundaries import Span, boundaries
from services.splitter.segmentation.cutting import cut
from services.splitter.segmentation.words import packed, words_of

_PARAGRAPH: Final = regex.compile(r"(?:\n[^\S\n]*+\n|[\u2029\f])\s*+")
# before a list item
_ITEM: Final = regex.compile(r"\n(?=[^\S\n]*+(?:[-–—•*·▪]|\p{Nd}{1,3}[.)])(?:\s|\Z))")
# characters: fragments make engines stumble
_SHORT: Final = {"zh": 4, "ja": 4, "ko": 7, "ar": 9, "hi": 9}
_SHORT_ELSEWHERE: Final = 12
# An ellipsis leaves a short sentence open.
_WHOLE_ENDS: Final = (SPACED_ENDS + WIDE_ENDS).replace("…", "")
# The end of a sentence, however short: a mark after a word that is not an initial or a Roman
# numeral.
_WHOLE: Final = regex.compile(
    r"(?:\p{Ll}[\p{Ll}\p{M}]*+|\p{Lo}[\p{Lo}\p{M}]++|[\p{Han}\p{Hiragana}\p{Katakana}]|(?![가나다라마바사아자차카타파하]\.)\p{Hangul})"
    rf"(?:[{_WHOLE_ENDS}]|\s[!?]|\s?[!?]{{2,3}})[\p{{Pe}}\p{{Pf}}\"']*+$"
)
_BEGINS: Final = regex.compile(r"[\p{Ps}\p{Pi}\"'„¿¡]*+[\p{Lu}\p{Lo}\p{Nd}]")
_SCRIPTS_NAMED: Final = 3
MOST_SENTENCES: Final = 100_000  # of one text
PARAGRAPH_PAUSE_MS: Final = 600
PAUSES_MS: Final = {
    "…": 400,
    "?": 320,
    "!": 320,
    "？": 320,
    "！": 320,
    "؟": 320,
    ":": 200,
    ";": 200,
}
_PAUSE_MS: Final = 280


@dataclass(frozen=True)
class Sentence:
    """One sentence of the request's text."""

    start: int  # first character, counted in code points
    end: int  # one past the last
    spoken: str  # the text for the engine: normalized, never longer than the limit
    pause_after_ms: int  # pause after it; 0 after the last
    pause_before_ms: int = 0  # pause before it, if it is the first
    language: str = ""  # ISO 639-1; empty: the request's
    rate: float = 1.0  # relative to the request's speed: 2 is twice as fast
    words: bytes = b""  # written words and what is spoken for each, as `words.packed` has them
    voice: str = ""  # its name in the text; empty: that of the request


@dataclass(frozen=True)
class SplitText:
    """A divided text. The spans of sentences and dropped text together cover the whole text."""

    sentences: tuple[Sentence, ...]
    dropped: tuple[Span, ...]
    marks: tuple[Mark, ...] = ()
    left_out: tuple[Span, ...] = ()  # letters that no voice of their language can speak, in order


def split(
    text: str,
    language: str,
    *,
    max_characters: int,
    options: TextOptions = DEFAULT_TEXT_OPTIONS,
) -> SplitText:
    """Divide a text in a language (ISO 639-1) into sentences of at most `max_characters` spoken
    characters.

    Raises EmptyText if there is nothing to speak, UnspeakableText if no voice of the
    language can speak the text, TextTooLong if the spoken form is many times longer than the
    written text, or has too many sentences.
    """
    found = divided(text, language, max_characters=max_characters, options=options)
    if not found.sentences:
        raise nothing_spoken(text, found.left_out, language)
    return found


def divided(text: str, language: str, *, max_characters: int, options: TextOptions) -> SplitText:
    """Divide a text like `split`; return no sentences if nothing can be spoken."""
    aligned, left_out = speakable(read(text, language, options), language)
    sentences: list[Sentence] = []
    for spans in _groups(aligned.text, language, max_characters, splitting=options.split):
        spoken = [part for span in spans for part in _spoken(text, aligned, span, max_characters)]
        if spoken:
            spoken[-1] = replace(spoken[-1], pause_after_ms=PARAGRAPH_PAUSE_MS)
        sentences += spoken
        require_few(sentences)
    if sentences:
        sentences[-1] = replace(sentences[-1], pause_after_ms=0)
        sentences = list(_apart(text, sentences, language))
    return SplitText(tuple(sentences), tuple(dropped(text, sentences)), left_out=left_out)


def require_few(sentences: Sequence[Sentence]) -> None:
    """Raise TextTooLong if a text has more sentences than one request may have."""
    if len(sentences) > MOST_SENTENCES:
        raise TextTooLong(f"the text has more than {MOST_SENTENCES} sentences; send it in parts")


def nothing_spoken(
    text: str, left_out: Sequence[Span], language: str
) -> EmptyText | UnspeakableText:
    """Return the reason why nothing of a text is spoken. It names the scripts that were left out,
    never the words."""
    letters = (text[offset] for start, end in left_out for offset in range(start, end))
    scripts = list(dict.fromkeys(script_of(letter) for letter in letters if letter.isalpha()))
    if not scripts:
        return EmptyText("the text has no word that could be spoken; send at least one")
    named = ", ".join(scripts[:_SCRIPTS_NAMED])
    return UnspeakableText(
        f"the text is written in {named}, which the voices of language={language} cannot speak; "
        "write it in letters of that language"
    )


def _groups(text: str, language: str, limit: int, *, splitting: bool) -> Iterator[list[Span]]:
    """Yield the spans to speak, one list per paragraph; without splitting a single list with as few
    spans as possible."""
    if not splitting and len(_collapsed(text)) <= limit:
        yield [(0, len(text))]
        return
    paragraphs = (boundaries(text, paragraph, language) for paragraph in _paragraphs(text))
    if splitting:
        short = _SHORT.get(language, _SHORT_ELSEWHERE)
        yield from (_joined(text, spans, limit, short) for spans in paragraphs)
    else:
        yield _joined(
            text, itertools.chain.from_iterable(paragraphs), limit, short=limit, splitting=False
        )


def _paragraphs(text: str) -> Iterator[Span]:
    """Yield the spans of the paragraphs and list items."""
    start = 0
    for pattern_end in sorted(
        {match.end() for pattern in (_PARAGRAPH, _ITEM) for match in pattern.finditer(text)}
    ):
        yield start, pattern_end
        start = pattern_end
    yield start, len(text)


def _joined(
    text: str, spans: Iterable[Span], limit: int, short: int, *, splitting: bool = True
) -> list[Span]:
    """Join each fragment shorter than `short` to the next span, and a last one to the previous
    span, within the limit.

    "Yes." is a sentence and keeps its pause; "A." and spans without a final mark are fragments;
    without splitting every sentence counts as a fragment. Spans in which nothing can be spoken are
    left out.
    """
    joined: list[Span] = []
    lengths: list[int] = []  # spoken characters of each
    whole = False  # whether the last span is a sentence, however short
    for start, end in spans:
        spoken = _collapsed(text[start:end])
        if not _speakable(spoken):
            continue
        fragment = lengths and lengths[-1] < short and not (whole and _BEGINS.match(spoken))
        whole = splitting and len(spoken) < short and _WHOLE.search(spoken) is not None
        if fragment and lengths[-1] + 1 + len(spoken) <= limit:
            joined[-1] = (joined[-1][0], end)
            lengths[-1] += 1 + len(spoken)
        else:
            joined.append((start, end))
            lengths.append(len(spoken))
    if (
        len(joined) > 1
        and not whole
        and lengths[-1] < short
        and lengths[-2] + 1 + lengths[-1] <= limit
    ):
        joined[-2:] = [(joined[-2][0], joined[-1][1])]
    return joined


def _spoken(text: str, aligned: Aligned, span: Span, limit: int) -> Iterator[Sentence]:
    """Yield a sentence, cut if it is too long, without parts that have nothing to speak."""

    def fits(start: int, end: int) -> bool:
        return end - start <= limit or len(_collapsed(aligned.text[start:end])) <= limit

    start, end = _stripped(aligned.text, *span)
    for part in cut(aligned.text, start, end, fits, limit):
        spoken = _collapsed(aligned.text[part.start : part.end])
        if _speakable(spoken):
            pause_ms = pause_after(spoken) if part.pause_after_ms is None else part.pause_after_ms
            stripped = _stripped(aligned.text, part.start, part.end)
            written = aligned.source(*stripped)
            words = packed(words_of(text, written, aligned, stripped))
            yield Sentence(*written, spoken, pause_ms, words=words)


def _apart(text: str, sentences: list[Sentence], language: str) -> Iterator[Sentence]:
    """Yield the sentences with spans that do not overlap and do not leave out a letter.

    Both can happen if two sentences come from one written token: a long number, a ligature of
    words.
    """
    offset = 0
    nexts = [sentence.start for sentence in sentences[1:]]
    for sentence, following in zip(sentences, [*nexts, len(text)], strict=True):
        start, end = _stripped(text, max(offset, sentence.start), max(offset, sentence.end))
        if text[end:following].strip():
            aligned, _ = speakable(read(text[end:following], language), language)
            end = following if _speakable(aligned.text) else end
        offset = max(offset, end)
        yield replace(sentence, start=start, end=max(start, end))


def _collapsed(text: str) -> str:
    return " ".join(text.split())


def _speakable(spoken: str) -> bool:
    return any(character.isalnum() for character in spoken)


def _stripped(text: str, start: int, end: int) -> Span:
    """Return the span without white space at its ends."""
    part = text[start:end]
    return start + len(part) - len(part.lstrip()), end - len(part) + len(part.rstrip())


def pause_after(spoken: str) -> int:
    """Return the pause after a sentence, in milliseconds, by the mark that ends it."""
    closing = spoken.rstrip(CLOSING_MARKS + " ")
    if closing.endswith("..."):
        return PAUSES_MS["…"]
    return PAUSES_MS.get(closing[-1:], _PAUSE_MS)


def dropped(text: str, sentences: Iterable[Sentence]) -> Iterator[Span]:
    """Yield the spans between the sentences."""
    offset = 0
    for sentence in sentences:
        if sentence.start > offset:
            yield offset, sentence.start
        offset = sentence.end
    if offset < len(text):
        yield offset, len(text)
