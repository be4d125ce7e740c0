"""Numbers in words by the rules of the Unicode CLDR (rule-based number format, RBNF). Pure.

The rules are read as ICU documents them (class RuleBasedNumberFormat; UTS 35, part 3, section 5): a
rule holds from its base value on, `<<` is the quotient by its power of the radix, `>>` the rest,
`=%name=` the same number by another set, text in brackets is omitted if the remainder is zero (or
replaced by what follows `|`), and `$(cardinal,one{...}other{...})$` chooses by the plural of the
quotient. Only integers are handled here: decimals are verbalized by the language's table.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import regex

Plural = Callable[[int], str]  # an integer to its plural category in CLDR

_SET: Final = regex.compile(r"(%%?[a-z0-9-]+?)(\+)?:")
_RULE: Final = regex.compile(r"(\d+)(?:/(\d+))?:\s*+(.*);")
_PART: Final = regex.compile(
    r"(?P<arrows>[<>=])(?P<set>%%?[a-z0-9-]+|#,##0|0|>)?(?P=arrows)|\$\(cardinal,(?P<plural>[^)]*+)\)\$|[^<>=$]++|."
)
_FORM: Final = regex.compile(r"(\w++)\{([^}]*+)\}")
_SOFT_HYPHEN: Final = "\u00ad"
LARGEST: Final = 10**18  # exclusive: CLDR writes larger numbers in figures


@dataclass(frozen=True)
class _Part:
    """A part of a rule's text."""

    kind: str  # "", "<", ">", "=", ">>>" or "plural"
    text: str = ""  # literal text
    rules: str = ""  # the rule set to continue with; empty: the same
    forms: Mapping[str, str] | None = None  # by plural category


@dataclass(frozen=True)
class _Rule:
    base: int
    divisor: int
    always: tuple[_Part, ...]  # before the brackets
    optional: tuple[_Part, ...]  # in brackets, if the remainder is not zero
    otherwise: tuple[_Part, ...]  # in brackets, if the remainder is zero
    after: tuple[_Part, ...]

    @property
    def rolls_back(self) -> bool:
        """Return whether a number with remainder zero uses the previous rule."""
        parts = (*self.always, *self.optional, *self.after)
        return self.base % self.divisor != 0 and any(part.kind in (">", ">>>") for part in parts)


class Rules:
    """The rule sets of a language."""

    def __init__(self, source: str, plural: Plural) -> None:
        """Parse CLDR rules. A later set replaces an earlier one of the same name, or extends it if
        named `%name+:`."""
        self._sets = _read(source)
        self._bases = {name: [rule.base for rule in rules] for name, rules in self._sets.items()}
        self._plural = plural
        self.spell = lru_cache(maxsize=8192)(self._spell)

    def __contains__(self, name: str) -> bool:
        return f"%spellout-{name}" in self._sets

    def _spell(self, number: int, name: str) -> str:
        """Return a number from 0 to 10^18 - 1 in words, by the rule set `%spellout-<name>`."""
        return self._format(number, f"%spellout-{name}").replace(_SOFT_HYPHEN, "").strip()

    def _format(self, number: int, name: str) -> str:
        rules, index = self._sets[name], max(0, bisect_right(self._bases[name], number) - 1)
        if index and rules[index].rolls_back and number % rules[index].divisor == 0:
            index -= 1
        return self._apply(number, name, index)

    def _apply(self, number: int, name: str, index: int) -> str:
        rule = self._sets[name][index]
        bracket = rule.optional if number % rule.divisor else rule.otherwise
        verbalized = (
            self._verbalize(part, number, rule, name, index)
            for part in (*rule.always, *bracket, *rule.after)
        )
        return "".join(verbalized)

    def _verbalize(self, part: _Part, number: int, rule: _Rule, name: str, index: int) -> str:
        if not part.kind:
            return part.text
        if part.kind == "plural":
            forms = part.forms or {}
            return forms.get(self._plural(number // rule.divisor), forms["other"])
        if part.kind == ">>>":
            return self._apply(number % rule.divisor, name, index - 1)
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
    return {
        name: tuple(rules[base] for base in sorted(rules)) for name, rules in sets.items() if rules
    }


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
    return _Part(
        found["arrows"],
        text="0" if in_figures else "",
        rules="" if in_figures else found["set"] or "",
    )
