"""Ratios, scales and scores with a colon: 3:2, 1:25 000. Pure.

Two figures behind the colon may be minutes, so these are a ratio only after a word that implies one
(scale, score), or if they cannot be a time of day. One figure, or three or more, are never minutes.
"""

from collections.abc import Callable, Iterator
from typing import Final

from services.splitter.normalization.grammar.formulas import in_formula
from services.splitter.normalization.grammar.grammar import Grammar, Number
from services.splitter.normalization.recognizer import FIGURES, Match, Recognizer, compiled, parsed

_WORDS_BEFORE: Final = 32  # characters searched for a word that implies a ratio
_SMALLEST_SCALE: Final = 1_000
_YEAR: Final = compiled(r"(?:19|20)\d\d")


def recognizers(grammar: Grammar) -> Iterator[Recognizer]:
    """Yield the recognizers of a language's ratios."""
    table = grammar.table.ratios
    if not table.ratio:
        return
    between = r"[^.!?;,，。、；！？\n]{0,8}" if grammar.glued else r"[^.!?;\n]{0,20}"
    ratio, score = _asker(grammar, table.words, between), _asker(grammar, table.scores, between)

    def verbalize(found: Match) -> str | None:
        parts = found[0].replace(" : ", ":").split(":")
        cued, scored = ratio(found), score(found)
        if " : " in found[0] and in_formula(found.string, *_spaced_colon(found), ":"):
            return None
        if any(len(part) > 1 and part[0] == "0" for part in parts):
            return None
        if parts[0] != "1" and any(len(part) > 3 and part.isdecimal() for part in parts):
            return None  # a standard and its year, a port
        if _is_time(parts) and (len(parts) > 2 or not (cued or scored)):
            return None
        if _YEAR.fullmatch(parts[-1]) and not cued:
            return None  # ISO 9899:2011
        # 1:2 is rather a ratio
        scored = scored or not (cued or (parts[0] == "1" and parts[-1] != "0"))
        return _verbalized(parts, (scored and table.score) or table.ratio, grammar)

    if table.verses:
        yield _verses(table.verses, grammar)
    groups = grammar.table.groups
    part = rf"\d{{1,3}}(?:[{groups}]\d{{3}})+(?!\d)|\d{{1,9}}(?:[.,]\d{{1,2}}(?!\d))?"
    pattern = (
        rf"(?<![\d:.,\p{{L}}-])(?:{part})(?:(?::| : )(?:{part})){{1,3}}(?![\d:]|[.,-]\d|\p{{L}})"
    )
    if grammar.glued:
        pattern = rf"(?<![\d:.,A-Za-z])(?:{part})(?::(?:{part})){{1,3}}(?![\d:A-Za-z]|[.,]\d)"
    yield Recognizer(compiled(pattern), verbalize, FIGURES, "ratio")
    yield from _scores(grammar)


def _scores(grammar: Grammar) -> Iterator[Recognizer]:
    """Recognize 3-2 next to a word that implies a score; otherwise the hyphen is that of a
    range."""

    cued = _asker(grammar, grammar.table.ratios.words, r"\s?")

    def verbalize(found: Match) -> str | None:
        return (
            _verbalized(found[0].split("-"), grammar.table.ratios.ratio, grammar)
            if cued(found)
            else None
        )

    if grammar.glued:
        yield Recognizer(
            compiled(r"(?<![\d.,:A-Za-z-])\d{1,3}-\d{1,3}(?![\d:A-Za-z-]|[.,]\d)"),
            verbalize,
            rule="ratio",
        )


def _asker(grammar: Grammar, words: str, between: str) -> Callable[[Match], bool]:
    """Return a function that checks whether a word before a match, or after it in scripts without
    spaces, implies a ratio."""
    words = words or "(?!)"
    before = compiled(rf"(?i)(?:{words}){between}$")
    behind = compiled(rf"\s?(?:の|的|으?로)?\s?(?:{words})" if grammar.glued else "(?!)")

    def cued(found: Match) -> bool:
        text = found.string[max(0, found.start() - _WORDS_BEFORE) : found.start()]
        return (
            before.search(text) is not None or behind.match(found.string, found.end()) is not None
        )

    return cued


def _verses(books: str, grammar: Grammar) -> Recognizer:
    """Recognize chapter and verse after the name of a book: Matthew 5:3-10."""

    def verbalize(found: Match) -> str:
        chapter, verse, last = (grammar.words(int(part)) if part else "" for part in found.groups())
        return grammar.gap.join((chapter, verse)) + (f"{grammar.to}{last}" if last else "")

    pattern = rf"(?<=(?<!\p{{L}})(?:{books})\.?\s)(\d{{1,3}}):(\d{{1,3}})(?:[-–](\d{{1,3}}))?(?![\d:]|\p{{L}})"
    return Recognizer(compiled(pattern), verbalize, FIGURES, "verse")


def _spaced_colon(found: Match) -> tuple[int, int]:
    colon = found.start() + found[0].index(":")
    return colon, colon + 1


def _is_time(parts: list[str]) -> bool:
    """Return whether these may be a time of day or a duration: hours, minutes and seconds of two
    figures."""
    if len(parts) == 3 and len(parts[1]) == 2 and parts[0].isdecimal():
        return True
    if not all(part.isdecimal() for part in parts) or len(parts) > 3:
        return False
    return (
        all(len(part) == 2 and int(part) < 60 for part in parts[1:])
        and int(parts[0]) <= 24
        and len(parts[0]) <= 2
    )


def _verbalized(parts: list[str], template: str, grammar: Grammar) -> str:
    table = grammar.table.ratios
    numbers = [_number(part, grammar) for part in parts]
    first, last = numbers[0], numbers[-1]
    if len(parts) == 2 and not last.decimals and not first.decimals:
        scale = first.value == 1 and last.value >= _SMALLEST_SCALE and table.scale
        return grammar.fill(scale or template, a=first.value, b=last.value)
    words = [grammar.number(number) for number in numbers]
    if len(parts) > 2 and table.several:
        return table.several.join(words)
    return grammar.fill_words(template, words)


def _number(part: str, grammar: Grammar) -> Number:
    """Return a part of a ratio; the point of 1.618 does not separate thousands, since a scale would
    be round."""
    number = parsed(part, grammar)
    foreign = {",": ".", ".": ","}[grammar.table.decimal]
    if foreign in part and not number.decimals and number.value % 50:
        return parsed(part.replace(foreign, grammar.table.decimal), grammar)
    return number
