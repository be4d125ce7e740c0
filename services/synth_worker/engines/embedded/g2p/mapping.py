"""Phones -> symbols, by a table. Pure."""

import re
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Final

NO_CHANGES: Final[Mapping[str, str]] = MappingProxyType({})


def replaced(phones: str, table: Mapping[str, str]) -> str:
    """Replace in one pass, the longest first, so that no replacement is replaced again."""
    return _longest_first(frozenset(table)).sub(lambda found: table[found.group()], phones)


@cache
def _longest_first(keys: frozenset[str]) -> re.Pattern[str]:
    return re.compile(
        "|".join(re.escape(key) for key in sorted(keys, key=lambda key: (-len(key), key)))
    )
