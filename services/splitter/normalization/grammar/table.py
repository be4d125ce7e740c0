"""The schema of `languages/<code>.toml`. Pure."""

from collections.abc import Mapping

import msgspec


def written_forms(entries: Mapping[str, str]) -> dict[str, str]:
    """Return a table with one entry per written form: "n°|nº" becomes two."""
    return {
        written: verbalized for forms, verbalized in entries.items() for written in forms.split("|")
    }


class Noun(msgspec.Struct, frozen=True):
    """A noun that numbers can count."""

    gender: str
    forms: dict[str, str]  # by plural category


class Ordinals(msgspec.Struct, frozen=True, kw_only=True):
    """Ordinal numbers."""

    suffixes: dict[str, str] = {}  # after the figures, a regular expression -> rule
    prefixes: dict[str, str] = {}  # before the figures
    dot: bool = False  # "3." before a small letter, or after one of the words below, is an ordinal
    rule: str = "ordinal"
    after: dict[str, str] = {}  # words before it, a regular expression -> rule
    before: dict[str, str] = {}  # the noun after it, a regular expression -> rule
    # capitalized nouns before which a figure with a full stop is an ordinal: a regular expression
    capitals: str = ""


class Dates(msgspec.Struct, frozen=True, kw_only=True):
    """Written and spoken forms of dates."""

    order: str = "dmy"
    day: str = ""  # template with {d}, {month}
    first: str = ""  # for the first of a month, if it differs
    year: str = "{day} {y:numbering-year}"
    months: tuple[str, ...] = ()  # spoken forms in a date
    written: tuple[str, ...] = ()  # regular expressions of the written forms
    between: str = r" "  # separator of day, month and year, as written
    dotted: str = r"\.?"  # after a day in figures
    swapped: bool = False  # also "October 3, 2020"
    after: dict[str, str] = {}  # words before it -> another template for the day
    numbers: dict[str, str] = {}  # month in figures -> spoken form, where it is not a name
    months_only: str = ""  # template for a month and its year
    year_after: str = ""  # written after the year, not spoken
    # short forms, recognized next to a date, a time or another weekday
    weekdays: dict[str, str] = {}
    weekdays_in_ranges: dict[str, str] = {}  # those that are also words: Sat-Sun
    short: dict[str, str] = {}  # words before 3.10. -> a template with {d} and {m}
    slashed: str = ""  # context after 12/5 that proves a month and a day
    weekday: str = ""  # the same, strong enough for 3/4, which may be a fraction
    endings: bool = False  # "október 3-án": the day takes the written ending


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """Written and spoken forms of times of day."""

    full: str = ""  # template with {h}, {hour}, {m}, {minute}
    sharp: str = ""  # for times without minutes
    marks: str = ""  # words after a time, as written, that the template already contains
    separators: str = ":"  # a character class
    letter: str = ""  # 14h30, 14 h: a regular expression; minutes are optional
    hour: str = ""  # noun
    minute: str = ""  # noun
    second: str = ""  # noun, or template with {second} or {seconds}
    half_day: dict[str, str] = {}  # a.m. -> spoken form
    full_half_day: str = ""
    sharp_half_day: str = ""
    after: dict[str, str] = {}  # words before it -> another template
    words: str = ""  # words before a time written with a full stop, a regular expression
    behind: str = ""  # context after such a time that proves it: 15.30'da
    midnight: str = ""  # spoken form of 00:00
    # template with {first} and {last}, and that of each; if no word precedes
    range: tuple[str, str] | None = None
    to: str = ""  # words between two times that prove each other, a regular expression
    afternoon: tuple[str, str] | None = None  # from 13 on: (part of the template, replacement)


class Durations(msgspec.Struct, frozen=True, kw_only=True):
    """Spoken nouns and written letters for hours, minutes and seconds."""

    hour: str = ""  # noun
    minute: str = ""
    second: str = ""
    hours: str = "h|hrs?"  # regular expressions
    minutes: str = "min|m|mn|′|'"
    seconds: str = "sec|s|″"


class Ratios(msgspec.Struct, frozen=True, kw_only=True):
    """Spoken forms of 3:2."""

    ratio: str = ""  # template with {a} and {b}
    scale: str = ""  # for 1:25 000, if it differs
    several: str = ""  # for three or more figures, if it differs: 4:2:2
    words: str = ""  # words before a ratio that could be a time, a regular expression
    verses: str = ""  # names of books before chapter and verse, a regular expression
    score: str = ""  # for a score, if it differs
    scores: str = ""  # words before a score: a regular expression


class Money(msgspec.Struct, frozen=True, kw_only=True):
    """Currencies."""

    units: dict[str, str] = {}  # symbols and codes -> "noun / noun of the hundredth"
    both: str = "{whole} {cents}"
    magnitude: str = "{number} {magnitude} {unit}"
    # letters between an amount and its currency, or after both: 10 k€, $3m -> noun
    short: dict[str, str] = {}


class RomanNoun(msgspec.Struct, frozen=True, kw_only=True):
    """A noun that takes an ordinal in Roman numerals before it."""

    words: str  # a regular expression, case-insensitive
    rule: str  # or a template with {n}
    after: dict[str, str] = {}  # words before the numeral -> another rule
    short: bool = False  # the noun is a short form, and the templates contain its spoken form


class Roman(msgspec.Struct, frozen=True, kw_only=True):
    """Contexts in which letters are Roman numerals."""

    nouns: tuple[RomanNoun, ...] = ()
    names: str = ""  # of rulers: a regular expression
    feminine: str = ""  # names of queens
    # names in other cases than the nominative, a regular expression -> rule
    cases: dict[str, str] = {}

    counted: str = ""  # words before a numeral that is a cardinal: chapter, volume
    ruler: str = ""  # rule after a name; empty: none
    ruler_large: str = ""  # from 11 on, if it differs
    ruler_words: str = "{n}"
    ruler_feminine: str = ""  # rule after the name of a queen
    ruler_dot: bool = False  # a full stop belongs to the numeral
    before_name: bool = False
    century: str = ""  # words after a numeral that make it a century
    century_rule: str = ""
    suffixes: str = ""


class Phones(msgspec.Struct, frozen=True, kw_only=True):
    """Telephone numbers."""

    pairs: bool = False  # digits are spoken in pairs
    national: str = ""  # a regular expression
    words: str = ""  # words before a number: tel., call; a regular expression
    zero: str = ""  # spoken form of zero, if it differs in phone numbers
    joined: bool = False  # the digits of a group are one word


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The contents of a language's file."""

    decimal: str
    groups: str  # separators of thousands, a character class
    cardinal: str
    genders: dict[str, str] = {}  # gender -> rule
    # words before a number in the genitive, a regular expression; requires the rules ...-genitive
    genitive: str = ""
    attributive: str = ""  # rule for a number before its noun, if it differs
    point: str
    decimals: str = "digits"  # or "number", or "parts" for tenths and hundredths
    parts: tuple[str, ...] = ()
    whole: str = ""
    minus: str
    plus: str
    percent: str
    permille: str = ""
    to: str  # between the ends of a range
    per: str = ""  # between a price and its unit: 5 €/kg
    spaced: bool = True  # words are separated by spaces
    indian: bool = False  # groups of two above the thousand: 1,23,456
    year: str = "numbering-year"
    # 1100 to 1999 is a year without further proof, except before a capitalized noun
    bare_years: bool = False
    digits: str = ""  # rule for a single digit; empty: the cardinal's
    magnitudes: dict[str, str] = {}  # million -> noun
    units: dict[str, str] = {}
    doubtful_units: str = ""  # units that are also words: recognized only if no word follows
    # words before 2.4 that make it a version instead of a decimal, a regular expression
    versions: str = ""
    counters: dict[str, str] = {}  # a word after a number -> the rule for the number
    fractions: dict[str, str] = {}  # "1/2" -> words
    denominator: str = ""  # template with {n}, {d}
    denominator_one: str = ""  # for a numerator of one, if it differs
    symbols: dict[str, str] = {}
    operators: dict[str, str] = {}  # between spaces or numbers
    number_signs: dict[str, str] = {}  # before a number: № 5
    asterisk: str = ""  # between spaces, if it does not multiply
    # Figures with a special spoken form, a regular expression -> words with {digits} or {number}.
    figures_named: dict[str, str] = {}
    tilde: str = ""  # what may follow a range sign, besides figures, a regular expression
    beside: dict[str, str] = {}  # signs by their context, a regular expression -> words: 5元/月
    power: str = "{n}"  # template with {n}, after the base
    # spoken form of the full stop in a version or a section, in languages with a decimal comma
    stop: str = ""
    round: str = ""  # between round millions and their noun: trois millions d'euros
    starters: str = ""  # words that begin sentences, so that their capital does not indicate a name
    abbreviations: dict[str, str] = {}  # those that are not also a word, a name or an initial
    within: dict[str, str] = {}  # only if the sentence visibly continues
    titles: dict[str, str] = {}  # before a name
    doubtful_titles: dict[str, str] = {}  # those that are also words or initials
    after_name: dict[str, str] = {}  # after a capitalized word: Main St.
    before_number: dict[str, str] = {}  # before figures or a Roman numeral
    after_number: dict[str, str] = {}
    # between a thing and the name of the person it is named after: im.
    eponyms: dict[str, str] = {}
    # nouns before an eponym, a regular expression; a capitalized word or figures are always
    # accepted
    named: str = ""
    # abbreviation -> next word, a regular expression -> spoken form
    inflected: dict[str, dict[str, str]] = {}
    closing: str = ""  # abbreviations that may end a sentence
    opening: str = ""  # abbreviations after which no sentence ends
    initials: str = ""  # spelled out letter by letter
    letters: dict[str, str] = {}
    at: str = "at"
    dot: str = "dot"
    slash: str = "slash"
    dash: str = "dash"
    underscore: str = "underscore"
    # words before a year, or (with "+") after one -> rule, or template with {n}, {stop}
    years: dict[str, str] = {}
    suffixed: str = ""  # endings written after figures
    suffixes: dict[str, str] = {}  # abbreviated ends of words: Hauptstr.
    ordinals: Ordinals = Ordinals()
    dates: Dates = Dates()
    times_of_day: Times = Times()
    durations: Durations = Durations()
    ratios: Ratios = Ratios()
    money: Money = Money()
    roman: Roman = Roman()
    phones: Phones = Phones()
