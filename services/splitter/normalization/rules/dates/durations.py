"""Durations written with the letters of their units: 2h 15m, 1 h 30 min, 5 min 20 s. Pure."""

from collections.abc import Iterator

from services.splitter.normalization.grammar.grammar import Grammar, Number
from services.splitter.normalization.recognizer import FIGURES, Match, Recognizer, compiled


def recognizers(grammar: Grammar) -> Iterator[Recognizer]:
    """Yield the recognizers of a language's durations."""
    nouns = grammar.table.durations
    if not nouns.hour:
        return

    def verbalize(found: Match) -> str | None:
        parts = [(found["h"], nouns.hour), (found["m"], nouns.minute), (found["s"], nouns.second)]
        verbalized = [
            grammar.counted(Number(count), grammar.noun(noun)) for count, noun in parts if count
        ]
        return grammar.gap.join(verbalized) if len(verbalized) > 1 else None

    end = rf"(?![{grammar.letter}\p{{N}}])"
    hour, minute, second = (
        rf"\s?(?:{letters})" for letters in (nouns.hours, nouns.minutes, nouns.seconds)
    )
    seconds = rf"(?:\s?(?P<s>\d{{1,2}}){second}{end})?+"
    letter = grammar.table.times_of_day.letter
    # 14h30 is a time of day where such are written so
    bare = r"(?!)" if letter and compiled(letter).fullmatch("h") else ""
    with_hours = rf"(?P<h>\d{{1,3}}){hour}\s?(?P<m>\d{{1,2}})(?:{minute}{end}{seconds}|{bare}(?<s>(?!))?{end})"
    without = rf"(?<h>(?!))?(?P<m>\d{{1,3}}){minute}\s?(?P<s>\d{{1,2}}){second}{end}"
    yield Recognizer(
        compiled(rf"(?<![\d.,:{grammar.letter}])(?:{with_hours}|{without})"),
        verbalize,
        FIGURES,
        "duration",
    )
