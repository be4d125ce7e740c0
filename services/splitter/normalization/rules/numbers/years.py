"""Years and decades, where their spoken form differs from a plain number. Pure."""

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

_DECADE_WORDS: Final = frozenset(
    ("the", "early", "late", "mid", "her", "his", "their", "my", "your", "our")
)
# which a year may follow
_ABOUT_YEARS: Final = frozenset(("c.", "ca.", "est.", "geb.", "gest.", "env.", "circa"))


def named_years(grammar: Grammar) -> Iterator[Recognizer]:
    """Recognize years by the word after them."""
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
    """Recognize English decades: the 1990s, the late 80s."""

    def verbalize(found: Match) -> str | None:
        number = int(found["number"])
        if number < 100 and not found["mark"] and not _asks_for_decade(found):
            return None  # seconds
        verbalized = grammar.words(number, grammar.table.year)
        return f"{verbalized[:-1]}ies" if verbalized.endswith("y") else f"{verbalized}s"

    if grammar.language == "en":
        yield Recognizer(
            compiled(r"(?<!\d)(?<!\d[.,])(?P<mark>')?(?P<number>[12]\d{2}0|[2-9]0)'?s(?!\p{L})"),
            verbalize,
            rule="decade",
        )


def years(grammar: Grammar) -> Iterator[Recognizer]:
    """Recognize years whose spoken form differs from a plain number."""
    after = choices(
        {words: rule for words, rule in grammar.table.years.items() if not words.startswith("+")}
    )
    numbered = {
        written.lower() for written in written_forms(grammar.table.before_number)
    } - _ABOUT_YEARS

    def verbalize(found: Match) -> str | None:
        number, before = int(found["number"]), word_before(found)
        rule = by_context(after, found)
        if before.endswith(".") and before in numbered:
            return None
        if number < 1000 and grammar.language != "ar":
            return None
        if (
            not rule
            and grammar.language in ("en", "hi")
            and 1100 <= number <= 2099
            and number % 1000
        ):
            rule = grammar.table.year
        if (
            not rule
            and grammar.table.bare_years
            and 1100 <= number <= 1999
            and not next_word(found)[:1].isupper()
        ):
            rule = grammar.table.year
        if not rule:
            return None
        return grammar.fill(rule, n=number) if "{" in rule else grammar.words(number, rule)

    yield Recognizer(
        compiled(r"(?<![\d.,\p{L}-])(?P<number>\d{1,4})(?!\d|[.,]\d)(?!\p{L})"),
        verbalize,
        rule="year",
    )
