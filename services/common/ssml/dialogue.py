"""Finds the speaker of each part of a dialogue: `Anna: Hello.` and `Paul: Good morning.`, each on a line. Pure, linear.

A line begins a part only if it begins with one of the given names and a colon; other lines continue the part before
them. So a colon in a text never makes a speaker of the words before it.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from services.common.ssml.reader import read_ssml
from services.common.wire.fields import TextType

# the name on a line: what is before its first colon
_LABEL: Final = re.compile(r"^[^\S\n]*+(?P<name>[^\s:：][^\n:：]{0,99})[:：]", re.MULTILINE)


class Part(NamedTuple):
    """Characters [start, end) of a dialogue, in code points, without the speaker's name."""

    start: int
    end: int
    speaker: str  # as in the given names; empty: before the first name


def dialogue_parts(text: str, names: Iterable[str]) -> list[Part]:
    """Return the parts that contain words, in order. Names are compared without case."""
    known = {_folded(name): name for name in names}
    return [part for part in _parts(text, known) if text[part.start : part.end].strip()]


def names_in(text: str, text_type: TextType, names: Iterable[str]) -> tuple[str, ...]:
    """Return the names of the voices that speak a text, in order; empty for that of the request.

    `names`: that a dialogue can have. Raises MalformedSsml.
    """
    if text_type == "ssml":
        return read_ssml(text).voices()
    if text_type == "dialogue":
        return tuple(dict.fromkeys(part.speaker for part in dialogue_parts(text, names)))
    return ("",)


def _parts(text: str, known: dict[str, str]) -> Iterator[Part]:
    start = 0
    speaker = ""
    for label in _LABEL.finditer(text):
        name = known.get(_folded(label["name"]))
        if name is not None:
            yield Part(start, label.start(), speaker)
            start = label.end()
            speaker = name
    yield Part(start, len(text), speaker)


def _folded(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())
