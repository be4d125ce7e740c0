"""Written text to the text that an engine is given. Pure, linear and idempotent.

Whoever wants the words alone asks here; the splitter needs `services.splitter.spoken.reader`, which knows where each
of them comes from.
"""

from typing import Final

from services.splitter.spoken.reader import read

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
