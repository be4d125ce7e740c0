"""Written and spoken forms by language: cases from the rules of each language.

The tables next to this file name their sources. They were written before the code was run; where
the two differed, the source decided. Cases that the code does not pass yet are listed in `MISSES`.
"""

import tomllib
from collections.abc import Iterator
from importlib.resources import files
from typing import Final, NamedTuple

CLASSES: Final = ("numbers", "quantities", "calendar", "others")
MISSES: Final[frozenset[tuple[str, str]]] = frozenset()  # language, written


class Case(NamedTuple):
    """A written form and its expected spoken form."""

    language: str
    kind: str  # one of CLASSES
    written: str
    said: str  # compared case-insensitively


def cases(language: str) -> Iterator[Case]:
    """Yield a language's cases."""
    table = tomllib.loads((files(__package__) / f"{language}.toml").read_text(encoding="utf-8"))
    for kind in CLASSES:
        for line in table[kind].strip().splitlines():
            written, said = line.split(" → ")
            yield Case(language, kind, written, said)


def sources(language: str) -> list[str]:
    """Return where a language's cases come from."""
    table = tomllib.loads((files(__package__) / f"{language}.toml").read_text(encoding="utf-8"))
    return list(table["sources"])
