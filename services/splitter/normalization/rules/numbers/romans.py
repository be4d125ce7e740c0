"""Roman numerals, recognized only if their context proves them. Pure.

A numeral is read after a word that is counted (chapter, act), before a noun that takes an ordinal
(century, war), after or before the name of a ruler, and, from two letters on, after a capitalized
word (Rocky IV, World War II). A single letter anywhere else stays a letter.
"""

from collections.abc import Iterator
from functools import partial
from typing import Final

from services.splitter.normalization.grammar.grammar import Grammar
from services.splitter.normalization.grammar.table import RomanNoun, written_forms
from services.splitter.normalization.recognizer import (
    LETTERS,
    Match,
    Recognizer,
    alternatives,
    begins_sentence,
    by_context,
    by_word,
    choices,
    compiled,
    next_word,
    phrase_stop,
)

_PATTERN: Final = r"(?=[IVXLCDM])M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})"
# and a Cyrillic ten
_VALUES: Final = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000, "Х": 10}
_LARGEST_RULER: Final = 30
# after a capitalized word that is no ruler's name: what is larger is rather an initialism
_LARGEST_BARE: Final = 39
_LARGEST_COUNTED: Final = 200
_NUMERAL: Final = rf"(?P<roman>{_PATTERN})"
_CAPITAL_BEFORE: Final = compiled(r"(?<!\p{L})\p{Lu}\p{L}*+\.?\s$")
_SUBSECTION: Final = compiled(r"\.\d")
_WORD_AFTER: Final = compiled(r"['’]|\s\p{L}")
_JOINING: Final = "and|or|et|ou|und|oder|y|o|e|i|oraz|lub|a|nebo|či|až|и|или|en|of"
_SPOKEN_NOUN: Final = compiled(r"(?<=^[^}]*+)\}.*+")  # the text of a template after the number
# a single one of these is rather a letter: Le, De, vitamin C
_SURE: Final = rf"(?![LCDM](?![IVXLCDM])){_NUMERAL}"


def recognizers(grammar: Grammar) -> Iterator[Recognizer]:
    """Yield the recognizers of a language's Roman numerals, the most certain first."""
    table = grammar.table.roman
    short = [
        written for written in written_forms(grammar.table.before_number) if written.endswith(".")
    ]
    if table.counted:
        pattern = rf"(?<=(?<!\p{{L}})(?i:{table.counted})\s){_SURE}(?![\p{{L}}\p{{N}}])"
        yield Recognizer(
            compiled(pattern), partial(_after_counted, grammar), LETTERS, "roman.counted"
        )
    if short:
        lone = r"(?:(?=[IVXLC]{2})|(?=[IVX](?:[.,;:)\]]|\s*+$)))"  # "No. I see" has no number
        pattern = rf"(?<=(?<!\p{{L}})(?:{alternatives(short)})\s){lone}{_SURE}(?![\p{{L}}\p{{N}}])"
        yield Recognizer(
            compiled(pattern),
            lambda found: grammar.words(_value(found["roman"])),
            LETTERS,
            "roman.counted",
        )
    if table.counted and grammar.glued:  # 第II章
        pattern = rf"(?<=(?:{table.counted})\s?){_SURE}(?![A-Za-z\d])"
        yield Recognizer(compiled(pattern), partial(_small, grammar), LETTERS, "roman.counted")
    for noun in table.nouns:
        yield _before_noun(noun, grammar)
    yield from _centuries(grammar)
    if table.ruler:
        yield _rulers(grammar)
    if grammar.table.spaced:
        yield _after_names(grammar)


def _value(roman: str) -> int:
    values = [_VALUES[letter] for letter in roman]
    return sum(
        -value if value < after else value
        for value, after in zip(values, [*values[1:], 0], strict=True)
    )


def _after_counted(grammar: Grammar, found: Match) -> str | None:
    """Return the number after a counted word; "in this part I say" is not part one."""
    if len(found["roman"]) == 1 and _SUBSECTION.match(found.string, found.end()):
        return None
    before = found.string[max(0, found.start() - 24) : found.start()]
    if grammar.language == "en" and found["roman"] == "I" and not _CAPITAL_BEFORE.search(before):
        return None if _WORD_AFTER.match(found.string, found.end()) else grammar.words(1)
    number = _value(found["roman"])
    return grammar.words(number) if number <= _LARGEST_COUNTED else None


def _before_noun(noun: RomanNoun, grammar: Grammar) -> Recognizer:
    """Recognize a numeral, or two that are joined, before a noun: w XX wieku, XIX i XX wiek, II
    wojna światowa."""
    after = choices(noun.after)

    def verbalize(found: Match) -> str:
        rule = by_context(after, found) or noun.rule
        verbalized = grammar.words(_value(found["roman"]), rule)
        if found["first"]:
            link = grammar.to if found["link"].strip() in ("-", "–", "—") else found["link"]
            only = _SPOKEN_NOUN.sub("}", rule) if noun.short else rule
            verbalized = f"{grammar.words(_value(found['first']), only)}{link}{verbalized}"
        return verbalized + phrase_stop(found, grammar) if noun.short else verbalized

    suffixes = grammar.table.roman.suffixes
    first = rf"(?:{_NUMERAL.replace('roman', 'first')}(?:{suffixes})(?P<link>\s?[-–—]\s?|\s(?:{_JOINING})\s))?+"
    words = rf"\s?(?i:{noun.words})(?!\p{{L}})"
    dot = r"\.?" if grammar.table.ordinals.dot else ""
    ahead = words.replace(r"\s?", r"\s", 1) if noun.short else rf"(?={words})"
    pattern = rf"(?<![\p{{L}}\p{{N}}.]){first}{_NUMERAL}(?:{suffixes}){dot}{ahead}"
    if grammar.language == "ru":  # whose writers take their own letter for the ten
        pattern = pattern.replace("X", "[XХ]").replace("[IV[XХ]", "[IVXХ")
    return Recognizer(compiled(pattern), verbalize, LETTERS, "roman.noun")


def _centuries(grammar: Grammar) -> Iterator[Recognizer]:
    table = grammar.table.roman

    def century(found: Match) -> str:
        number, rule = _value(found["roman"]), table.century_rule
        return grammar.fill(rule, n=number) if "{" in rule else grammar.words(number, rule)

    suffixes = choices(grammar.table.ordinals.suffixes)

    def with_suffix(found: Match) -> str:
        rule = by_word(suffixes, found["suffix"]) or table.century_rule
        return grammar.words(_value(found["roman"]), rule)

    if table.century:
        pattern = rf"(?<![\p{{L}}\p{{N}}.]){_SURE}(?:{table.suffixes})(?=\s?(?:{table.century})(?!\p{{L}}))"
        yield Recognizer(compiled(pattern), century, LETTERS, "roman.century")
    if table.century_rule and table.suffixes.rstrip("?+") not in ("", r"\."):
        pattern = (
            rf"(?<![\p{{L}}\p{{N}}.]){_SURE}(?P<suffix>{table.suffixes.rstrip('?+')})(?!\p{{L}})"
        )
        yield Recognizer(compiled(pattern), with_suffix, LETTERS, "roman.suffix")


def _rulers(grammar: Grammar) -> Recognizer:
    """Recognize a numeral after (in some languages before) a name that rulers have: Louis XIV, II.
    Erzsébet."""
    table = grammar.table.roman
    cases = choices(table.cases)
    names, feminine = (
        compiled(rf"(?:{table.names or '(?!)'})"),
        compiled(rf"(?:{table.feminine or '(?!)'})"),
    )

    def verbalize(found: Match) -> str | None:
        number = _value(found["roman"])
        name = next_word(found) if table.before_name else _capitalised_before(found)
        if len(found["roman"]) == 1 and _is_initial(found, grammar):
            return None
        case = by_word(cases, name.lower()) or by_context(cases, found)
        known = case or names.fullmatch(name) or _has_title(found, before_name=table.before_name)
        if number > _LARGEST_RULER or not known:
            return None
        rule = table.ruler_large if number > 10 and table.ruler_large else table.ruler
        if case:
            rule = case
        elif table.ruler_feminine and feminine.fullmatch(name):
            rule = table.ruler_feminine
        if number == 1 and "first" in grammar.table.ordinals.after:
            rule = grammar.table.ordinals.after["first"]
        return grammar.fill(table.ruler_words, n=grammar.words(number, rule))

    if table.before_name:
        dot = r"\." if table.ruler_dot else ""
        pattern = rf"(?<![\p{{L}}\p{{N}}.]){_NUMERAL}{dot}(?=\s\p{{Lu}}\p{{Ll}})"
    else:
        dot = r"\.(?!\s*+$|\s++\p{Lu})" if table.ruler_dot else ""  # else it ends the sentence
        pattern = (
            rf"(?<=\p{{Lu}}[\p{{Ll}}\p{{M}}]{{1,24}}\s){_NUMERAL}(?:{dot})?+(?![\p{{L}}\p{{N}}])"
        )
    return Recognizer(compiled(pattern), verbalize, LETTERS, "roman.ruler")


# Titles that prove a ruler's name which is not in the table: King Haldric II.
_TITLES: Final = (
    "King|Queen|Emperor|Empress|Pope|Prince|Duke|[Rr]oi|[Rr]eine|[Ee]mpereur|[Pp]ape|[Rr]ey|[Rr]eina|[Pp]apa|[Ee]mperador"
    "|[Rr]e|[Rr]egina|[Ii]mperatore|[Rr]ei|[Rr]ainha|[Ii]mperador|König|Königin|Kaiser|Kaiserin|Papst|Herzog|Fürst"
    "|[Kk]oning|[Kk]oningin|[Kk]eizer|[Pp]aus|[Kk]ról|[Kk]rólowa|[Kk]róla|[Cc]esarz|[Pp]apież|[Kk]rál|[Kk]rále"
    "|[Cc]ísař|[Pp]apež|[Кк]ороль|[Кк]ороля|[Цц]арь|[Цц]аря|[Ии]мператор|[Ии]мператора|[Пп]апа|[Kk]ral|[Kk]ralı"
    "|[Kk]irály|[Cc]sászár|[Pp]ápa"
)
_TITLED: Final = compiled(
    rf"(?<!\p{{L}})(?:{_TITLES})\s(?:\p{{Lu}}[\p{{L}}\p{{M}}'’-]*+\s){{1,2}}$"
)
_TITLED_BEFORE: Final = compiled(rf"(?<!\p{{L}})(?:{_TITLES})\s$")


def _has_title(found: Match, *, before_name: bool) -> bool:
    """Return whether a ruler's title precedes the name, or the numeral if that precedes the
    name."""
    before = found.string[max(0, found.start() - 48) : found.start()]
    return (_TITLED_BEFORE if before_name else _TITLED).search(before) is not None


def _is_initial(found: Match, grammar: Grammar) -> bool:
    """Return whether a letter is an initial, before a name: Charles V. Dubois."""
    word = _NEXT_NAME.match(found.string, found.end())
    return word is not None and not begins_sentence(word[1], grammar)


_NEXT_NAME: Final = compiled(r"\.\s(\p{Lu}[\p{L}\p{M}'’]*+)")
_PERSON: Final = compiled(r"(?<!\p{L})\p{Lu}\.\s\p{Lu}[\p{L}\p{M}'’-]++,?\s$")
_NAME_BEFORE: Final = compiled(r"(\p{Lu}[\p{L}\p{M}'’-]*+)\s$")


def _capitalised_before(found: Match) -> str:
    word = _NAME_BEFORE.search(found.string[max(0, found.start() - 32) : found.start()])
    return word[1] if word else ""


def _after_names(grammar: Grammar) -> Recognizer:
    """Recognize a numeral of two letters or more after a capitalized word, spoken as a cardinal:
    Rocky IV."""
    pattern = rf"(?<=\p{{Lu}}[\p{{L}}\p{{M}}]{{1,24}}\s)(?=[IVXLCDM]{{2}}){_NUMERAL}(?![\p{{L}}\p{{N}}'’])"
    return Recognizer(compiled(pattern), partial(_bare, grammar), LETTERS, "roman.bare")


def _small(grammar: Grammar, found: Match) -> str | None:
    number = _value(found["roman"])
    return grammar.words(number) if number <= _LARGEST_BARE else None


def _bare(grammar: Grammar, found: Match) -> str | None:
    number = _value(found["roman"])
    if number > _LARGEST_BARE or begins_sentence(_capitalised_before(found), grammar):
        return None
    table = grammar.table.roman
    # Ivan E. Moore II
    if table.ruler and _PERSON.search(found.string[max(0, found.start() - 32) : found.start()]):
        return grammar.fill(table.ruler_words, n=grammar.words(number, table.ruler))
    return grammar.words(number)
