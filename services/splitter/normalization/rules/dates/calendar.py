"""Dates. Pure."""

from collections.abc import Callable, Iterator
from typing import Final

import regex

from services.splitter.normalization.grammar.grammar import Grammar
from services.splitter.normalization.grammar.table import written_forms
from services.splitter.normalization.recognizer import (
    FIGURES,
    LETTERS,
    WORD_BEFORE,
    Match,
    Recognizer,
    alternatives,
    begins_sentence,
    by_word,
    choices,
    compiled,
    ends_sentence,
    full_stop,
    next_word,
    word_before,
)

_LAST_WORD: Final = regex.compile(r"\p{L}++$")
_DAYS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
# day, month, year, the word before -> spoken form
_Date = Callable[[int, int, str | None, str], str | None]


def recognizers(grammar: Grammar) -> Iterator[Recognizer]:
    """Yield the recognizers of a language's dates."""
    dates = grammar.table.dates
    if dates.weekdays:
        yield from _weekdays(grammar)
    if dates.day:
        yield from _dates(grammar)
    if dates.short:
        yield _short_dates(grammar)


def _weekdays(grammar: Grammar) -> Iterator[Recognizer]:
    """Recognize short forms of weekdays in a range, before a figure, or joined to another: Mo.-Fr.,
    Fr., 3. Mai."""
    days = written_forms(grammar.table.dates.weekdays)
    all_days = days | grammar.table.dates.weekdays_in_ranges
    day, any_day = alternatives(days), alternatives(all_days)

    def spanned(found: Match) -> str:
        return f"{all_days[found['first']]}{grammar.to}{all_days[found['last']]}"

    end = r"(?:\.|(?![\p{L}\d]))"
    span = rf"(?<!\p{{L}})(?P<first>{any_day}){end}\s?[-–—]\s?(?P<last>{any_day}){end}"
    yield Recognizer(compiled(span), spanned, LETTERS, "weekday")
    behind = rf"(?=,?\s\d|\s?[/,]\s?(?:{day}){end}|\s[\p{{Ll}}/]{{1,5}}\.?\s(?:{day}){end})"
    before = rf"(?<=(?<!\p{{L}})(?:{day})\.?(?:\s?[/,]\s?|\s[\p{{Ll}}/]{{1,5}}\.?\s))"
    for pattern in (rf"(?<!\p{{L}})(?P<day>{day}){end}{behind}", rf"{before}(?P<day>{day}){end}"):
        yield Recognizer(compiled(pattern), lambda found: days[found["day"]], LETTERS, "weekday")


def _short_dates(grammar: Grammar) -> Recognizer:
    """Recognize a day and a month in figures without a year, after a word that implies a date: am
    3.10."""
    after = choices(grammar.table.dates.short)

    def verbalize(found: Match) -> str | None:
        before = found.string[max(0, found.start() - WORD_BEFORE) : found.start()].rstrip(" ,.")
        word = _LAST_WORD.search(before)
        template, day, month = (
            by_word(after, word[0].lower() if word else ""),
            int(found["d"]),
            int(found["m"]),
        )
        if not template or not 1 <= month <= 12 or not 1 <= day <= _DAYS[month - 1]:
            return None
        # the last full stop is the date's
        stop = "" if ends_sentence(found) else full_stop(found, grammar)
        return grammar.fill(template, d=day, m=month) + stop

    pattern = r"(?<![\d.,])(?P<d>\d{1,2})\.\s?(?P<m>\d{1,2})\.(?!\s?\d)"
    return Recognizer(compiled(pattern), verbalize, rule="date.short")


def _dates(grammar: Grammar) -> Iterator[Recognizer]:
    dates, after = grammar.table.dates, choices(grammar.table.dates.after)

    def verbalized(day: int, month: int, year: str | None, word: str) -> str | None:
        if not 1 <= month <= 12 or not 1 <= day <= _DAYS[month - 1]:
            return None
        template = by_word(after, word) or (dates.first if day == 1 and dates.first else dates.day)
        name = dates.months[month - 1] if dates.months else ""
        spoken = grammar.fill(template, d=day, month=name, m=month)
        if month_number := dates.numbers.get(str(month)):
            spoken = grammar.fill(template, d=day, month=month_number, m=month)
        if year is None:
            return spoken
        return grammar.fill(dates.year, day=spoken, y=_full_year(year))

    def numeric(found: Match) -> str | None:
        parts = [found["a"], found["b"], found["c"]]
        if len(parts[0]) == 4:
            return verbalized(int(parts[2]), int(parts[1]), parts[0], word_before(found))
        if len(parts[2]) == 1 or (
            len(parts[2]) == 2 and (found["mark"] == "-" or dates.order == "ymd")
        ):
            return None
        if (
            len(parts[2]) == 2
            and found["mark"] == "."
            and " " not in found[0]
            and not _is_short_date(parts, by_word(after, word_before(found)))
        ):
            return None
        day, month = int(parts[0]), int(parts[1])
        if dates.order == "mdy" and found["mark"] != "." and (month > 12 or day <= 12):
            day, month = month, day
        return verbalized(day, month, parts[2], word_before(found))

    tail = rf"(?:\s?(?:{dates.year_after})(?!\p{{L}}))?+" if dates.year_after else ""
    year = rf"(?<c>\d{{4}}|\d{{1,2}})(?!\d|[.,]\d)(?:(?<=\d{{4}}\..{{1,8}})\.(?!\s*+$))?+{tail}"
    yield Recognizer(
        compiled(
            rf"(?<![\d.,/-])(?<a>\d{{4}}|\d{{1,2}})(?<mark>[./-])\s?(?<b>\d{{1,2}})(?P=mark)\s?{year}(?:(?<=\d{{4}}-\d\d-\d\d)T(?=\d\d:\d\d))?+(?![/-]\d|[{grammar.letter}])"
        ),
        lambda found: (
            None
            if len(found["a"]) == len(found["c"]) == 4
            else _with_stop(numeric(found), found, grammar)
        ),
        rule="date.figures",
    )
    yield from _slashed(dates.slashed, dates.weekday, verbalized)
    yield from _named_dates(grammar, verbalized)


def _with_stop(spoken: str | None, found: Match, grammar: Grammar) -> str | None:
    """Return a date with the full stop of its sentence; 2020. 05. 03. has one already."""
    if spoken and found[0].endswith("T"):  # 2001-09-11T08:46
        return f"{spoken}{grammar.comma.strip()}{grammar.gap}"
    if not spoken or not found[0].endswith("."):
        return spoken
    return (
        f"{spoken}."
        if found["mark"] != "." or begins_sentence(next_word(found), grammar)
        else spoken
    )


def _is_short_date(parts: list[str], cue: str) -> bool:
    """Return whether 4.2.15 is a date and not a version: with zeros, or after a word that implies
    one."""
    return bool(cue) or len(parts[0]) == len(parts[1]) == 2


def _slashed(proof: str, weekday: str, verbalized: _Date) -> Iterator[Recognizer]:
    """Recognize a month and a day if the following context proves them; stronger proof if it may be
    a fraction."""
    weekdays = compiled(weekday or "(?!)")

    def verbalize(found: Match) -> str | None:
        month, day = int(found["m"]), int(found["d"])
        sure = day <= month or weekdays.match(found.string, found.end()) is not None
        return verbalized(day, month, None, "") if sure else None

    pattern = (
        rf"(?<![\d.,/:-])(?<m>\d{{1,2}})/(?<d>\d{{1,2}})(?=(?:{proof})|(?:{weekday or '(?!)'}))"
    )
    if proof:
        yield Recognizer(compiled(pattern), verbalize, FIGURES, "date.slashed")


def _full_year(year: str) -> int:
    number = int(year)
    if len(year) != 2:
        return number
    return number + (2000 if number < 50 else 1900)


def _named_dates(grammar: Grammar, verbalized: _Date) -> Iterator[Recognizer]:
    dates = grammar.table.dates
    if not dates.written:
        return
    names = [compiled(written) for written in dates.written]

    def month_of(written: str) -> int:
        return next(index for index, name in enumerate(names, 1) if name.fullmatch(written))

    def full(written: str) -> str:
        return dates.months[month_of(written) - 1]

    def verbalize(found: Match) -> str | None:
        spoken = verbalized(
            int(found["d"]), month_of(found["month"]), found["year"], word_before(found)
        )
        return spoken if found["year"] else spoken and spoken + full_stop(found, grammar)

    month = rf"(?<month>{'|'.join(dates.written)})(?!\p{{L}})"
    tail = rf"(?:\s?(?:{dates.year_after})(?!\p{{L}}))?+" if dates.year_after else ""
    year = rf"(?:,?{dates.between}(?<year>\d{{4}})(?![\d]|[.,]\d|\p{{L}}|-\p{{L}}){tail})?+"
    yield Recognizer(
        compiled(rf"(?<![\d.,/-])(?<d>\d{{1,2}}){dates.dotted}{dates.between}{month}{year}"),
        verbalize,
        rule="date.named",
    )
    if dates.endings:
        yield from _days_with_endings(month_of, month, grammar)
    if dates.swapped:
        year = r"(?:,?\s(?<year>\d{4})(?![\d]|[.,]\d|\p{L}))?+"
        yield Recognizer(
            compiled(rf"(?<!\p{{L}}){month}\s(?<d>\d{{1,2}})(?:st|nd|rd|th)?(?![\d:]){year}"),
            lambda found: verbalized(int(found["d"]), month_of(found["month"]), found["year"], ""),
            LETTERS,
            "date.named",
        )
    if dates.months_only:
        yield Recognizer(
            compiled(
                rf"(?<!\p{{L}}){month}{dates.between}(?<year>\d{{4}})(?!\d|[.,]\d|\p{{L}}){tail}"
            ),
            lambda found: grammar.fill(
                dates.months_only, month=full(found["month"]), y=int(found["year"])
            ),
            LETTERS,
            "date.month",
        )


def _days_with_endings(
    month_of: Callable[[str], int], month: str, grammar: Grammar
) -> Iterator[Recognizer]:
    """Recognize a Hungarian day, "2020. október 3-án", whose name takes the ending written after
    the figures."""

    def verbalize(found: Match) -> str | None:
        day, ending = int(found["d"]), (found["ending"] or "").removeprefix("j")
        if not 1 <= day <= _DAYS[month_of(found["month"]) - 1]:
            return None
        verbalized = grammar.fill(
            grammar.table.dates.day,
            d=day,
            month=grammar.table.dates.months[month_of(found["month"]) - 1],
        )
        if ending[:1] in ("á", "é"):
            verbalized = verbalized[:-1] + ending
        elif ending not in ("", "a", "e"):
            verbalized += ending
        return (
            grammar.fill(grammar.table.dates.year, day=verbalized, y=int(found["year"]))
            if found["year"]
            else verbalized
        )

    ending = r"(?:\.(?!\s*+$)|-(?<ending>\p{Ll}{1,5}))?+"
    yield Recognizer(
        compiled(
            rf"(?:(?<!\d)(?<!\d[.,])(?<year>\d{{4}})\.?\s)?(?<!\p{{L}}){month}\s(?<d>\d{{1,2}})(?!\d){ending}(?![\p{{L}}\d])"
        ),
        verbalize,
        FIGURES + LETTERS,
        "date.named",
    )
