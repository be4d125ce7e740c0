"""How long a text sounds, estimated: what admission, fairness and every Retry-After count in."""

from types import MappingProxyType
from typing import Final

# Characters spoken in a second, of ordinary prose; other languages are near the Latin ones.
_CHARACTERS_PER_SECOND: Final = MappingProxyType({"zh": 4.5, "ja": 7.0, "ko": 6.5, "ar": 11.0, "hi": 11.0})
_LATIN_CHARACTERS_PER_SECOND: Final = 14.0

# Sound of one request that is due at once. Requests take turns, so a newcomer waits for about so much of each of the
# others, however long their texts are: a book in flight counts as one sentence does.
IMMEDIATE_S: Final = 5.0


def audio_seconds(characters: int, language: str, speed: float = 1.0) -> float:
    """Estimate how long so many characters of a language (ISO 639-1) sound at this speed (1 is usual), in seconds."""
    return characters / _CHARACTERS_PER_SECOND.get(language, _LATIN_CHARACTERS_PER_SECOND) / speed
