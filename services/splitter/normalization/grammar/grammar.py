"""The grammar of a language: its table, read from `languages/<code>.toml`, and its numbers in
words. Pure.

A table's nouns are written `m euro|euros`: the gender, then the forms in the order of
`plurals.FORMS`. Its templates hold `{name}` for a word and `{name:rule}` for a number in words by
the CLDR rule set `spellout-<rule>`.
"""

from functools import cache, cached_property
from importlib.resources import files
from typing import Annotated, Final

import msgspec
import regex

from services.splitter.normalization.grammar.plurals import FORMS, PLURALS
from services.splitter.normalization.grammar.rbnf import LARGEST, Rules
from services.splitter.normalization.grammar.table import Noun, Table

_HOLE: Final = regex.compile(r"\{(\w++)(?::([a-z-]++))?\}")
_SPACES: Final = regex.compile(r" {2,}+")


Digits = Annotated[str, msgspec.Meta(pattern=r"^\d*\Z")]


class Number(msgspec.Struct, frozen=True):
    """A number as written."""

    whole: Digits
    decimals: Digits = ""
    negative: bool = False
    genitive: bool = False  # required by the word before it

    @property
    def value(self) -> int:
        """Return the integer part."""
        return int(self.whole)


class Grammar:
    """A language's table and its numbers in words."""

    def __init__(self, language: str) -> None:
        """Read the table and the number rules. `language` is one of the supported codes."""
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
        # words and particles follow figures without a space
        self.glued = language in ("zh", "ja", "ko")
        # what must not follow a number directly, as a character class
        self.letter = "A-Za-z" if self.glued else r"\p{L}"
        # Particles attached to the word before, without a space: Korean 은, 는.
        self.particle = regex.compile(rf"(?:{self.table.suffixed or '(?!)'})(?!\p{{L}})", regex.V1)
        self.cased = language not in ("ar", "zh", "hi", "ko", "ja")
        self.starters = frozenset(self.table.starters.split())
        to = self.table.to
        # Korean: 에서, which is attached to the word before
        as_written = to == "-" or to.endswith(" ")
        self.to = to if as_written else f"{self.gap}{to}{self.gap}"  # between the ends of a range
        # before an ending: 5'te
        self.joint = self.table.suffixed[:1] if self.table.suffixed[:1] in ("'", "-") else ""
        self.comma = {"ar": "،", "zh": "，", "ja": "、"}.get(language, ",")

    def words(self, number: int, rule: str = "") -> str:
        """Return an integer in words, by a rule or a template with {n}; digit by digit if it is too
        large."""
        if "{" in rule:
            return self.fill(rule, n=number)
        if number >= LARGEST:
            return self.digits(str(number))
        return self.rules.spell(number, rule or self.table.cardinal)

    def digits(self, figures: str) -> str:
        """Return figures in words, one by one."""
        rule = self.table.digits or self.table.cardinal
        return self.gap.join(self.rules.spell(int(figure), rule) for figure in figures)

    def number(self, number: Number, rule: str = "") -> str:
        """Return a number of any sign and size in words."""
        sign = f"{self.table.minus}{self.gap}" if number.negative else ""
        if number.genitive:
            rule = f"{rule or self.table.cardinal}-genitive"
        long = len(number.whole) > 18 or (
            len(number.whole) > 1 and number.whole[0] == "0" and not number.decimals
        )
        whole = self.digits(number.whole) if long else self.words(number.value, rule)
        return (
            f"{sign}{self._with_decimals(number, whole)}" if number.decimals else f"{sign}{whole}"
        )

    def _with_decimals(self, number: Number, whole: str) -> str:
        table, figures = self.table, number.decimals
        if table.decimals == "parts" and len(figures) <= len(table.parts):
            return self._with_parts(number)
        if table.decimals == "parts-hu" and len(figures) <= len(table.parts) and int(figures):
            return f"{whole} {table.point} {self.words(int(figures), 'count')} {table.parts[len(figures) - 1]}"
        zeros = len(figures) - len(figures.lstrip("0"))
        if table.decimals == "digits" or len(figures) > 3 or zeros == len(figures):
            verbalized = self.digits(figures)
        else:
            verbalized = self.gap.join([*([self.digits("0")] * zeros), self.words(int(figures))])
        if table.decimals == "celá":
            whole = self.words(number.value, self.table.genders["f"])
        point = (
            self.form(self.noun(table.point), number.value) if "|" in table.point else table.point
        )
        return self.gap.join((whole, point, verbalized))

    def _with_parts(self, number: Number) -> str:
        """Return a Russian decimal in words, as wholes and tenths."""
        feminine = self.table.genders["f"]
        whole, part = (
            self.noun(self.table.whole),
            self.noun(self.table.parts[len(number.decimals) - 1]),
        )
        count = int(number.decimals)
        return (
            f"{self.words(number.value, feminine)} {self.form(whole, number.value)} "
            f"{self.words(count, feminine)} {self.form(part, count)}"
        )

    def noun(self, written: str) -> Noun:
        """Return a parsed noun of the table."""
        return self._nouns(written)

    @cached_property
    def _nouns(self) -> "_Nouns":
        return _Nouns(FORMS[self.language])

    def form(self, noun: Noun, count: int) -> str:
        """Return the form of a noun after an integer."""
        return noun.forms.get(PLURALS[self.language](count)) or noun.forms["other"]

    def counted(self, number: Number, noun: Noun) -> str:
        """Return a number with its noun, both in the form that the other requires."""
        if number.decimals:
            part = noun.forms.get("part") or noun.forms.get(
                "few" if self.language == "ru" else "other", ""
            )
            if self.language == "fr" and number.value < 2:
                part = noun.forms["one"]
            return f"{self.number(number)}{self.gap}{part}"
        form = (
            self._genitive(noun, number.value) if number.genitive else self.form(noun, number.value)
        )
        if self.language == "ar" and not number.negative and number.whole in ("1", "2"):
            return form  # the form of the noun already implies the number
        verbalized = self.number(
            number, self.table.genders.get(noun.gender, self.table.attributive)
        )
        return f"{verbalized}{self.linked(number.value, form)}"

    def _genitive(self, noun: Noun, count: int) -> str:
        """Return the genitive of a noun after a number in the genitive."""
        if PLURALS[self.language](count) != "one":
            return noun.forms["other"]
        return noun.forms.get("part") or noun.forms["few"]

    def linked(self, count: int, noun: str) -> str:
        """Return a noun as it follows a number: after round millions some languages add "de"."""
        if not self.table.round or count < 1_000_000 or count % 1_000_000:
            return f"{self.gap}{noun}"
        full, _, elided = self.table.round.partition("|")
        vowel = noun[:1].lower() in "aeiouhéèêàâ"
        return f" {elided}{noun}" if elided and vowel else f" {full} {noun}"

    def fill(self, template: str, **values: str | int) -> str:
        """Return a template with its placeholders filled."""

        def value(hole: "regex.Match[str]") -> str:
            verbalized = values[hole[1]]
            return (
                self.words(verbalized, hole[2] or "") if isinstance(verbalized, int) else verbalized
            )

        return str(_SPACES.sub(" ", _HOLE.sub(value, template))).strip()

    def fill_words(self, template: str, words: list[str]) -> str:
        """Return words joined as a template joins {a} and {b}; its rules are ignored."""
        between = _HOLE.split(template)[3] if _HOLE.search(template) else " "
        return between.join(words)

    def capital(self, text: str) -> str:
        """Return a text with its first letter capitalized by the rules of the language."""
        first = text[:1]
        return ("İ" if first == "i" and self.language == "tr" else first.upper()) + text[1:]


class _Nouns(dict[str, Noun]):
    """A cache of parsed nouns."""

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
    """Return a language's grammar, loaded at its first use."""
    return Grammar(language)
