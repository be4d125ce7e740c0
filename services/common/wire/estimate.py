"""Estimated duration of a text: the unit of admission, fairness and Retry-After."""

from types import MappingProxyType
from typing import Final

# Characters spoken in a second, of ordinary prose; other languages are near the Latin ones.
_CHARACTERS_PER_SECOND: Final = MappingProxyType(
    {"zh": 4.5, "ja": 7.0, "ko": 6.5, "ar": 11.0, "hi": 11.0}
)
_LATIN_CHARACTERS_PER_SECOND: Final = 14.0

# Audio of one request that counts for the near-term backlog. Requests take turns, so a new one waits for about this
# much of each of the others, however long their texts are: a book in flight counts like one sentence.
IMMEDIATE_S: Final = 5.0


def characters_per_second(language: str) -> float:
    """Return how many characters of a language (ISO 639-1) are spoken in a second of ordinary prose."""
    return _CHARACTERS_PER_SECOND.get(language, _LATIN_CHARACTERS_PER_SECOND)


def audio_seconds(characters: int, language: str, speed: float = 1.0) -> float:
    """Estimate the audio of so many characters of a language (ISO 639-1) at this speed (1 is usual), in seconds."""
    return characters / characters_per_second(language) / speed
