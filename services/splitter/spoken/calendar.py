"""Dates and times of day. Pure."""

from collections.abc import Callable, Iterator
from typing import Final

import regex

from services.splitter.spoken.grammar import Grammar, Number
from services.splitter.spoken.recogniser import (
    FIGURES,
    LETTERS,
    Match,
    Recogniser,
    by_word,
    choices,
    compiled,
    word_before,
)

_MINUTES: Final = regex.compile(r"\{oh\}|\{m:[^}]*+\}")
_DAYS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_Date = Callable[[int, int, str | None, str], str | None]  # day, month, year, the word before -> as said


def recognisers(grammar: Grammar) -> Iterator[Recogniser]:
    """Yield what recognises a language's dates and times."""
    dates = grammar.table.dates
    if dates.day:
        yield from _dates(grammar)
    if grammar.table.times_of_day.full:
        yield from _times(grammar)


def _dates(grammar: Grammar) -> Iterator[Recogniser]:
    dates, after = grammar.table.dates, choices(grammar.table.dates.after)

    def said(day: int, month: int, year: str | None, word: str) -> str | None:
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
            return said(int(parts[2]), int(parts[1]), parts[0], word_before(found))
        if len(parts[2]) == 1 or (len(parts[2]) == 2 and (found["mark"] == "-" or dates.order == "ymd")):
            return None
        day, month = int(parts[0]), int(parts[1])
        if dates.order == "mdy" and found["mark"] != "." and (month > 12 or day <= 12):
            day, month = month, day
        return said(day, month, parts[2], word_before(found))

    tail = rf"(?:\s?(?:{dates.year_after})(?!\p{{L}}))?+" if dates.year_after else ""
    year = rf"(?<c>\d{{4}}|\d{{1,2}})(?!\d|[.,]\d)(?:(?<=\d{{4}}.{{1,9}})\.(?!\s*+$))?+{tail}"
    yield Recogniser(
        compiled(
            rf"(?<![\d.,/-])(?<a>\d{{4}}|\d{{1,2}})(?<mark>[./-])\s?(?<b>\d{{1,2}})(?P=mark)\s?{year}(?![/-]\d|\p{{L}})"
        ),
        lambda found: None if len(found["a"]) == len(found["c"]) == 4 else numeric(found),
    )
    yield from _named_dates(grammar, said)


def _full_year(year: str) -> int:
    number = int(year)
    if len(year) != 2:
        return number
    return number + (2000 if number < 50 else 1900)


def _named_dates(grammar: Grammar, said: _Date) -> Iterator[Recogniser]:
    dates = grammar.table.dates
    if not dates.written:
        return
    names = [compiled(written) for written in dates.written]

    def month_of(written: str) -> int:
        return next(place for place, name in enumerate(names, 1) if name.fullmatch(written))

    def full(written: str) -> str:
        return dates.months[month_of(written) - 1]

    def say(found: Match) -> str | None:
        return said(int(found["d"]), month_of(found["month"]), found["year"], word_before(found))

    month = rf"(?<month>{'|'.join(dates.written)})(?!\p{{L}})"
    tail = rf"(?:\s?(?:{dates.year_after})(?!\p{{L}}))?+" if dates.year_after else ""
    year = rf"(?:,?{dates.between}(?<year>\d{{4}})(?![\d]|[.,]\d|\p{{L}}|-\p{{L}}){tail})?+"
    yield Recogniser(compiled(rf"(?<![\d.,/-])(?<d>\d{{1,2}}){dates.dotted}{dates.between}{month}{year}"), say)
    if dates.endings:
        yield from _days_with_endings(month_of, month, grammar)
    if dates.swapped:
        year = r"(?:,?\s(?<year>\d{4})(?![\d]|[.,]\d|\p{L}))?+"
        yield Recogniser(
            compiled(rf"(?<!\p{{L}}){month}\s(?<d>\d{{1,2}})(?:st|nd|rd|th)?(?![\d:]){year}"), say, LETTERS
        )
    if dates.months_only:
        yield Recogniser(
            compiled(rf"(?<!\p{{L}}){month}{dates.between}(?<year>\d{{4}})(?!\d|[.,]\d|\p{{L}}){tail}"),
            lambda found: grammar.fill(dates.months_only, month=full(found["month"]), y=int(found["year"])),
            LETTERS,
        )


def _days_with_endings(month_of: Callable[[str], int], month: str, grammar: Grammar) -> Iterator[Recogniser]:
    """Recognise a Hungarian day, "2020. október 3-án", whose name takes the ending that stands behind the figures."""

    def say(found: Match) -> str | None:
        day, ending = int(found["d"]), (found["ending"] or "").removeprefix("j")
        if not 1 <= day <= _DAYS[month_of(found["month"]) - 1]:
            return None
        said = grammar.fill(
            grammar.table.dates.day, d=day, month=grammar.table.dates.months[month_of(found["month"]) - 1]
        )
        if ending[:1] in ("á", "é"):
            said = said[:-1] + ending
        elif ending not in ("", "a", "e"):
            said += ending
        return grammar.fill(grammar.table.dates.year, day=said, y=int(found["year"])) if found["year"] else said

    ending = r"(?:\.(?!\s*+$)|-(?<ending>\p{Ll}{1,5}))?+"
    yield Recogniser(
        compiled(
            rf"(?:(?<!\d)(?<!\d[.,])(?<year>\d{{4}})\.?\s)?(?<!\p{{L}}){month}\s(?<d>\d{{1,2}})(?!\d){ending}(?![\p{{L}}\d])"
        ),
        say,
        FIGURES + LETTERS,
    )


def _times(grammar: Grammar) -> Iterator[Recogniser]:
    times = grammar.table.times_of_day
    after = choices(times.after)

    def said(hour: int, minute: int, second: str | None, half_day: str | None, word: str) -> str | None:
        if hour > 24 or minute > 59:
            return None
        template = times.sharp if minute == 0 and times.sharp else times.full
        if half_day:
            template = times.sharp_half_day if minute == 0 and times.sharp_half_day else times.full_half_day or template
        special = by_word(after, word)
        template = (_MINUTES.sub("", special) if minute == 0 else special) or template
        values: dict[str, str | int] = {
            "h": hour,
            "h12": (hour - 1) % 12 + 1,
            "m": minute,
            "hour": _counted(grammar, hour, times.hour),
            "minute": _counted(grammar, minute, times.minute),
            "half": half_day or "",
            "oh": f"{grammar.digits('0') if grammar.language != 'en' else 'oh'}{grammar.gap}"
            if 0 < minute < 10
            else "",
        }
        spoken = grammar.fill(template, **values)
        if second and int(second):
            spoken = grammar.gap.join((spoken, _seconds(grammar, int(second))))
        return spoken

    halves = choices(times.half_day)

    def clock(found: Match) -> str | None:
        half = by_word(halves, found["half"].lower().rstrip(".")) if found["half"] else None
        return said(int(found["h"]), int(found["m"] or 0), found["s"], half, word_before(found))

    half = rf"(?:\s?(?<half>{'|'.join(times.half_day)})(?!\p{{L}}))" if times.half_day else "(?<half>(?!))"
    marks = rf"(?:\s?(?:{times.marks})(?![\p{{L}}]))" if times.marks else ""
    minutes = rf"[{times.separators}](?<m>\d{{2}})(?::(?<s>\d{{2}}))?(?![\d:]|[.,]\d)"
    end = r"(?![\p{L}])" if grammar.table.spaced and grammar.language != "ko" else r"(?![A-Za-z])"
    colon = minutes.replace(times.separators, ":")
    plain = rf"(?<![\d:.,])(?<h>\d{{1,2}}){colon}(?:{half})?+{marks + '?+' if marks else ''}{end}"
    yield Recogniser(compiled(plain), clock)
    if times.half_day:
        yield Recogniser(compiled(rf"(?<![\d:.,])(?<h>\d{{1,2}})(?:[:.](?<m>\d{{2}})(?<s>(?!))?)?{half}"), clock)
    if marks and times.separators != ":":
        yield Recogniser(compiled(rf"(?<![\d:.,])(?<h>\d{{1,2}}){minutes}(?<half>(?!))?{marks}"), clock)
    if times.letter:
        yield Recogniser(
            compiled(
                rf"(?<![\d:.,])(?<h>\d{{1,2}})(?<s>(?!))?(?<half>(?!))?(?:{times.letter})(?<m>\d{{2}})?(?:\s?(?:min|m))?+"
                r"(?![\p{L}\p{N}])"
            ),
            clock,
        )


def _counted(grammar: Grammar, count: int, noun: str) -> str:
    return grammar.counted(Number(str(count)), grammar.noun(noun)) if noun else ""


def _seconds(grammar: Grammar, count: int) -> str:
    template = grammar.table.times_of_day.second
    return grammar.fill(template, second=count) if "{" in template else _counted(grammar, count, template)
