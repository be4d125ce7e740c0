"""Finds the sentence boundaries of a paragraph. Pure, linear in the text.

How it works. The sentencex library (ADR 5) makes the first proposal, and per-language rules correct
it in both directions:

1. Propose. The library segments the paragraph one window of 4,096 characters at a time, because its
   time grows with the square of the number of open quotes. The last sentence of a window may be cut
   off by the window's end, so the next window starts at that sentence again.
2. Add. Line ends that look deliberate (headings, verses, addresses) are boundaries, and so are the
   ends that the library misses: "…" and "?!" before a capital, abbreviations that may end a
   sentence ("etc. The ..."), a full stop before a capitalized sentence starter, wide marks (。！？) in
   Chinese and Japanese, and a sentence in parentheses.
3. Join. A boundary is removed if the sentence continues after it: after an abbreviation or an
   initial, before a small letter, or before the verb that reports a quotation ("Why?" she asked).
   Ends found by a pattern of step 2 are certain, and not joined again, except in Chinese and
   Japanese.

A boundary is never placed inside a grapheme cluster. The result is a list of spans that cover the
paragraph without gaps.
"""

import itertools
from collections.abc import Iterator
from functools import cache
from typing import Final

import regex
import sentencex

from services.common.wire.punctuation import HALFWIDTH_ENDS, SPACED_ENDS, WIDE_ENDS
from services.splitter.normalization.grammar.grammar import grammar

Span = tuple[int, int]  # first character and one past the last, counted in code points

UNSPACED: Final = frozenset(("zh", "ja"))  # written without spaces between words

_WINDOW: Final = 4096
# characters examined on either side of a boundary to decide whether the sentence continues
_BEFORE: Final = 40
_LONGEST_ABBREVIATION: Final = 6
_SURROGATE: Final = regex.compile(r"\p{Cs}")

# A sentence seldom ends after these, whatever follows: titles, streets, "see", words before a
# number. Words that often end a sentence ("etc.", "usw.") are not in this table: for them a small
# letter decides.
_ABBREVIATION_WORDS: Final = {
    "fr": "M MM Mme Mlle Mgr Me Dr Pr St Ste cf p pp art env tél av vol chap fig éd J.-C",
    "en": "Mr Mrs Ms Dr Prof Gen Sgt Capt Lt Col Rev Hon St Mt Fig Figs Sec pp vs approx e.g i.e cf",
    "es": "Sr Sra Srta Dr Dra D Dña Ud Uds Vd Vds pág págs núm vol cap fig aprox tel avda",
    "it": "Sig Sigg dott prof Dott Sig.ra Dott.ssa avv ing arch pag pagg art es tel",
    "pt": "Sr Sra Srs Dr Dra Prof Profa Eng Exmo Exma pág págs núm vol cap fig tel Av R",
    "pl": "prof dr hab mgr inż ul al pl tj tzn np m.in str nr godz zob św",
    "cs": "ul nám č např tzv tj tzn p pí dr Ing Mgr MUDr JUDr str tel r viz sv",
    "nl": "dhr mevr dr drs ir prof mr bijv bv ca nr blz tel o.a d.w.z St",
    "hu": "dr ifj id özv pl kb ún tel u utc ld Szt",
    "tr": "Dr Prof Doç Yrd Av Sn Bkz örn Cad Sok Mah No Tel",
    "ru": "ул д кв корп стр т.е проф акад см дж ю",
    "de": "Dr Prof Hr Fr Nr Str Bhf bzw ca evtl ggf inkl vgl z.B d.h u.a Abs Art Tel St",
    "hi": "डॉ श्री प्रो रु ई.पू",
    "ar": "د أ م ق.م",
}
_ABBREVIATIONS: Final = {
    language: frozenset(words.lower().split()) for language, words in _ABBREVIATION_WORDS.items()
}

# These may end a sentence, and do before a capital; the library treats them as abbreviations that
# never do.
_CLOSING_WORDS: Final = {
    "fr": r"etc",
    "en": r"no(?!\.\s++\p{N})|me|May|[ap] m|U S(?: A)?|U K",
    "es": r"etc|no(?!\.\s++\p{N})|mar|bien",
    "pt": r"etc",
    "de": r"usw|etc|u\.\s?a\.\s?m",
    "it": r"ecc|etc|no(?!\.\s++\p{N})|mai|me|te|fa|via|re",
    "nl": r"enz|etc",
    "pl": r"itd|itp",
    "cs": r"atd|apod|tu|nám",
    "hu": r"stb|nem",
    "tr": r"vb|vs|sen|o",
    "ru": r"т\.\s?[дп]|др|руб|коп|тыс|млн|млрд|(?<=\d\s?)гг?|(?<=[IVX]\s?)вв?",
}
_CLOSERS: Final = r"""[\p{Pe}\p{Pf}"'“]*+"""
# not followed by a small letter
_NEXT: Final = r"""(?=[\p{Ps}\p{Pi}"'„¿¡]*+[\p{L}\p{N}--\p{Ll}])"""

# (A sentence in brackets.)
_ASIDE: Final = regex.compile(rf"\s*+\([^()]*+(?<=[{SPACED_ENDS}])\)\s++")
_WIDE: Final = f"[{WIDE_ENDS}{HALFWIDTH_ENDS}!?]"
_WIDE_END: Final = regex.compile(rf"(?<!{_WIDE}){_WIDE}++[」』”’）)】》]*+(?!{_WIDE})")
# Verbs of speech that may follow a quotation, in scripts without capitals: the sentence continues.
_SPEECH_VERBS: Final = {
    "ja": regex.compile(r"と|って"),
    "zh": regex.compile(r"[^，。！？、；：“「\s]{0,8}[说說问問道喊叫答笑想]"),
    "ko": regex.compile(
        r"이?라[고는며]|[하라]고|(?:\S{1,8}\s){0,2}(?:물었|말했|대답|외쳤|소리|속삭|했다)"
    ),
    "hi": regex.compile(r"(?:\S+\s){0,3}(?:पूछ|कह|बोल|चिल्ला)"),
    "ar": regex.compile(r"و?(?:سأل|قال|أجاب|صاح|رد|همس|هتف)"),
}
_QUOTATION_END: Final = regex.compile(rf"""[{SPACED_ENDS}{WIDE_ENDS}]["”’»」』“]+$""")
_DATE: Final = regex.compile(r"\d\.\s\d+\.$")  # 2020. 5. 3.
# belongs to the character before it
_EXTENDS: Final = regex.compile(r"[\p{Grapheme_Extend}\p{Mc}\u200D]")
_CASED_END: Final = regex.compile(r"[\p{Ll}\p{Lu}\p{Nd}]\.$")
_INITIAL: Final = regex.compile(r"(?<!\w)\p{L}\.$")
_LINE: Final = regex.compile(r"[^\n]+")
_CAPITAL: Final = regex.compile(r"\p{Lu}")
_WRAPPED: Final = 30  # characters: if all lines are shorter, they are deliberate, such as verses
_WRAPPED_WIDE: Final = 16


@cache
def _missed(language: str) -> "regex.Pattern[str]":
    """Return the pattern of the sentence ends that the library misses in a language."""
    ends = [r"(?<=\w)…", r"(?<![?!؟])[?!؟]{2,}+"]
    if language in _CLOSING_WORDS:
        ends.append(rf"(?<!\w)(?:{_CLOSING_WORDS[language]})\.(?!\.)")
    starters = grammar(language).starters if language in _CLOSING_WORDS else ()
    if starters:  # a capitalized sentence starter after a word that is not an initial
        capitals = "|".join(sorted(map(grammar(language).capital, starters)))
        ends.append(
            rf"(?<=[\p{{Ll}}\p{{M}}]{{2}}[\"”’»)]?)\.(?={_CLOSERS}\s++[\p{{Ps}}\p{{Pi}}\"'„¿¡]*+(?:{capitals})(?!\p{{L}}))"
        )
    # as typed on a Latin keyboard
    danda = r"|(?<=\p{Devanagari}\s?)\|++\s*+" if language == "hi" else ""
    return regex.compile(rf"(?:{'|'.join(ends)}){_CLOSERS}\s++{_NEXT}{danda}", regex.V1)


def boundaries(text: str, paragraph: Span, language: str) -> list[Span]:
    """Return the spans of a paragraph's sentences, in order; together they cover the paragraph."""
    start, end = paragraph
    edges = {
        start,
        end,
        *_library_ends(text, start, end, language),
        *_line_ends(text, start, end, language),
    }
    pattern = _WIDE_END if language in UNSPACED else _missed(language)
    found = {match.end() for match in pattern.finditer(text, start, end)}
    edges |= found
    asides = [_ASIDE.match(text, *span) for span in itertools.pairwise(sorted(edges))]
    edges.update(aside.end() for aside in asides if aside)
    whole = sorted(edge for edge in edges if edge in (start, end) or not _EXTENDS.match(text[edge]))
    return _joined(
        text,
        list(itertools.pairwise(whole)),
        language,
        certain=set() if language in UNSPACED else found,
    )


def _library_ends(text: str, start: int, end: int, language: str) -> Iterator[int]:
    """Yield the library's sentence ends, found one window at a time: its time grows with the square
    of open quotes."""
    while start < end:
        window = _SURROGATE.sub("\ufffd", text[start : min(end, start + _WINDOW)])
        lengths = [len(sentence) for sentence in sentencex.segment(language, window)]
        # the window may have cut it off
        last = lengths.pop() if lengths and start + len(window) < end else 0
        yield from (start + length for length in itertools.accumulate(lengths))
        # The next window starts at it, unless it is so long that everything would be read many
        # times.
        start += len(window) - (last if 2 * last <= _WINDOW else 0)


def _line_ends(text: str, start: int, end: int, language: str) -> Iterator[int]:
    """Yield the ends of deliberate lines: headings, verses, addresses; not those of wrapped
    prose."""
    if text.find("\n", start, end) < 0:
        return
    lines = list(_LINE.finditer(text, start, end))
    longest = max((len(line[0].strip()) for line in lines), default=0)
    verses = longest < (_WRAPPED_WIDE if language in UNSPACED else _WRAPPED)
    for line, following in itertools.pairwise(lines):
        content = line[0].strip()
        deliberate = verses or 2 * len(content) < longest  # wrapping never leaves half a line empty
        if (
            deliberate
            and content[-1:] not in ",;:-–—，、；：،"
            and not following[0].lstrip()[:1].islower()
        ):
            yield following.start()


def _joined(text: str, spans: list[Span], language: str, certain: set[int]) -> list[Span]:
    """Join spans that were cut in the middle of a sentence, except at the `certain` offsets."""
    cased = bool(spans) and _CAPITAL.search(text, spans[0][0], spans[-1][1]) is not None
    joined: list[Span] = []
    for start, end in spans:
        before = (
            text[max(joined[-1][0], start - _BEFORE) : start]
            if joined and start not in certain
            else ""
        )
        after = text[start : min(end, start + _BEFORE)].lstrip()
        if before and _continues(before, after, language, cased=cased):
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def _continues(before: str, after: str, language: str, *, cased: bool) -> bool:
    """Return whether the sentence that ends with `before` continues in `after`. `cased`: the text
    uses capitals."""
    ending = before.rstrip()
    if _QUOTATION_END.search(ending):
        verbs = _SPEECH_VERBS.get(language)
        # "Why?" she asked.
        return verbs.match(after) is not None if verbs else _small(after, cased=cased)
    if not ending.endswith(".") or ending.endswith(".."):
        return False
    if ending == before and _INITIAL.search(ending):  # within an abbreviation: J.-C.
        return True
    last_word = (ending.removesuffix(".").rsplit(None, 1) or [""])[-1].lstrip("(«\"'„“")
    if last_word.lower() in _ABBREVIATIONS.get(language, ()):
        return True
    if language == "ko" and (
        _DATE.search(ending) or (last_word.isdecimal() and after[:1].isdecimal())
    ):
        return True
    abbreviated = len(last_word) <= _LONGEST_ABBREVIATION or "." in last_word
    return abbreviated and _CASED_END.search(ending) is not None and _small(after, cased=cased)


def _small(after: str, *, cased: bool) -> bool:
    """Return whether `after` begins with a small letter, in a text that uses capitals; iPhone may
    begin a sentence."""
    return cased and after[:1].islower() and not after[1:2].isupper()
