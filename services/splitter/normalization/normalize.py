"""Normalizes a text to the form that an engine receives. Pure, linear and idempotent.

For callers that need only the words. The splitter uses `services.splitter.normalization.reader`,
which also returns the alignment with the written text.
"""

from typing import Final

from services.common.wire.options import TextOptions
from services.splitter.normalization.reader import read

# joined lines may change meaning ("#", then a word); the third pass seldom finds anything
_PASSES: Final = 8


def normalize(text: str, language: str, *, spoken: bool = True) -> str:
    """Return the spoken form of a text in a language (ISO 639-1): in NFC, without runs of spaces,
    numbers in words.

    `spoken` False keeps the written form and only removes characters that are never spoken. Time is
    linear in the text, and normalizing a normalized text changes nothing.
    """
    options = TextOptions(spoken_forms=spoken)

    for _ in range(_PASSES):
        verbalized = " ".join(read(text, language, options).text.split())
        if verbalized == text:
            break
        text = verbalized
    return text
