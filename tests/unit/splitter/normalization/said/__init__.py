"""What is written and how it is said, language by language: cases from each language's own rules.

The tables beside this file name their sources. They were written before the code was asked; where the two differed, the
source decided. What the code still says otherwise is listed in `MISSES`.
"""

import tomllib
from collections.abc import Iterator
from importlib.resources import files
from typing import Final, NamedTuple

CLASSES: Final = ("numbers", "quantities", "calendar", "others")
MISSES: Final[frozenset[tuple[str, str]]] = frozenset()  # language, written


class Case(NamedTuple):
    """What is written, and what is said."""

    language: str
    kind: str  # one of CLASSES
    written: str
    said: str  # in any case of letters, which nobody hears


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
