"""Names for the files that users save. Pure."""

import re
from typing import Final

from ui.text.markup import is_ssml, without_markup

_CHARACTERS: Final = 40


def file_stem(text: str) -> str:
    """Return a file name without its ending: the first words of a text or title."""
    words = without_markup(text) if is_ssml(text) else text
    spoken = re.sub(r"[^\w'’-]+", " ", words[: 4 * _CHARACTERS]).split()
    stem = ""
    for word in spoken:
        if len(stem) + len(word) > _CHARACTERS:
            break
        stem = f"{stem} {word}".strip()
    return stem or "".join(spoken[:1])[:_CHARACTERS] or "speech"
