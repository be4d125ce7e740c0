"""The names of OpenAI's voices, and the built-in voices that stand in for them.

A voice of the library with such a name is used instead: a tenant maps `alloy` by naming one of its voices so.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from services.common.bus.library.resolving import built_in_voices, default_voice
from services.common.wire.fields import Gender
from services.common.wire.messages import WorkerState
from services.common.wire.voices import ResolvedVoice

# https://platform.openai.com/docs/guides/text-to-speech, with the gender that listeners attribute to each
OPENAI_VOICES: Final[Mapping[str, Gender]] = MappingProxyType(
    {
        "alloy": "female",
        "ash": "male",
        "ballad": "male",
        "cedar": "male",
        "coral": "female",
        "echo": "male",
        "fable": "male",
        "marin": "female",
        "nova": "female",
        "onyx": "male",
        "sage": "female",
        "shimmer": "female",
        "verse": "male",
    }
)


def stand_in_for(name: str, language: str, workers: Sequence[WorkerState]) -> str | None:
    """Return the reference of the built-in voice for one of OpenAI's names; None for another name.

    Of the language's native voices with the gender of the name, or else of all native ones; names that share a gender
    get different voices as far as there are some. A language without native voices has its default voice.
    """
    gender = OPENAI_VOICES.get(name.strip().lower())
    if gender is None:
        return None
    native = [
        voice
        for voice in built_in_voices(workers)
        if not voice.languages or language in voice.languages
    ]
    same = [voice for voice in native if voice.gender == gender] or native
    if not same:
        return default_voice(language, workers)
    names = [other for other, of_gender in OPENAI_VOICES.items() if of_gender == gender]
    chosen = same[names.index(name.strip().lower()) % len(same)]
    return ResolvedVoice("builtin", chosen.name).reference
