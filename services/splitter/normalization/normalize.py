"""Written text to the text that an engine is given. Pure, linear and idempotent.

For callers that need the words alone. The splitter uses `services.splitter.normalization.reader`, which also returns
where in the text each word comes from.
"""

from typing import Final

from services.splitter.normalization.reader import read

_PASSES: Final = 8  # lines that are joined may be read anew ("#", then a word); the third pass seldom finds anything


def normalize(text: str, language: str, *, spoken: bool = True) -> str:
    """Return the text as it is said in a language (ISO 639-1): in NFC, without runs of spaces, numbers in words.

    `spoken` False leaves what is written and only takes out what nobody hears. Time is linear in the text, and
    normalising twice is normalising once.
    """
    for _ in range(_PASSES):
        said = " ".join(read(text, language, spoken=spoken).text.split())
        if said == text:
            break
        text = said
    return text
