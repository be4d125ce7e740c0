"""Estimated duration of a text."""

from types import MappingProxyType
from typing import Final

from ui.text.markup import is_ssml, without_markup

# Characters spoken in a second, of ordinary prose; other languages are near the Latin ones.
_CHARACTERS_PER_SECOND: Final = MappingProxyType({"zh": 4.5, "ja": 7.0, "ko": 6.5, "ar": 11.0, "hi": 11.0})
_LATIN_CHARACTERS_PER_SECOND: Final = 14.0


def characters_per_second(language: str) -> float:
    """Return how fast a language (ISO 639-1) is read."""
    return _CHARACTERS_PER_SECOND.get(language, _LATIN_CHARACTERS_PER_SECOND)


def seconds_of(text: str, language: str) -> float:
    """Return the estimated duration."""
    words = without_markup(text) if is_ssml(text) else text
    return len(words.strip()) / characters_per_second(language)
