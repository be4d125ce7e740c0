"""Numbers in words by the rules of the Unicode CLDR (rule-based number format, RBNF). Pure.

The rules are read as ICU documents them (class RuleBasedNumberFormat; UTS 35, part 3, section 5): a rule holds from its
base value on, `<<` is the quotient by its power of the radix, `>>` the rest, `=%name=` the same number by another set,
what stands in brackets is left out where nothing is left over (or gives way to what follows `|`), and
`$(cardinal,one{...}other{...})$` chooses by the plural of the quotient. Only whole numbers are read: how a decimal is
said is a matter of the language's own table.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import regex

Plural = Callable[[int], str]  # a whole number to its plural category in CLDR

_SET: Final = regex.compile(r"(%%?[a-z0-9-]+?)(\+)?:")
_RULE: Final = regex.compile(r"(\d+)(?:/(\d+))?:\s*+(.*);")
_PART: Final = regex.compile(
    r"(?P<arrows>[<>=])(?P<set>%%?[a-z0-9-]+|#,##0|0|>)?(?P=arrows)|\$\(cardinal,(?P<plural>[^)]*+)\)\$|[^<>=$]++|."
)
_FORM: Final = regex.compile(r"(\w++)\{([^}]*+)\}")
_SOFT_HYPHEN: Final = "\u00ad"
LARGEST: Final = 10**18  # exclusive: CLDR writes what is larger in figures


@dataclass(frozen=True)
class _Part:
    """A piece of a rule's text."""

    kind: str  # "", "<", ">", "=", ">>>" or "plural"
    text: str = ""  # to say as it is
    rules: str = ""  # the set to go on with; empty: the same
    forms: Mapping[str, str] | None = None  # by plural category


@dataclass(frozen=True)
class _Rule:
    base: int
    divisor: int
    always: tuple[_Part, ...]  # before the bracket
    optional: tuple[_Part, ...]  # in the bracket, where something is left over
    otherwise: tuple[_Part, ...]  # in the bracket, where nothing is
    after: tuple[_Part, ...]

    @property
    def rolls_back(self) -> bool:
        """Say whether a number without a rest belongs to the rule before this one."""
        parts = (*self.always, *self.optional, *self.after)
        return self.base % self.divisor != 0 and any(part.kind in (">", ">>>") for part in parts)


class Rules:
    """The rule sets of a language."""

    def __init__(self, source: str, plural: Plural) -> None:
        """Read the rules as CLDR writes them; of two sets with one name the later holds, or, as `%name+:`, is added."""
        self._sets = _read(source)
        self._bases = {name: [rule.base for rule in rules] for name, rules in self._sets.items()}
        self._plural = plural
        self.spell = lru_cache(maxsize=8192)(self._spell)

    def __contains__(self, name: str) -> bool:
        return f"%spellout-{name}" in self._sets

    def _spell(self, number: int, name: str) -> str:
        """Return a number of 0 to 10^18 - 1 in words, by the set `%spellout-<name>`."""
        return self._format(number, f"%spellout-{name}").replace(_SOFT_HYPHEN, "").strip()

    def _format(self, number: int, name: str) -> str:
        rules, place = self._sets[name], max(0, bisect_right(self._bases[name], number) - 1)
        if place and rules[place].rolls_back and number % rules[place].divisor == 0:
            place -= 1
        return self._apply(number, name, place)

    def _apply(self, number: int, name: str, place: int) -> str:
        rule = self._sets[name][place]
        bracket = rule.optional if number % rule.divisor else rule.otherwise
        said = (self._say(part, number, rule, name, place) for part in (*rule.always, *bracket, *rule.after))
        return "".join(said)

    def _say(self, part: _Part, number: int, rule: _Rule, name: str, place: int) -> str:
        if not part.kind:
            return part.text
        if part.kind == "plural":
            forms = part.forms or {}
            return forms.get(self._plural(number // rule.divisor), forms["other"])
        if part.kind == ">>>":
            return self._apply(number % rule.divisor, name, place - 1)
        value = {"<": number // rule.divisor, ">": number % rule.divisor, "=": number}[part.kind]
        return str(value) if part.text else self._format(value, part.rules or name)


def _read(source: str) -> dict[str, tuple[_Rule, ...]]:
    sets: dict[str, dict[int, _Rule]] = {}
    rules: dict[int, _Rule] = {}
    for line in source.splitlines():
        if heading := _SET.fullmatch(line):
            rules = sets[heading[1]] = dict(sets.get(heading[1], {})) if heading[2] else {}
        elif found := _RULE.fullmatch(line):
            base = int(found[1])
            rules[base] = _rule(base, int(found[2] or 10), found[3].removeprefix("'"))
    return {name: tuple(rules[base] for base in sorted(rules)) for name, rules in sets.items() if rules}


def _rule(base: int, radix: int, body: str) -> _Rule:
    divisor = 1
    while base and divisor * radix <= base:
        divisor *= radix
    always, _, rest = body.partition("[")
    bracket, _, after = rest.partition("]")
    optional, _, otherwise = bracket.partition("|")
    return _Rule(base, divisor, _parts(always), _parts(optional), _parts(otherwise), _parts(after))


def _parts(body: str) -> tuple[_Part, ...]:
    return tuple(map(_part, _PART.finditer(body)))


def _part(found: "regex.Match[str]") -> _Part:
    if found["plural"]:
        return _Part("plural", forms=dict(_FORM.findall(found["plural"])))
    if not found["arrows"]:
        return _Part("", text=found[0])
    if found["set"] == ">":
        return _Part(">>>")
    in_figures = found["set"] in ("#,##0", "0")
    return _Part(found["arrows"], text="0" if in_figures else "", rules="" if in_figures else found["set"] or "")
