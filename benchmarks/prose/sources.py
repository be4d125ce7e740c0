"""The contents of sources.toml: packages, the files of each that hold prose, and how those are read."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_TABLE: Final = Path(__file__).with_name("sources.toml")
_TOLD: Final[dict[str, Any]] = tomllib.loads(_TABLE.read_text(encoding="utf-8"))

LOCALES: Final[dict[str, tuple[str, ...]]] = {
    code: tuple(names) for code, names in _TOLD["locales"].items()
}


@dataclass(frozen=True)
class Source:
    """The prose files of one source in one language."""

    name: str
    language: str
    packages: tuple[str, ...]  # the names that there may be
    files: tuple[str, ...]  # patterns of paths inside the packages
    reader: str
    most_words: int | None  # None: as many as of any other


def sources(language: str) -> list[Source]:
    """Return a language's sources, in the order of the table."""
    return [
        _filled(told, language)
        for told in _TOLD["sources"]
        if language in told.get("languages", LOCALES)
    ]


def _filled(told: dict[str, Any], language: str) -> Source:
    """Return one entry of the table with every locale of the language in place of `{locale}`."""
    return Source(
        name=told["name"],
        language=language,
        packages=_each(told["packages"], language),
        files=_each(told["files"], language),
        reader=told["reader"],
        most_words=told.get("most_words"),
    )


def _each(patterns: list[str], language: str) -> tuple[str, ...]:
    filled = (
        pattern.replace("{locale}", name) for pattern in patterns for name in LOCALES[language]
    )
    return tuple(dict.fromkeys(filled))
