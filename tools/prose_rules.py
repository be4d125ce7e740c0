"""Rules of the prose check, which tools/prose.toml holds."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

RULES_FILE = Path(__file__).with_name("prose.toml")


@dataclass(frozen=True)
class Banned:
    pattern: re.Pattern[str]
    suggestion: str


@dataclass(frozen=True)
class Allowed:
    path: str  # a glob, relative to the working directory
    word: str


@dataclass(frozen=True)
class Rules:
    banned: list[Banned]
    allowed: list[Allowed]
    not_imperative: set[str]  # first words, lower case, that no function's docstring starts with
    imperative: set[str]  # verbs that end in a single "s"
    questions: set[str]  # first words that no docstring starts with
    names: set[str]  # capitalized words that an error message can start with


def load_rules(file: Path = RULES_FILE) -> Rules:
    """Return the rules of a TOML file."""
    data = tomllib.loads(file.read_text(encoding="utf-8"))
    banned = [
        Banned(re.compile(entry["pattern"], re.IGNORECASE), entry["suggestion"])
        for entry in data["banned"]
    ]
    allowed = [Allowed(entry["path"], entry["word"].lower()) for entry in data.get("allow", [])]
    docstrings = data["docstrings"]

    return Rules(
        banned=banned,
        allowed=allowed,
        not_imperative=set(docstrings["not_imperative"]),
        imperative=set(docstrings["imperative"]),
        questions=set(docstrings["questions"]),
        names=set(data["messages"]["names"]),
    )
