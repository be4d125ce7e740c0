"""Numbers: cardinals, ordinals, decimals, fractions, ranges, percentages, counted
units, money. Pure."""

from collections.abc import Iterator
from functools import partial
from typing import Final

from services.splitter.normalization.grammar.grammar import Grammar, Number
from services.splitter.normalization.grammar.table import written_forms
from services.splitter.normalization.recognizer import (
    FIGURES,
    MINUS,
    SIGNS,
    Match,
    Recognizer,
    alternatives,
    amount,
    compiled,
    full_stop,
    number_pattern,
    parsed,
    word_before,
)
from services.splitter.normalization.rules.names import named
from services.splitter.normalization.rules.numbers import (
    fractions,
    ordinals,
    quantities,
    sequences,
    years,
)

_SHORT: Final = frozenset("kKMB")
_NO_COUNT: Final = "run(?!\\p{L})|race(?!\\p{L})|mod(?!\\p{L})"  # a 10k run


def recognizers(grammar: Grammar) -> Iterator[Recognizer]:
    """Yield the recognizers of a language's numbers, the most specific first."""
    yield from named.recognizers(grammar)
    yield from sequences.lists(grammar)
    yield _note_marks(grammar)
    yield sequences.rows(grammar)
    yield from years.named_years(grammar)
    yield from years.decades(grammar)
    yield from ordinals.suffixed_ordinals(grammar)
    yield from named.range_signs(grammar)
    yield from quantities.recognizers(grammar)
    yield from _millions(grammar)
    if not _SHORT.isdisjoint(grammar.table.money.short):
        yield _short_magnitudes(grammar)
    yield from fractions.fractions(grammar)
    yield from ordinals.ordinals(grammar)
    yield from _suffixed(grammar)
    yield from _counters(grammar)
    yield sequences.ranges(grammar)
    yield sequences.versions(grammar)
    yield from years.years(grammar)
    yield from _after_counted_words(grammar)
    if grammar.table.round:
        yield _round_millions(grammar)
    yield _plain(grammar)
    yield _leftover(grammar)


def _plain(grammar: Grammar) -> Recognizer:
    gap = grammar.gap

    def verbalize(found: Match) -> str:
        number = amount(found, grammar)
        if number.genitive and 1100 <= number.value < 2100:  # rather a year
            number = Number(number.whole, "", number.negative)
        verbalized = grammar.number(number)
        # 2.4 where a decimal is 2,4
        if grammar.table.stop and "." in found["number"] and "," not in found["number"]:
            verbalized = verbalized.replace(f" {grammar.table.point} ", f" {grammar.table.stop} ")
        glued_before = (
            found.string[found.start() - 1 : found.start()].isalpha() and not found["minus"]
        )
        after = found.string[found.end() : found.end() + 1]
        glued_after = after.isalpha() and (
            not grammar.glued or after not in grammar.table.magnitudes
        )
        if glued_after and grammar.particle.match(found.string, found.end()):
            glued_after = False
        return f"{gap * glued_before}{verbalized}{gap * glued_after}"

    return Recognizer(
        compiled(rf"{MINUS}(?P<number>{number_pattern(grammar)})"),
        verbalize,
        FIGURES + SIGNS,
        "number",
    )


def _round_millions(grammar: Grammar) -> Recognizer:
    """Recognize round millions before a noun, to which some languages join them: un million
    d'habitants."""

    def verbalize(found: Match) -> str | None:
        number = parsed(found["number"], grammar)
        if number.decimals or number.value < 1_000_000 or number.value % 1_000_000:
            return None
        if found["noun"] in grammar.starters:
            return None
        return f"{grammar.number(number)}{grammar.linked(number.value, found['noun'])}"

    pattern = rf"(?P<number>{number_pattern(grammar)})\s(?P<noun>\p{{Ll}}{{3,24}})(?!\p{{L}})"
    return Recognizer(compiled(pattern), verbalize, rule="millions")


def _short_magnitudes(grammar: Grammar) -> Recognizer:
    """Recognize a letter for thousands or millions, attached to a number before a noun: 1.5M
    users."""
    short = grammar.table.money.short

    def verbalize(found: Match) -> str | None:
        number = amount(found, grammar)
        if found["short"] in "kK" and number.value < 10:
            return None  # 5k is a distance, 4K a screen
        return grammar.counted(number, grammar.noun(short[found["short"]]))

    letters = "".join(letter for letter in short if letter in _SHORT)
    number = rf"(?<![\p{{L}}-]){MINUS}(?P<number>{number_pattern(grammar)})"
    pattern = rf"{number}(?P<short>[{letters}])(?!\p{{L}})(?=\s(?!{_NO_COUNT})\p{{Ll}}{{3,}})"
    return Recognizer(compiled(pattern), verbalize, rule="millions")


def _leftover(grammar: Grammar) -> Recognizer:
    """Recognize figures that no other rule matches, so that no figures reach the engine."""
    gap = grammar.gap

    def verbalize(found: Match) -> str:
        before, after = (
            found.string[found.start() - 1 : found.start()],
            found.string[found.end() : found.end() + 1],
        )
        verbalized = grammar.number(Number(found[0]))
        return f"{gap * (before.isalnum() or before in '.,')}{verbalized}{gap * after.isalpha()}"

    return Recognizer(compiled(r"\d++"), verbalize, rule="number.leftover")


def _note_marks(grammar: Grammar) -> Recognizer:
    """Recognize a footnote mark after the end of a sentence, which is not spoken: known.1
    Others."""
    tables = (
        grammar.table.abbreviations,
        grammar.table.before_number,
        grammar.table.within,
        grammar.table.titles,
    )
    short = {written.lower().rstrip(".") for table in tables for written in written_forms(table)}

    def verbalize(found: Match) -> str | None:
        return None if word_before(found).rstrip(".!?…").rsplit(".", 1)[-1] in short else ""

    return Recognizer(
        compiled(
            r"(?<=[\p{Ll}\p{M}]{3}[.!?…][\"”’»)]{0,2})\d{1,3}(?=\s+[\"“«¿¡(]?\p{Lu}|\s*+$|\s*+\n)"
        ),
        verbalize,
        rule="note",
    )


def _after_counted_words(grammar: Grammar) -> Iterator[Recognizer]:
    """Recognize figures with a leading zero after a counted word: Chapter 05."""
    counted = grammar.table.roman.counted
    if counted:
        yield Recognizer(
            compiled(rf"(?<=(?<!\p{{L}})(?i:{counted})\s)0(?P<number>\d{{1,2}})(?!\d|[.,:]\d)"),
            lambda found: grammar.words(int(found["number"])),
            rule="number.counted",
        )


def _millions(grammar: Grammar) -> Iterator[Recognizer]:
    """Recognize millions without a noun."""
    nouns = {word: noun for word, noun in grammar.table.magnitudes.items() if len(word) > 1}

    def verbalize(found: Match) -> str:
        verbalized = grammar.counted(
            amount(found, grammar), grammar.noun(nouns[found["magnitude"]])
        )
        return verbalized + full_stop(found, grammar)

    if nouns and not grammar.glued:
        pattern = rf"{MINUS}(?P<number>{number_pattern(grammar)})\s?(?P<magnitude>{alternatives(nouns)})(?!\p{{L}})"
        yield Recognizer(compiled(pattern), verbalize, FIGURES + SIGNS, "millions")


def _suffixed(grammar: Grammar) -> Iterator[Recognizer]:
    """Recognize figures with a grammatical ending, as in Turkish and Hungarian: 1945'te, 5-kor."""
    if not grammar.table.suffixed:
        return

    def verbalize(found: Match) -> str:
        glued = found.string[found.start() - 1 : found.start()].isalpha()
        return f"{grammar.gap * glued}{grammar.number(parsed(found['number'], grammar))}{found['ending']}"

    number = number_pattern(grammar)
    yield Recognizer(
        compiled(rf"(?P<number>{number})(?:{grammar.table.suffixed})(?![\p{{L}}])"),
        verbalize,
        rule="number.suffixed",
    )


def _counters(grammar: Grammar) -> Iterator[Recognizer]:
    """Recognize numbers whose spoken form depends on the counter."""
    by_rule: dict[str, list[str]] = {}
    for words, rule in grammar.table.counters.items():
        by_rule.setdefault(rule, []).append(words)
    for rule, patterns in by_rule.items():
        yield Recognizer(
            compiled(
                rf"(?<!\d)(?<!\d[.,])(?:(?<!-)(?P<first>\d{{1,4}})\s?[-–~～〜]\s?)?+(?P<number>\d{{1,6}}|\d{{1,3}}(?:,\d{{3}})++)"
                rf"(?P<space>\s?)(?=(?P<counter>{'|'.join(patterns)}))"
            ),
            partial(_counted, rule, grammar),
            rule="counter",
        )


def _counted(rule: str, grammar: Grammar, found: Match) -> str | None:
    number = int(found["number"].replace(",", ""))
    if rule.endswith("native-attributive") and number > 99:
        return None
    verbalized = f"{grammar.words(number, rule)}{grammar.gap}"
    if not found["first"]:
        return verbalized
    counter = f" {found['counter']}" if grammar.table.spaced else ""  # 두 명에서 세 명
    return f"{grammar.words(int(found['first']), rule)}{counter}{grammar.to}{verbalized}"
