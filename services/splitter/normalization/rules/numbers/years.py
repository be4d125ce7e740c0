"""Years and decades, where they are said otherwise than a number. Pure."""

from collections.abc import Iterator
from functools import partial
from typing import Final

from services.splitter.normalization.grammar.grammar import Grammar
from services.splitter.normalization.grammar.table import written_forms
from services.splitter.normalization.recognizer import (
    Match,
    Recognizer,
    by_context,
    choices,
    compiled,
    next_word,
    word_before,
)
from services.splitter.normalization.rules.numbers.ordinals import by_rule

_DECADE_WORDS: Final = frozenset(("the", "early", "late", "mid", "her", "his", "their", "my", "your", "our"))
_ABOUT_YEARS: Final = frozenset(("c.", "ca.", "est.", "geb.", "gest.", "env.", "circa"))  # which a year may follow


def named_years(grammar: Grammar) -> Iterator[Recognizer]:
    """Recognise years by the word behind them."""
    for words, rule in grammar.table.years.items():
        if words.startswith("+"):
            yield Recognizer(
                compiled(rf"(?<!\d)(?<!\d[.,])(?P<number>\d{{1,4}})(?:{words[1:]})"),
                partial(by_rule, rule, grammar),
                rule="year",
            )


def _asks_for_decade(found: Match) -> bool:
    before = found.string[max(0, found.start() - 5) : found.start()].lower()
    return word_before(found) in _DECADE_WORDS or before.endswith(("mid-", "early-", "late-", " '"))


def decades(grammar: Grammar) -> Iterator[Recognizer]:
    """Recognise English decades: the 1990s, the late 80s."""

    def say(found: Match) -> str | None:
        number = int(found["number"])
        if number < 100 and not found["mark"] and not _asks_for_decade(found):
            return None  # seconds
        said = grammar.words(number, grammar.table.year)
        return f"{said[:-1]}ies" if said.endswith("y") else f"{said}s"

    if grammar.language == "en":
        yield Recognizer(
            compiled(r"(?<!\d)(?<!\d[.,])(?P<mark>')?(?P<number>[12]\d{2}0|[2-9]0)'?s(?!\p{L})"), say, rule="decade"
        )


def years(grammar: Grammar) -> Iterator[Recognizer]:
    """Recognise years where they are said otherwise than a number."""
    after = choices({words: rule for words, rule in grammar.table.years.items() if not words.startswith("+")})
    numbered = {written.lower() for written in written_forms(grammar.table.before_number)} - _ABOUT_YEARS

    def say(found: Match) -> str | None:
        number, before = int(found["number"]), word_before(found)
        rule = by_context(after, found)
        if before.endswith(".") and before in numbered:
            return None
        if number < 1000 and grammar.language != "ar":
            return None
        if not rule and grammar.language in ("en", "hi") and 1100 <= number <= 2099 and number % 1000:
            rule = grammar.table.year
        if not rule and grammar.table.bare_years and 1100 <= number <= 1999 and not next_word(found)[:1].isupper():
            rule = grammar.table.year
        if not rule:
            return None
        return grammar.fill(rule, n=number) if "{" in rule else grammar.words(number, rule)

    yield Recognizer(compiled(r"(?<![\d.,\p{L}-])(?P<number>\d{1,4})(?!\d|[.,]\d)(?!\p{L})"), say, rule="year")
