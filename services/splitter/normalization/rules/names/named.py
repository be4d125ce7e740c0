"""Figures with a special spoken form, and range signs between numbers with counters. Pure."""

from collections.abc import Iterator
from typing import Final

from services.splitter.normalization.grammar.grammar import Grammar
from services.splitter.normalization.recognizer import FIGURES, SIGNS, Match, Recognizer, compiled

# Behind figures with one of these a hyphen is no minus, as it is elsewhere in scripts without
# spaces.
_RANGED: Final = (
    "点钟?",
    "[时時시分분日일月월年년号號周週楼階층]",
    "[%％℃]",
    "[元円원人명個个개세살岁歳页頁쪽]",
)


def recognizers(grammar: Grammar) -> Iterator[Recognizer]:
    """Recognize figures with a special spoken form: 6.25 before "war", 110 before "police"."""
    words = list(grammar.table.figures_named.values())
    if not words:
        return
    every = "|".join(
        f"(?P<named{index}>{pattern})" for index, pattern in enumerate(grammar.table.figures_named)
    )

    def verbalize(found: Match) -> str:
        name = words[int(str(found.lastgroup).removeprefix("named"))]
        figures = "".join(filter(str.isdecimal, found[0]))
        name = name.replace("{number}", grammar.words(int(figures)))
        digits = grammar.digits(figures)
        return name.replace(
            "{digits}", digits.replace(" ", "") if grammar.table.phones.joined else digits
        )

    yield Recognizer(
        compiled(rf"(?<!\d)(?<!\d[.,])(?:{every})"), verbalize, FIGURES + SIGNS, "named"
    )


def range_signs(grammar: Grammar) -> Iterator[Recognizer]:
    """Recognize the range sign between two ends that both have a counter or a word: 9시~17시,
    周一～周五."""
    tilde = grammar.table.tilde
    if tilde:
        counted = rf"(?<=\d\s?(?:{'|'.join(_RANGED)})\s?)[-–]"
        begins = rf"\d[^\d\n.!?,，、。！？~～〜]{{0,8}}|\d|{tilde}"  # 네~ is a long syllable and no range
        pattern = rf"(?:\s?(?<=(?:{begins})\s?)[~～〜]|{counted})\s?(?=[-−–]?\d|(?:{tilde}))"
        yield Recognizer(compiled(pattern), lambda _: grammar.to, SIGNS, "range.sign")
