"""Times of day. Pure.

A colon between figures of two is a time (`ratios` runs before). A full stop is one only where a
mark (Uhr), a word before it (alle ore) or a range of two such times proves it, since 8.45 is
otherwise a decimal.
"""

from collections.abc import Callable, Iterator
from typing import Final

import regex

from services.splitter.normalization.grammar.grammar import Grammar, Number
from services.splitter.normalization.grammar.table import Times
from services.splitter.normalization.recognizer import (
    SIGNS,
    Match,
    Recognizer,
    by_context,
    by_word,
    choices,
    compiled,
    full_stop,
)

_MINUTES: Final = regex.compile(r"\{oh\}|\{m:[^}]*+\}")
_START: Final = r"(?<![\d:.,])(?<h>\d{1,2})"
_WORDS_BEFORE: Final = 24  # characters searched for a word that implies a time


class _Clock:
    """Verbalizes times of day in one language."""

    def __init__(self, grammar: Grammar) -> None:
        self._grammar = grammar
        self._times = grammar.table.times_of_day
        self.after = choices(self._times.after)
        self._halves = choices(self._times.half_day)

    def verbalize(self, found: Match) -> str | None:
        """Return the time of a match with the groups h, m, s and half."""
        half = self._half(found) if found["half"] else None
        verbalized = self.time(
            int(found["h"]), int(found["m"] or 0), half, by_context(self.after, found)
        )
        seconds = int(found["s"] or 0)
        if verbalized is None or seconds > 59:
            return None
        if (
            self._times.midnight
            and half is None
            and int(found["h"]) == int(found["m"] or 0) == seconds == 0
        ):
            verbalized = self._times.midnight
        with_seconds = (
            self._grammar.gap.join((verbalized, self._seconds(seconds))) if seconds else verbalized
        )
        return with_seconds + full_stop(found, self._grammar)

    def _half(self, found: Match) -> str:
        start, end = found.span("half")
        exact = (
            verbalized
            for pattern, verbalized in self._halves
            if pattern.fullmatch(found.string, start, end)
        )
        return next(exact, "") or by_word(self._halves, found["half"].lower().rstrip("."))

    def time(self, hour: int, minute: int, half_day: str | None, special: str) -> str | None:
        """Return a time in words, by a `special` template if any; None if it is not a time of
        day."""
        if hour > 24 or minute > 59:
            return None
        times, grammar = self._times, self._grammar
        values: dict[str, str | int] = {
            "h": hour,
            "h12": (hour - 1) % 12 + 1,
            "m": minute,
            "hour": self._counted(hour, times.hour),
            "minute": self._counted(minute, times.minute),
            "half": half_day or "",
            "oh": self._oh(minute),
        }
        special = _MINUTES.sub("", special) if minute == 0 else special
        template = special or _template(times, minute, half_day=half_day is not None)
        if hour > 12 and times.afternoon:
            template = template.replace(*times.afternoon)
        return grammar.fill(template, **values)

    def _oh(self, minute: int) -> str:
        if not 0 < minute < 10:
            return ""
        zero = "oh" if self._grammar.language == "en" else self._grammar.digits("0")
        return f"{zero}{self._grammar.gap}"

    def _counted(self, count: int, noun: str) -> str:
        return self._grammar.counted(Number(str(count)), self._grammar.noun(noun)) if noun else ""

    def _seconds(self, count: int) -> str:
        template = self._times.second
        if "{" in template:
            seconds = self._counted(count, self._grammar.table.durations.second)
            return self._grammar.fill(template, second=count, seconds=seconds)
        return self._counted(count, template) or self._grammar.words(count)


def _template(times: Times, minute: int, *, half_day: bool) -> str:
    usual = times.sharp if minute == 0 and times.sharp else times.full
    if half_day:
        sharp = times.sharp_half_day if minute == 0 else ""
        return sharp or times.full_half_day or usual
    return usual


def recognizers(grammar: Grammar) -> Iterator[Recognizer]:
    """Yield the recognizers of a language's times of day, ranges first."""
    times = grammar.table.times_of_day
    if not times.full:
        return
    clock = _Clock(grammar)
    half = (
        rf"(?:\s?(?<half>{'|'.join(times.half_day)})(?!\p{{L}}))"
        if times.half_day
        else "(?<half>(?!))"
    )
    marks = rf"(?:\s?(?:{times.marks})(?![\p{{L}}]))" if times.marks else ""
    end = r"(?![\p{L}])" if not grammar.glued else r"(?![A-Za-z])"
    end = rf"(?:Z(?!\p{{L}}))?+{end}"  # of a time stamp
    yield from _ranges(grammar, clock, marks, end)
    if times.half_day:
        halves = "|".join(times.half_day)
        hyphen = rf"(?<=\d\s?(?:{halves}))[-–—]\s?(?=\d{{1,2}}(?:[:.]\d\d)?\s?(?:{halves}))"
        yield Recognizer(compiled(hyphen), lambda _: grammar.to, SIGNS, "time.range")
    if times.letter:
        yield _range_with_letters(grammar, clock)
    colon = r"[:](?<m>\d{2})(?::(?<s>\d{2}))?(?![\d:]|[.,]\d)"
    optional_marks = f"{marks}?+" if marks else ""
    yield Recognizer(
        compiled(rf"{_START}{colon}(?:{half})?+{optional_marks}{end}"),
        clock.verbalize,
        rule="time.colon",
    )
    if times.half_day:
        pattern = rf"{_START}(?:[:.](?<m>\d{{2}})(?<s>(?!))?)?{half}"
        yield Recognizer(compiled(pattern), clock.verbalize, rule="time.half_day")
    if marks and times.separators != ":":
        pattern = rf"{_START}[{times.separators}](?<m>\d{{2}})(?::(?<s>\d{{2}}))?(?![\d:]|[.,]\d)(?<half>(?!))?{marks}"
        yield Recognizer(compiled(pattern), clock.verbalize, rule="time.marked")
    if times.words:
        yield _after_words(times, clock, end)
    if times.behind:
        hours = r"(?<![\d:.,\p{L}])(?<h>[01]\d|2[0-3])"
        pattern = rf"{hours}[.](?<m>[0-5][05])(?<s>(?!))?(?<half>(?!))?(?={times.behind}){end}"
        yield Recognizer(compiled(pattern), clock.verbalize, rule="time.behind")
    if times.letter:
        groups = r"(?<s>(?!))?(?<half>(?!))?"
        minutes = r"(?<m>\d{2})?(?:\s?(?:min|m))?+(?![\p{L}\p{N}])"
        pattern = rf"(?<!\p{{L}}){_START}{groups}(?:{times.letter}){minutes}"
        yield Recognizer(compiled(pattern), clock.verbalize, rule="time.letter")


def _after_words(times: Times, clock: _Clock, end: str) -> Recognizer:
    """Recognize a time with a full stop after a word that implies one: alle ore 8.45."""
    asks = compiled(rf"(?i)(?<!\p{{L}})(?:{times.words})\s?$")

    def verbalize(found: Match) -> str | None:
        before = found.string[max(0, found.start() - _WORDS_BEFORE) : found.start()]
        return clock.verbalize(found) if asks.search(before) else None

    pattern = rf"{_START}[.](?<m>[0-5]\d)(?<s>(?!))?(?<half>(?!))?(?!\d|[.,:]\d){end}"
    return Recognizer(compiled(pattern), verbalize, rule="time.word")


def _range_with_letters(grammar: Grammar, clock: _Clock) -> Recognizer:
    """Recognize two times with the letter of the hours: 9h-17h, 8 h 30 – 12 h."""

    def verbalize(found: Match) -> str | None:
        first = clock.time(
            int(found["h"]), int(found["m"] or 0), None, by_context(clock.after, found)
        )
        last = clock.time(int(found["h2"]), int(found["m2"] or 0), None, "")
        return None if first is None or last is None else f"{first}{grammar.to}{last}"

    letter = rf"(?:{grammar.table.times_of_day.letter})"
    pattern = rf"{_START}{letter}(?<m>[0-5]\d)?\s?[-–—]\s?(?<h2>\d{{1,2}}){letter}(?<m2>[0-5]\d)?(?![\p{{L}}\p{{N}}])"
    return Recognizer(compiled(pattern), verbalize, rule="time.range")


def _ranges(grammar: Grammar, clock: _Clock, marks: str, end: str) -> Iterator[Recognizer]:
    """Recognize two times with a hyphen or dash between them: 10:00-14:00, 9.00-17.00."""
    ranges, words = grammar.table.times_of_day.range, grammar.table.times_of_day.to or "(?!)"

    def verbalize(separator: str) -> Callable[[Match], str | None]:
        def verbalized(found: Match) -> str | None:
            word, before = found["to"] or "", by_context(clock.after, found)
            whole, each = (not (word or before) and ranges) or (
                f"{{first}}{word or grammar.to}{{last}}",
                "",
            )
            first = clock.time(int(found["h"]), int(found["m"]), None, before or each)
            last = clock.time(
                int(found["h2"]), int(found["m2"]), None, by_word(clock.after, word.strip()) or each
            )
            if first is None or last is None or (separator == "." and grammar.table.decimal == "."):
                return None
            return grammar.fill(whole, first=first, last=last) + full_stop(found, grammar)

        return verbalized

    tail = f"{marks}?+" if marks else ""
    for separator in ":.":
        time = rf"\{separator}"
        pattern = (
            rf"{_START}{time}(?<m>[0-5]\d)(?:\s?[-–—~～〜]\s?|(?<to>\s(?:{words})\s))"
            rf"(?<h2>\d{{1,2}}){time}(?<m2>[0-5]\d)(?!\d|[:.,]\d){tail}{end}"
        )
        yield Recognizer(compiled(pattern), verbalize(separator), rule="time.range")
