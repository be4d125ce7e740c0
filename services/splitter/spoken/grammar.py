"""A language: its table, read from `languages/<code>.toml`, and its numbers in words. Pure.

A table's nouns are written `m euro|euros`: the gender, then the forms in the order of `plurals.FORMS`. Its templates
hold `{name}` for a word and `{name:rule}` for a number in words by the CLDR rule set `spellout-<rule>`.
"""

from functools import cache, cached_property
from importlib.resources import files
from typing import Annotated, Final

import msgspec
import regex

from services.splitter.spoken.plurals import FORMS, PLURALS
from services.splitter.spoken.rbnf import LARGEST, Rules

_HOLE: Final = regex.compile(r"\{(\w++)(?::([a-z-]++))?\}")
_SPACES: Final = regex.compile(r" {2,}+")


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
    times: str = ""
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


Digits = Annotated[str, msgspec.Meta(pattern=r"^\d*\Z")]


class Number(msgspec.Struct, frozen=True):
    """A number as it is written."""

    whole: Digits
    decimals: Digits = ""
    negative: bool = False
    genitive: bool = False  # which the word before it asks for

    @property
    def value(self) -> int:
        """Return its whole part."""
        return int(self.whole)


class Grammar:
    """A language's table and its numbers in words."""

    def __init__(self, language: str) -> None:
        """Read both. `language` is one of the service's."""
        self.language = language
        folder = files(__package__)
        table = (folder / "languages" / f"{language}.toml").read_text(encoding="utf-8")
        self.table = msgspec.toml.decode(table, type=Table)
        sources = [(folder / "cldr" / f"{language}.rbnf").read_text(encoding="utf-8")]
        own = folder / "languages" / f"{language}.rbnf"
        if own.is_file():
            sources.append(own.read_text(encoding="utf-8"))
        self.rules = Rules("\n".join(sources), PLURALS[language])
        self.gap = " " if self.table.spaced else ""
        self.glued = language in ("zh", "ja", "ko")  # words and particles follow figures without a space
        self.letter = "A-Za-z" if self.glued else r"\p{L}"  # what may not follow a number directly, in a class
        # What belongs to the word before it, without a space: Korean 은, 는.
        self.particle = regex.compile(rf"(?:{self.table.suffixed or '(?!)'})(?!\p{{L}})", regex.V1)
        self.cased = language not in ("ar", "zh", "hi", "ko", "ja")
        self.starters = frozenset(self.table.starters.split())
        to = self.table.to
        as_written = to == "-" or to.endswith(" ")  # Korean: 에서, which belongs to the word before it
        self.to = to if as_written else f"{self.gap}{to}{self.gap}"  # between the ends of a range
        self.comma = {"ar": "،", "zh": "，", "ja": "、"}.get(language, ",")

    def words(self, number: int, rule: str = "") -> str:
        """Return a whole number in words, by a rule or a template with {n}; digit by digit where it is too large."""
        if "{" in rule:
            return self.fill(rule, n=number)
        if number >= LARGEST:
            return self.digits(str(number))
        return self.rules.spell(number, rule or self.table.cardinal)

    def digits(self, figures: str) -> str:
        """Return figures one by one in words."""
        rule = self.table.digits or self.table.cardinal
        return self.gap.join(self.rules.spell(int(figure), rule) for figure in figures)

    def number(self, number: Number, rule: str = "") -> str:
        """Return a number in words, whatever its sign and size."""
        sign = f"{self.table.minus}{self.gap}" if number.negative else ""
        if number.genitive:
            rule = f"{rule or self.table.cardinal}-genitive"
        long = len(number.whole) > 18 or (len(number.whole) > 1 and number.whole[0] == "0" and not number.decimals)
        whole = self.digits(number.whole) if long else self.words(number.value, rule)
        return f"{sign}{self._with_decimals(number, whole)}" if number.decimals else f"{sign}{whole}"

    def _with_decimals(self, number: Number, whole: str) -> str:
        table, figures = self.table, number.decimals
        if table.decimals == "parts" and len(figures) <= len(table.parts):
            return self._with_parts(number)
        if table.decimals == "parts-hu" and len(figures) <= len(table.parts) and int(figures):
            return f"{whole} {table.point} {self.words(int(figures), 'count')} {table.parts[len(figures) - 1]}"
        zeros = len(figures) - len(figures.lstrip("0"))
        if table.decimals == "digits" or len(figures) > 3 or zeros == len(figures):
            said = self.digits(figures)
        else:
            said = self.gap.join([*([self.digits("0")] * zeros), self.words(int(figures))])
        if table.decimals == "celá":
            whole = self.words(number.value, self.table.genders["f"])
        point = self.form(self.noun(table.point), number.value) if "|" in table.point else table.point
        return self.gap.join((whole, point, said))

    def _with_parts(self, number: Number) -> str:
        """Return a Russian decimal: so many wholes and so many tenths."""
        feminine = self.table.genders["f"]
        whole, part = self.noun(self.table.whole), self.noun(self.table.parts[len(number.decimals) - 1])
        count = int(number.decimals)
        return (
            f"{self.words(number.value, feminine)} {self.form(whole, number.value)} "
            f"{self.words(count, feminine)} {self.form(part, count)}"
        )

    def noun(self, written: str) -> Noun:
        """Return a table's noun."""
        return self._nouns(written)

    @cached_property
    def _nouns(self) -> "_Nouns":
        return _Nouns(FORMS[self.language])

    def form(self, noun: Noun, count: int) -> str:
        """Return the form of a noun after a whole number."""
        return noun.forms.get(PLURALS[self.language](count)) or noun.forms["other"]

    def counted(self, number: Number, noun: Noun) -> str:
        """Return so many of something: both in the form that goes with the other."""
        if number.decimals:
            part = noun.forms.get("part") or noun.forms.get("few" if self.language == "ru" else "other", "")
            if self.language == "fr" and number.value < 2:
                part = noun.forms["one"]
            return f"{self.number(number)}{self.gap}{part}"
        form = self._genitive(noun, number.value) if number.genitive else self.form(noun, number.value)
        if self.language == "ar" and not number.negative and number.whole in ("1", "2"):
            return form  # the noun alone says how many
        said = self.number(number, self.table.genders.get(noun.gender, self.table.attributive))
        return f"{said}{self.linked(number.value, form)}"

    def _genitive(self, noun: Noun, count: int) -> str:
        """Return a noun as it stands in the genitive behind a number in the genitive."""
        if PLURALS[self.language](count) != "one":
            return noun.forms["other"]
        return noun.forms.get("part") or noun.forms["few"]

    def linked(self, count: int, noun: str) -> str:
        """Return a noun as it follows a number: behind round millions some languages put "de"."""
        if not self.table.round or count < 1_000_000 or count % 1_000_000:
            return f"{self.gap}{noun}"
        full, _, elided = self.table.round.partition("|")
        vowel = noun[:1].lower() in "aeiouhéèêàâ"
        return f" {elided}{noun}" if elided and vowel else f" {full} {noun}"

    def fill(self, template: str, **values: str | int) -> str:
        """Return a template with its holes filled."""

        def value(hole: "regex.Match[str]") -> str:
            said = values[hole[1]]
            return self.words(said, hole[2] or "") if isinstance(said, int) else said

        return str(_SPACES.sub(" ", _HOLE.sub(value, template))).strip()

    def fill_words(self, template: str, words: list[str]) -> str:
        """Return words joined as a template joins {a} and {b}, whatever rules it names for them."""
        between = _HOLE.split(template)[3] if _HOLE.search(template) else " "
        return between.join(words)

    def capital(self, text: str) -> str:
        """Return a text with a capital at its beginning, as the language writes it."""
        first = text[:1]
        return ("İ" if first == "i" and self.language == "tr" else first.upper()) + text[1:]


class _Nouns(dict[str, Noun]):
    """Nouns as they were written, read once each."""

    def __init__(self, categories: tuple[str, ...]) -> None:
        super().__init__()
        self._categories = categories

    def __call__(self, written: str) -> Noun:
        noun = self.get(written)
        if noun is None:
            gender, _, rest = written.partition(" ") if written[1:2] == " " else ("", "", written)
            forms = rest.split("|")
            padded = forms + forms[-1:] * (len(self._categories) - len(forms))
            noun = self[written] = Noun(gender, dict(zip(self._categories, padded, strict=False)))
        return noun


@cache
def grammar(language: str) -> Grammar:
    """Return a language's grammar, read at its first use."""
    return Grammar(language)
