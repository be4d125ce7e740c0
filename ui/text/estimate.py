"""Estimates the length of the audio of a text."""

from types import MappingProxyType
from typing import Final

from ui.text.markup import is_ssml, without_markup

# Characters per second of ordinary prose: the rates of services/common/wire/estimate.py, which the UI must not import
# (a test compares both).
_CHARACTERS_PER_SECOND: Final = MappingProxyType(
    {"zh": 4.5, "ja": 7.0, "ko": 6.5, "ar": 11.0, "hi": 11.0}
)
_LATIN_CHARACTERS_PER_SECOND: Final = 14.0


def characters_per_second(language: str) -> float:
    """Return the speaking rate of a language (ISO 639-1)."""
    return _CHARACTERS_PER_SECOND.get(language, _LATIN_CHARACTERS_PER_SECOND)


def seconds_of(text: str, language: str) -> float:
    """Return the estimated length of the audio, in seconds."""
    words = without_markup(text) if is_ssml(text) else text
    return len(words.strip()) / characters_per_second(language)
