"""A clause as espeak-ng reads it, in the voice of a language."""

from collections.abc import Sequence
from typing import Final

from services.synth_worker.engines.embedded.g2p.espeak import joins
from services.synth_worker.engines.embedded.g2p.espeak.client import Espeak

_VOICES: Final = {"en": "en-us", "pt": "pt-br"}


def read_words(espeak: Espeak, words: str, language: str) -> list[str]:
    """Return the IPA of `words`, in the parts that espeak-ng divides them into. Raises what `Espeak.clauses` raises."""
    voice = _VOICES.get(language, language)
    [parts] = espeak.clauses(voice, [words])
    if language not in joins.LANGUAGES or len(parts) != 1:
        return parts

    def read_each(alone: Sequence[str]) -> list[str]:
        return [" ".join(found) for found in espeak.clauses(voice, alone)]

    return [joins.separated(words, parts[0], read_each)]
