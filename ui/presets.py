"""Short texts of our own in every language: a tale, news, a poem, and a sentence for a test."""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

_FILE: Final = Path(__file__).with_name("texts") / "presets.toml"
KINDS: Final = ("tale", "news", "poem")


@cache
def presets() -> Mapping[str, Mapping[str, str]]:
    """Return the texts by language (ISO 639-1) and kind."""
    return tomllib.loads(_FILE.read_text(encoding="utf-8"))


def preset(language: str, kind: str) -> str:
    """Return one text, in English for a language that has none."""
    return presets().get(language, presets()["en"])[kind].strip()
