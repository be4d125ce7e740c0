"""Fractions: 1/2, ½, 3 1/2. Pure."""

from collections.abc import Iterator
from math import gcd
from typing import Final

from services.splitter.normalization.grammar.grammar import Grammar, Number
from services.splitter.normalization.recognizer import (
    FIGURES,
    SIGNS,
    WORD_BEFORE,
    Match,
    Recognizer,
    compiled,
)

_USUAL_DENOMINATORS: Final = frozenset((*range(2, 21), 24, 25, 30, 32, 36, 40, 48, 50, 60, 64, 100))
_AFTER_NAME: Final = compiled(r"[\p{L}\p{M},][^\S\n]\p{Lu}[\p{L}\p{M}]+[^\S\n]$")
_VULGAR: Final = dict(
    zip(
        "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞", (12, 13, 23, 14, 34, 15, 25, 35, 45, 16, 56, 18, 38, 58, 78), strict=True
    )
)


def fractions(grammar: Grammar) -> Iterator[Recognizer]:
    """Yield the recognizers of a language's fractions."""

    table = grammar.table

    def words(upper: int, lower: int) -> str | None:
        known = table.fractions.get(f"{upper}/{lower}")
        if known or not table.denominator:
            return known
        template = table.denominator_one if upper == 1 else ""
        return grammar.fill(template or table.denominator, n=upper, d=lower)

    def vulgar(found: Match) -> str | None:
        verbalized = words(*divmod(_VULGAR[found["sign"]], 10))
        if not found["number"] or verbalized is None:
            return verbalized
        joined = table.fractions.get("and", "{number} {fraction}")
        return grammar.fill(joined, number=grammar.words(int(found["number"])), fraction=verbalized)

    def written(found: Match) -> str | None:
        upper, lower = int(found["upper"]), int(found["lower"])
        known = table.fractions.get(f"{upper}/{lower}")
        if _follows_name(found) and grammar.language != "de":  # where every noun has a capital
            return None
        usual = lower in _USUAL_DENOMINATORS and gcd(upper, lower) == 1
        verbalized = words(upper, lower) if 0 < upper < lower and usual else known
        if verbalized is None or not found["number"]:
            return verbalized
        return grammar.fill(
            table.fractions.get("and", ""),
            number=grammar.words(int(found["number"])),
            fraction=verbalized,
        )

    def apart(found: Match) -> str:
        """Return both numbers of a match that is not a fraction: 24/7, RAID 5/6."""
        return " ".join(
            grammar.number(Number(figures)) for figures in (found["upper"], found["lower"])
        )

    signs, end = "".join(_VULGAR), rf"(?![{grammar.letter}\p{{N}}])"
    yield Recognizer(
        compiled(rf"(?P<number>(?<!\d)\d{{1,6}})?\s?(?P<sign>[{signs}])"),
        vulgar,
        FIGURES + SIGNS,
        "fraction",
    )
    yield Recognizer(
        compiled(
            r"(?<![\d/.,A-Za-z])(?<![A-Za-z]-)(?:(?P<number>\d{1,6})[\s-](?=\d/))?+(?P<upper>[1-9]\d?)[/⁄](?P<lower>\d{1,3})(?![\d/]|-\p{L}|[.,]\d)"
            + end
        ),
        written,
        rule="fraction",
    )
    if grammar.table.spaced:
        pattern = (
            r"(?<![\d/.,\p{L}])(?P<upper>\d{1,4})/(?P<lower>\d{1,4})(?![\d/\p{L}]|[.,]\d|-\p{L})"
        )
        yield Recognizer(compiled(pattern), apart, rule="fraction.none")


def _follows_name(found: Match) -> bool:
    """Return whether a capitalized word within a sentence precedes the match: Outlook Express
    5/6."""
    return (
        _AFTER_NAME.search(found.string[max(0, found.start() - WORD_BEFORE) : found.start()])
        is not None
    )
