"""A text to the sentences that are spoken, each within the engine's limit. Pure, linear in the text.

Boundaries come from sentencex (ADR 5); what it misses in our languages is mended here. Every character of the text is
in exactly one sentence, or in a dropped span: white space, lone punctuation, what nobody can speak.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import regex
import sentencex

from services.common.wire.failures import EmptyText
from services.splitter.cutting import cut
from services.splitter.normalize import normalize

_PARAGRAPH: Final = regex.compile(r"\n[^\S\n]*+\n\s*+|\u2029|\f")
_LINE: Final = regex.compile(r"(?<=[^\n])\n(?=\s*+(?:[-–—•*·▪]\s|\p{Nd}{1,3}[.)]\s))")  # before an item of a list
_WIDE_END: Final = regex.compile(r"[。！？｡!?]++[」』”’）)】》]*+(?![」』”’）)】》。！？｡!?と])")
# Abbreviations before which a sentence seldom ends, where the library does not know them.
_ABBREVIATION_WORDS: Final = {
    "fr": "M MM Mme Mlle Mgr Me Dr Pr St Ste cf Cf p pp art env tél apr av vol chap fig éd h min",
    "es": "Sr Sra Srta Dr Dra D Dña Ud Uds Vd Vds EE UU pág págs núm aprox tel avda",
    "it": "Sig Sigg dott prof Dott Prof Sig.ra avv ing pag pagg art ecc es tel",
    "pt": "Sr Sra Srs Dr Dra Prof Profa Exmo Exma pág págs núm tel Av R",
    "pl": "prof dr hab mgr inż ul al pl os tj tzn np m.in str nr tel godz r w",
    "cs": "ul nám č např tzv tj tzn p pí dr Dr Ing Mgr MUDr JUDr str tel stol r hod",
    "nl": "dhr mevr dr drs ir prof mr bijv bv enz ca nr blz tel o.a d.w.z",
    "hu": "dr Dr ifj id özv pl kb ún stb tel u utc sz old",
    "tr": "Dr Prof Doç Yrd Av Sn Bkz bkz vb vs örn Cad Sok Mah No Tel",
    "ru": "г гг ул д кв корп стр т.е т.к т.д т.п им проф акад тыс млн млрд руб коп см рис",
    "de": "Dr Prof Hr Fr Nr Str bzw ca evtl ggf inkl usw vgl z.B d.h u.a Abs Art Tel",
}
_ABBREVIATIONS: Final = {language: frozenset(words.lower().split()) for language, words in _ABBREVIATION_WORDS.items()}
_WIDE_QUOTES: Final = ("」", "』", "”")
_UNSPACED: Final = frozenset(("zh", "ja"))  # written without spaces between words
_WINDOW: Final = 4096
_SHORT: Final = 12  # characters of a sentence that is joined to its neighbour: fragments make engines stumble
_SHORT_WIDE: Final = 4
_PARAGRAPH_PAUSE_MS: Final = 600
_PAUSES_MS: Final = {"…": 400, "?": 320, "!": 320, "？": 320, "！": 320, "؟": 320, ":": 200, ";": 200}
_PAUSE_MS: Final = 280

Span = tuple[int, int]


@dataclass(frozen=True)
class Sentence:
    """One sentence of the request's text."""

    start: int  # first character, counted in code points
    end: int  # one past the last
    spoken: str  # what the engine is given: normalised, never longer than the limit
    pause_after_ms: int  # silence owed after it; none after the last


@dataclass(frozen=True)
class SplitText:
    """A text, divided. The spans of both together are the whole text."""

    sentences: tuple[Sentence, ...]
    dropped: tuple[Span, ...]


def split(text: str, language: str, *, max_characters: int, enable_text_splitting: bool = True) -> SplitText:
    """Divide a text in a language (ISO 639-1) into sentences of at most `max_characters` spoken characters.

    Without splitting the text stays whole as far as the limit allows. Raises EmptyText where nothing can be spoken.
    """
    sentences: list[Sentence] = []
    paragraphs = list(_paragraphs(text)) if enable_text_splitting else [(0, len(text))]
    for paragraph in paragraphs:
        spans = _boundaries(text, paragraph, language) if enable_text_splitting else [paragraph]
        before = len(sentences)
        for span in _joined(text, spans, language, max_characters):
            sentences += _spoken(text, span, language, max_characters)
        if len(sentences) > before:
            sentences[-1] = _with_pause(sentences[-1], _PARAGRAPH_PAUSE_MS)
    if not sentences:
        raise EmptyText("the text has no word that could be spoken; send at least one")
    sentences[-1] = _with_pause(sentences[-1], 0)
    return SplitText(tuple(sentences), tuple(_dropped(text, sentences)))


def _paragraphs(text: str) -> Iterator[Span]:
    """Yield the spans between empty lines, and of the items of lists."""
    start = 0
    for pattern_end in sorted({match.end() for pattern in (_PARAGRAPH, _LINE) for match in pattern.finditer(text)}):
        yield start, pattern_end
        start = pattern_end
    yield start, len(text)


def _boundaries(text: str, paragraph: Span, language: str) -> list[Span]:
    """Return the sentences of a paragraph, as the library sees them and our languages mend them."""
    spans = list(_library_boundaries(text, paragraph, language))
    if language in _UNSPACED:
        spans = [part for span in spans for part in _wide_parts(text, span)]
    return _mended(text, spans, language)


def _library_boundaries(text: str, paragraph: Span, language: str) -> Iterator[Span]:
    """Yield the library's sentences, asked for a window at a time: its time grows with the square of open quotes."""
    start, end = paragraph
    while start < end:
        window = text[start : min(end, start + _WINDOW)]
        pieces = sentencex.segment(language, window)
        if start + len(window) < end and len(pieces) > 1:
            pieces.pop()  # the window may have cut it
        for piece in pieces or [window]:
            yield start, start + len(piece)
            start += len(piece)


def _wide_parts(text: str, span: Span) -> Iterator[Span]:
    """Cut after full stops that no space follows; と after a quotation goes on with the sentence."""
    start, end = span
    for match in _WIDE_END.finditer(text, start, end):
        if match.end() < end:
            yield start, match.end()
            start = match.end()
    yield start, end


def _mended(text: str, spans: list[Span], language: str) -> list[Span]:
    """Join what was cut after an abbreviation, or before a small letter."""
    mended: list[Span] = []
    for start, end in spans:
        if mended and _goes_on(
            text[max(mended[-1][0], start - 40) : start], text[start : start + 40].lstrip(), language
        ):
            mended[-1] = (mended[-1][0], end)
        else:
            mended.append((start, end))
    return mended


def _goes_on(before: str, after: str, language: str) -> bool:
    """Say whether a sentence whose end is `before` goes on in `after`."""
    ending = before.rstrip()
    if language == "ja":
        return ending.endswith(_WIDE_QUOTES) and after.startswith(("と", "って"))  # what was said, and that it was
    if not ending.endswith(".") or ending.endswith(".."):
        return False
    last_word = ending.removesuffix(".").rsplit(None, 1)[-1:]
    abbreviated = bool(last_word) and last_word[0].lstrip("(«\"'").lower() in _ABBREVIATIONS.get(language, ())
    return abbreviated or after[:1].islower()


def _joined(text: str, spans: list[Span], language: str, limit: int) -> list[Span]:
    """Join very short sentences of one paragraph to what follows, or what went before the last."""
    short = _SHORT_WIDE if language in _UNSPACED else _SHORT
    joined: list[Span] = []
    for start, end in spans:
        previous = joined[-1] if joined else None
        if (
            previous is not None
            and end - previous[0] <= limit
            and (len(text[slice(*previous)].strip()) < short or len(text[start:end].strip()) < short)
        ):
            joined[-1] = (previous[0], end)
        else:
            joined.append((start, end))
    return joined


def _spoken(text: str, span: Span, language: str, limit: int) -> Iterator[Sentence]:
    """Yield a sentence, cut where it is too long, without what nobody can speak."""

    def fits(start: int, end: int) -> bool:
        return len(normalize(text[start:end], language)) <= limit

    start, end = _stripped(text, *span)
    for piece in cut(text, start, end, fits, limit):
        spoken = normalize(text[piece.start : piece.end], language)
        if any(character.isalnum() for character in spoken):
            pause_ms = _pause_ms(spoken) if piece.pause_after_ms is None else piece.pause_after_ms
            yield Sentence(*_stripped(text, piece.start, piece.end), spoken, pause_ms)


def _stripped(text: str, start: int, end: int) -> Span:
    """Return the span without white space at its ends."""
    part = text[start:end]
    return start + len(part) - len(part.lstrip()), end - len(part) + len(part.rstrip())


def _pause_ms(spoken: str) -> int:
    closing = spoken.rstrip("\"'”’»)]）」』 ")
    if closing.endswith("..."):
        return _PAUSES_MS["…"]
    return _PAUSES_MS.get(closing[-1:], _PAUSE_MS)


def _with_pause(sentence: Sentence, pause_ms: int) -> Sentence:
    return Sentence(sentence.start, sentence.end, sentence.spoken, pause_ms)


def _dropped(text: str, sentences: list[Sentence]) -> Iterator[Span]:
    """Yield what lies between the sentences."""
    place = 0
    for sentence in sentences:
        if sentence.start > place:
            yield place, sentence.start
        place = sentence.end
    if place < len(text):
        yield place, len(text)
