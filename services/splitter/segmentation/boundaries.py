"""Where the sentences of a paragraph end. Pure, linear in the text.

sentencex knows most of it (ADR 5); here it is asked a window at a time, and mended where our languages need it: ends
that it misses are added, and what it cut in the middle of a sentence is joined again.
"""

import itertools
from collections.abc import Iterator
from functools import cache
from typing import Final

import regex
import sentencex

from services.splitter.normalization.grammar.grammar import grammar

Span = tuple[int, int]  # first character and one past the last, counted in code points

UNSPACED: Final = frozenset(("zh", "ja"))  # written without spaces between words

_WINDOW: Final = 4096
_BEFORE: Final = 40  # characters that tell whether a sentence goes on
_LONGEST_ABBREVIATION: Final = 6
_SURROGATE: Final = regex.compile(r"\p{Cs}")

# After these a sentence seldom ends, whatever follows: titles, streets, "see", what stands before a number. Words that
# close a sentence as often as not ("etc.", "usw.") are no business of this table: a small letter after them decides.
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
_ABBREVIATIONS: Final = {language: frozenset(words.lower().split()) for language, words in _ABBREVIATION_WORDS.items()}

# These may close a sentence, and do where a capital follows; the library takes them for abbreviations that never do.
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
_NEXT: Final = r"""(?=[\p{Ps}\p{Pi}"'„¿¡]*+[\p{L}\p{N}--\p{Ll}])"""  # what follows is no small letter

_ASIDE: Final = regex.compile(r"\s*+\([^()]*+(?<=[.!?…؟।])\)\s++")  # (A sentence in brackets.)
_WIDE_END: Final = regex.compile(r"(?<![。！？｡!?])[。！？｡!?]++[」』”’）)】》]*+(?![。！？｡!?])")
# What follows a quotation and says that it was said, in scripts without capitals: the sentence goes on.
_SAID: Final = {
    "ja": regex.compile(r"と|って"),
    "zh": regex.compile(r"[^，。！？、；：“「\s]{0,8}[说說问問道喊叫答笑想]"),
    "ko": regex.compile(r"이?라[고는며]|[하라]고|(?:\S{1,8}\s){0,2}(?:물었|말했|대답|외쳤|소리|속삭|했다)"),
    "hi": regex.compile(r"(?:\S+\s){0,3}(?:पूछ|कह|बोल|चिल्ला)"),
    "ar": regex.compile(r"و?(?:سأل|قال|أجاب|صاح|رد|همس|هتف)"),
}
_QUOTATION_END: Final = regex.compile(r"""[?!….।؟。！？]["”’»」』“]+$""")
_DATE: Final = regex.compile(r"\d\.\s\d+\.$")  # 2020. 5. 3.
_EXTENDS: Final = regex.compile(r"[\p{Grapheme_Extend}\p{Mc}\u200D]")  # belongs to the character before it
_CASED_END: Final = regex.compile(r"[\p{Ll}\p{Lu}\p{Nd}]\.$")
_INITIAL: Final = regex.compile(r"(?<!\w)\p{L}\.$")
_LINE: Final = regex.compile(r"[^\n]+")
_CAPITAL: Final = regex.compile(r"\p{Lu}")
_WRAPPED: Final = 30  # characters: shorter lines are lines on purpose, such as verses
_WRAPPED_WIDE: Final = 16


@cache
def _missed(language: str) -> "regex.Pattern[str]":
    """Return the pattern of the ends that the library misses in a language."""
    ends = [r"(?<=\w)…", r"(?<![?!؟])[?!؟]{2,}+"]
    if language in _CLOSING_WORDS:
        ends.append(rf"(?<!\w)(?:{_CLOSING_WORDS[language]})\.(?!\.)")
    starters = grammar(language).starters if language in _CLOSING_WORDS else ()
    if starters:  # a capitalised word that begins sentences, behind a word that is no initial
        capitals = "|".join(sorted(map(grammar(language).capital, starters)))
        ends.append(
            rf"(?<=[\p{{Ll}}\p{{M}}]{{2}}[\"”’»)]?)\.(?={_CLOSERS}\s++[\p{{Ps}}\p{{Pi}}\"'„¿¡]*+(?:{capitals})(?!\p{{L}}))"
        )
    danda = r"|(?<=\p{Devanagari}\s?)\|++\s*+" if language == "hi" else ""  # as typed on a Latin keyboard
    return regex.compile(rf"(?:{'|'.join(ends)}){_CLOSERS}\s++{_NEXT}{danda}", regex.V1)


def boundaries(text: str, paragraph: Span, language: str) -> list[Span]:
    """Return the sentences of a paragraph: spans of the text, in order, that together are the paragraph."""
    start, end = paragraph
    edges = {start, end, *_library_ends(text, start, end, language), *_line_ends(text, start, end, language)}
    pattern = _WIDE_END if language in UNSPACED else _missed(language)
    found = {match.end() for match in pattern.finditer(text, start, end)}
    edges |= found
    asides = [_ASIDE.match(text, *span) for span in itertools.pairwise(sorted(edges))]
    edges.update(aside.end() for aside in asides if aside)
    whole = sorted(edge for edge in edges if edge in (start, end) or not _EXTENDS.match(text[edge]))
    return _mended(text, list(itertools.pairwise(whole)), language, certain=set() if language in UNSPACED else found)


def _library_ends(text: str, start: int, end: int, language: str) -> Iterator[int]:
    """Yield the library's ends, asked for a window at a time: its time grows with the square of open quotes."""
    while start < end:
        window = _SURROGATE.sub("\ufffd", text[start : min(end, start + _WINDOW)])
        lengths = [len(piece) for piece in sentencex.segment(language, window)]
        last = lengths.pop() if lengths and start + len(window) < end else 0  # the window may have cut it
        yield from (start + length for length in itertools.accumulate(lengths))
        # It is read again from its beginning, unless it is so long that this would read everything many times.
        start += len(window) - (last if 2 * last <= _WINDOW else 0)


def _line_ends(text: str, start: int, end: int, language: str) -> Iterator[int]:
    """Yield the ends of lines that were ended on purpose: headings, verses, addresses; not those of wrapped prose."""
    if text.find("\n", start, end) < 0:
        return
    lines = list(_LINE.finditer(text, start, end))
    longest = max((len(line[0].strip()) for line in lines), default=0)
    verses = longest < (_WRAPPED_WIDE if language in UNSPACED else _WRAPPED)
    for line, following in itertools.pairwise(lines):
        content = line[0].strip()
        on_purpose = verses or 2 * len(content) < longest  # no word is so long that wrapping leaves half a line
        if on_purpose and content[-1:] not in ",;:-–—，、；：،" and not following[0].lstrip()[:1].islower():
            yield following.start()


def _mended(text: str, spans: list[Span], language: str, certain: set[int]) -> list[Span]:
    """Join what was cut in the middle of a sentence, but at the `certain` places."""
    cased = bool(spans) and _CAPITAL.search(text, spans[0][0], spans[-1][1]) is not None
    mended: list[Span] = []
    for start, end in spans:
        before = text[max(mended[-1][0], start - _BEFORE) : start] if mended and start not in certain else ""
        after = text[start : min(end, start + _BEFORE)].lstrip()
        if before and _goes_on(before, after, language, cased=cased):
            mended[-1] = (mended[-1][0], end)
        else:
            mended.append((start, end))
    return mended


def _goes_on(before: str, after: str, language: str, *, cased: bool) -> bool:
    """Say whether a sentence whose end is `before` goes on in `after`; `cased`: its writer uses capitals."""
    ending = before.rstrip()
    if _QUOTATION_END.search(ending):
        said = _SAID.get(language)
        return said.match(after) is not None if said else _small(after, cased=cased)  # "Why?" she asked.
    if not ending.endswith(".") or ending.endswith(".."):
        return False
    if ending == before and _INITIAL.search(ending):  # within an abbreviation: J.-C.
        return True
    last_word = (ending.removesuffix(".").rsplit(None, 1) or [""])[-1].lstrip("(«\"'„“")
    if last_word.lower() in _ABBREVIATIONS.get(language, ()):
        return True
    if language == "ko" and (_DATE.search(ending) or (last_word.isdecimal() and after[:1].isdecimal())):
        return True
    abbreviated = len(last_word) <= _LONGEST_ABBREVIATION or "." in last_word
    return abbreviated and _CASED_END.search(ending) is not None and _small(after, cased=cased)


def _small(after: str, *, cased: bool) -> bool:
    """Say whether a small letter begins what follows, where that tells something; iPhone may begin a sentence."""
    return cased and after[:1].islower() and not after[1:2].isupper()
