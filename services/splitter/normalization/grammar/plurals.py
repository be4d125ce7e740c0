"""The plural category of an integer, by the rules of the Unicode CLDR (supplemental/plurals).
Pure."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

Plural = Callable[[int], str]


def _one(number: int) -> str:
    return "one" if number == 1 else "other"


def _none_or_one(number: int) -> str:
    return "one" if number in (0, 1) else "other"


def _polish(number: int) -> str:
    if number == 1:
        return "one"
    return "few" if number % 10 in (2, 3, 4) and number % 100 not in (12, 13, 14) else "other"


def _czech(number: int) -> str:
    return {1: "one", 2: "few", 3: "few", 4: "few"}.get(number, "other")


def _russian(number: int) -> str:
    if number % 10 == 1 and number % 100 != 11:
        return "one"
    return "few" if number % 10 in (2, 3, 4) and number % 100 not in (12, 13, 14) else "other"


def _arabic(number: int) -> str:
    if number in (1, 2):
        return ("one", "two")[number - 1]
    rest = number % 100
    if 3 <= rest <= 10:
        return "few"
    return "many" if rest >= 11 else "other"


def _single(number: int) -> str:  # noqa: ARG001  # nouns after a number do not change
    return "other"


PLURALS: Final[Mapping[str, Plural]] = MappingProxyType(
    {
        **dict.fromkeys(("en", "de", "es", "it", "nl"), _one),
        **dict.fromkeys(("fr", "pt", "hi"), _none_or_one),
        **dict.fromkeys(("ja", "ko", "zh", "tr", "hu"), _single),
        "pl": _polish,
        "cs": _czech,
        "ru": _russian,
        "ar": _arabic,
    }
)
# The categories in the order in which a table lists a noun's forms; "part" is the form after a
# decimal.
FORMS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        **dict.fromkeys(("fr", "en", "es", "de", "it", "pt", "nl", "hi"), ("one", "other")),
        **dict.fromkeys(("ja", "ko", "zh", "tr", "hu"), ("other",)),
        "pl": ("one", "few", "other", "part"),
        "cs": ("one", "few", "other", "part"),
        "ru": ("one", "few", "other"),
        "ar": ("one", "two", "few", "many", "other"),
    }
)
