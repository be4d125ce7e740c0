"""The table of a language, as `languages/<code>.toml` has it. Pure."""

from collections.abc import Mapping

import msgspec


def written_forms(entries: Mapping[str, str]) -> dict[str, str]:
    """Return a table's entries by each of their written forms: "n°|nº" is two."""
    return {written: said for forms, said in entries.items() for written in forms.split("|")}


class Noun(msgspec.Struct, frozen=True):
    """What is counted."""

    gender: str
    forms: dict[str, str]  # by plural category


class Ordinals(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers that say a place."""

    suffixes: dict[str, str] = {}  # what follows the figures, a regular expression -> rule
    prefixes: dict[str, str] = {}  # what stands before them
    dot: bool = False  # "3." before a small letter, or after one of the words below, is one
    rule: str = "ordinal"
    after: dict[str, str] = {}  # words before it, a regular expression -> rule
    before: dict[str, str] = {}  # the noun behind it, a regular expression -> rule
    capitals: str = ""  # capitalised nouns before which a figure with a full stop is one: a regular expression


class Dates(msgspec.Struct, frozen=True, kw_only=True):
    """How a day is written and said."""

    order: str = "dmy"
    day: str = ""  # template with {d}, {month}
    first: str = ""  # of the first of a month, where it differs
    year: str = "{day} {y:numbering-year}"
    months: tuple[str, ...] = ()  # as they are said in a date
    written: tuple[str, ...] = ()  # regular expressions of what is written
    between: str = r" "  # between day and month, and month and year, as written
    dotted: str = r"\.?"  # after a day in figures
    swapped: bool = False  # "October 3, 2020" too
    after: dict[str, str] = {}  # words before it -> another template for the day
    numbers: dict[str, str] = {}  # month in figures -> as said, where no name is
    months_only: str = ""  # template of a month and its year
    year_after: str = ""  # written behind the year, not said again
    weekdays: dict[str, str] = {}  # short forms, said beside a date, a time or another weekday
    weekdays_in_ranges: dict[str, str] = {}  # those that are words too: Sat-Sun
    short: dict[str, str] = {}  # words before 3.10. -> a template with {d} and {m}
    slashed: str = ""  # what proves that 12/5 before it is a month and a day
    weekday: str = ""  # the same even of 3/4, which may be a fraction otherwise
    endings: bool = False  # "október 3-án": the day takes the ending that is written


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """How a time of day is written and said."""

    full: str = ""  # template with {h}, {hour}, {m}, {minute}
    sharp: str = ""  # with no minutes
    marks: str = ""  # what follows a time, as written, and is said by the template
    separators: str = ":"  # a class of characters
    letter: str = ""  # 14h30, 14 h: a regular expression, which needs no minutes
    hour: str = ""  # noun
    minute: str = ""  # noun
    second: str = ""  # noun, or template with {second} or {seconds}
    half_day: dict[str, str] = {}  # a.m. -> as said
    full_half_day: str = ""
    sharp_half_day: str = ""
    after: dict[str, str] = {}  # words before it -> another template
    words: str = ""  # words before a time that is written with a full stop, a regular expression
    behind: str = ""  # what proves such a time behind it: 15.30'da
    midnight: str = ""  # said for 00:00
    range: tuple[str, str] | None = None  # template with {first} and {last}, and that of each; no word stands before
    to: str = ""  # words between two times that prove each other: a regular expression
    afternoon: tuple[str, str] | None = None  # from 13 on: what of the template gives way to what


class Durations(msgspec.Struct, frozen=True, kw_only=True):
    """How hours, minutes and seconds are counted, and the letters that they are written with."""

    hour: str = ""  # noun
    minute: str = ""
    second: str = ""
    hours: str = "h|hrs?"  # regular expressions
    minutes: str = "min|m|mn|′|'"
    seconds: str = "sec|s|″"


class Ratios(msgspec.Struct, frozen=True, kw_only=True):
    """How 3:2 is said."""

    ratio: str = ""  # template with {a} and {b}
    scale: str = ""  # of 1:25 000, where it differs
    several: str = ""  # between three figures and more, where it differs: 4:2:2
    words: str = ""  # before what may be a time otherwise: a regular expression
    verses: str = ""  # before chapter and verse: books, a regular expression
    score: str = ""  # of a score, where it differs
    scores: str = ""  # words before a score: a regular expression


class Money(msgspec.Struct, frozen=True, kw_only=True):
    """Currencies."""

    units: dict[str, str] = {}  # symbols and codes -> "noun / noun of the hundredth"
    both: str = "{whole} {cents}"
    magnitude: str = "{number} {magnitude} {unit}"
    short: dict[str, str] = {}  # letters between an amount and its currency, or behind both: 10 k€, $3m -> noun


class RomanNoun(msgspec.Struct, frozen=True, kw_only=True):
    """A noun that takes an ordinal in Roman numerals before it."""

    words: str  # a regular expression, in any case of letters
    rule: str  # or a template with {n}
    after: dict[str, str] = {}  # words before the numeral -> another rule
    short: bool = False  # the templates say the noun too, which is a short form


class Roman(msgspec.Struct, frozen=True, kw_only=True):
    """Roman numerals where they are meant."""

    nouns: tuple[RomanNoun, ...] = ()
    names: str = ""  # of rulers: a regular expression
    feminine: str = ""  # those of queens
    cases: dict[str, str] = {}  # names in other cases than the first, a regular expression -> rule

    counted: str = ""  # words before one that is read as a cardinal: chapter, volume
    ruler: str = ""  # rule after a name; empty: none
    ruler_large: str = ""  # from 11 on, where it differs
    ruler_words: str = "{n}"
    ruler_feminine: str = ""  # rule after the name of a queen
    ruler_dot: bool = False  # a full stop belongs to it
    before_name: bool = False
    century: str = ""  # words behind one that make it a century's
    century_rule: str = ""
    suffixes: str = ""


class Phones(msgspec.Struct, frozen=True, kw_only=True):
    """Telephone numbers."""

    pairs: bool = False  # digits are said two by two
    national: str = ""  # a regular expression
    words: str = ""  # before one: tel., call; a regular expression
    zero: str = ""  # where a zero is said otherwise in one
    joined: bool = False  # the digits of a group are one word


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A language's file."""

    decimal: str
    groups: str  # separators of thousands, a class of characters
    cardinal: str
    genders: dict[str, str] = {}  # gender -> rule
    genitive: str = ""  # words before a number in the genitive, a regular expression; needs the rules ...-genitive
    attributive: str = ""  # rule of a number before its noun, where that differs
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
    spaced: bool = True  # words have spaces between them
    indian: bool = False  # groups of two above the thousand: 1,23,456
    year: str = "numbering-year"
    bare_years: bool = False  # 1100 to 1999 is a year also without a word that says so, but before a capitalised noun
    digits: str = ""  # rule of a digit by itself; empty: the cardinal's
    magnitudes: dict[str, str] = {}  # million -> noun
    units: dict[str, str] = {}
    doubtful_units: str = ""  # which are words too, so that no word follows
    versions: str = ""  # words before 2.4, which is no decimal then: a regular expression
    counters: dict[str, str] = {}  # a word behind a number -> the rule that it takes
    fractions: dict[str, str] = {}  # "1/2" -> words
    denominator: str = ""  # template with {n}, {d}
    denominator_one: str = ""  # of one part, where it differs
    symbols: dict[str, str] = {}
    operators: dict[str, str] = {}  # between spaces or numbers
    number_signs: dict[str, str] = {}  # before a number: № 5
    asterisk: str = ""  # between spaces, where it multiplies nothing
    # Figures with a name of their own, a regular expression -> words with {digits} or {number}.
    figures_named: dict[str, str] = {}
    tilde: str = ""  # what may follow the sign of a range, besides figures: a regular expression
    beside: dict[str, str] = {}  # signs by what is beside them, a regular expression -> words: 5元/月
    power: str = "{n}"  # behind its base, with {n}
    stop: str = ""  # said for the full stop of a version or a section, where decimals have a comma
    round: str = ""  # between millions and their noun, where nothing smaller follows: trois millions d'euros
    starters: str = ""  # words that begin sentences, so that a capital tells no name
    abbreviations: dict[str, str] = {}  # that are no word, no name and no initial
    within: dict[str, str] = {}  # only where the sentence visibly continues
    titles: dict[str, str] = {}  # before a name
    doubtful_titles: dict[str, str] = {}  # which are words or initials, too
    after_name: dict[str, str] = {}  # behind a capitalised word: Main St.
    before_number: dict[str, str] = {}  # before figures or a Roman numeral
    after_number: dict[str, str] = {}
    eponyms: dict[str, str] = {}  # between what is named after somebody and the name: im.
    named: str = ""  # nouns before an eponym, a regular expression; a capitalised word and figures do anyway
    inflected: dict[str, dict[str, str]] = {}  # abbreviation -> next word, a regular expression -> as said
    closing: str = ""  # abbreviations that may end a sentence
    opening: str = ""  # abbreviations behind which none ends
    initials: str = ""  # spelled out letter by letter
    letters: dict[str, str] = {}
    at: str = "at"
    dot: str = "dot"
    slash: str = "slash"
    dash: str = "dash"
    underscore: str = "underscore"
    years: dict[str, str] = {}  # words before a year, or (with "+") behind one -> rule, or template with {n}, {stop}
    suffixed: str = ""  # endings that are written behind figures
    suffixes: dict[str, str] = {}  # abbreviated ends of words: Hauptstr.
    ordinals: Ordinals = Ordinals()
    dates: Dates = Dates()
    times_of_day: Times = Times()
    durations: Durations = Durations()
    ratios: Ratios = Ratios()
    money: Money = Money()
    roman: Roman = Roman()
    phones: Phones = Phones()
