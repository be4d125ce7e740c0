"""How much sound the held requests still owe: what a refusal's Retry-After and the autoscaler are computed from."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Final

# Characters spoken in a second, of ordinary prose; other languages are near the Latin ones.
_CHARACTERS_PER_SECOND: Final = MappingProxyType({"zh": 4.5, "ja": 7.0, "ko": 6.5, "ar": 11.0, "hi": 11.0})
_LATIN_CHARACTERS_PER_SECOND: Final = 14.0


def audio_seconds(characters: int, language: str) -> float:
    """Estimate how long a text of so many characters sounds, in seconds."""
    return characters / _CHARACTERS_PER_SECOND.get(language, _LATIN_CHARACTERS_PER_SECOND)


class Ledger:
    """The estimated sound that every held request still owes, by sentence."""

    def __init__(self) -> None:
        self._owed_s: dict[str, dict[int, float]] = {}

    @contextmanager
    def hold(self, request: str, characters: Sequence[int], language: str, speed: float = 1.0) -> Iterator[None]:
        """Count a request's sentences, of so many characters each, at this speed (1 is usual), while the block runs."""
        self._owed_s[request] = {
            place: audio_seconds(count, language) / speed for place, count in enumerate(characters)
        }
        try:
            yield
        finally:
            self._owed_s.pop(request, None)

    def spoken(self, request: str, sentence: int) -> None:
        """Take a spoken sentence off."""
        self._owed_s.get(request, {}).pop(sentence, None)

    @property
    def requests(self) -> int:
        """Return how many requests are held."""
        return len(self._owed_s)

    @property
    def owed_s(self) -> float:
        """Return the estimated sound of all sentences not yet spoken, in seconds."""
        return sum(sum(sentences.values()) for sentences in self._owed_s.values())
