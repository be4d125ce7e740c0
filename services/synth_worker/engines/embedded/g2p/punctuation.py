"""Text of any script -> clauses: words and the marks between them.

espeak-ng and the other readers swallow punctuation, but Kokoro hears its pauses in it, so it goes around them.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

# Marks of the scripts that put no space after them; unlike the full stop and the comma, they are never inside a word.
_WIDE: Final = {
    **dict.fromkeys("。．।॥｡۔", "."),
    **dict.fromkeys("，、､،", ","),
    **dict.fromkeys("؛；", ";"),
    **dict.fromkeys("؟？", "?"),
    **dict.fromkeys("！", "!"),
    **dict.fromkeys("：", ":"),
    **dict.fromkeys("「『《〈【", "“"),
    **dict.fromkeys("」』》〉】", "”"),
    **dict.fromkeys("（［", "("),
    **dict.fromkeys("）］", ")"),
}
_FULL_WIDTH: Final = {
    chr(code + 0xFEE0): chr(code) for code in range(0x21, 0x7F) if chr(code) not in "!(),.:;?[]"
}
_ALIKE: Final = str.maketrans(
    {
        **_FULL_WIDTH,
        **dict.fromkeys("―–─", "—"),
        **dict.fromkeys("«„‟‹", "“"),
        **dict.fromkeys("»›", "”"),
        **dict.fromkeys("[{", "("),
        **dict.fromkeys("]}", ")"),
        **dict.fromkeys("’‘ʼ`´", "'"),
        **dict.fromkeys("・·/\\_|~〜～", " "),
        **dict.fromkeys("¿¡*#<>^", ""),
        "\u00ad": "",  # soft hyphen
        "‐": "-",
        "‑": "-",
    }
)
_DOTS: Final = re.compile(r"\.{2,}|…+")
# A comma, colon or full stop inside a figure or an abbreviation belongs to the word; so does the full stop of `Dr.`.
_MARK: Final = re.compile(
    rf'[{"".join(_WIDE)}!?…—;"()“”]|[,:](?!\w)|\.(?=\s*$|["()“”!?…—])|(?<=\w{{4}})\.(?!\w)'
)
_SPOKEN_SYMBOLS: Final = frozenset("$€£¥%&+=@°")


@dataclass(frozen=True)
class Clause:
    """Words without punctuation, and the mark that follows them; one of both may be empty."""

    words: str
    mark: str  # one of Kokoro's, with the space that belongs to it
    # of each character of `words` in the text; empty if they are not known
    offsets: tuple[int, ...] = field(default=(), compare=False)


def clauses(text: str) -> list[Clause]:
    """Cut `text` at its punctuation. Unspeakable characters (controls, emoji, lone surrogates) are dropped."""
    composed = unicodedata.normalize("NFC", text)
    characters = [
        (spoken, offset)
        for offset, character in enumerate(composed)
        for spoken in map(_spoken, character.translate(_ALIKE))
        if spoken
    ]
    kept = list(_with_single_ellipses(_without_stray_accents(characters)))
    cleaned = "".join(character for character, _ in kept)
    offsets = tuple(offset for _, offset in kept) if composed == text else ()
    found = []
    start = 0
    for mark in _MARK.finditer(cleaned):
        words = slice(start, mark.start())
        found.append(Clause(cleaned[words], _mark(mark.group()), offsets[words]))
        start = mark.end()
    return [*found, Clause(cleaned[start:], "", offsets[start:])]


_Placed = tuple[str, int]  # a character, and its offset in the text


def _without_stray_accents(characters: Iterable[_Placed]) -> list[_Placed]:
    """Drop combining marks without a letter: readers would name them."""
    kept: list[_Placed] = []
    for placed in characters:
        before = kept[-1][0] if kept else " "
        if unicodedata.category(placed[0])[0] != "M" or unicodedata.category(before)[0] in "LM":
            kept.append(placed)
    return kept


def _with_single_ellipses(characters: list[_Placed]) -> Iterator[_Placed]:
    """Yield the characters with one ellipsis for a run of dots."""
    text = "".join(character for character, _ in characters)
    end = 0
    for dots in _DOTS.finditer(text):
        yield from characters[end : dots.start()]
        yield "…", characters[dots.start()][1]
        end = dots.end()
    yield from characters[end:]


def _mark(written: str) -> str:
    mark = _WIDE.get(written)
    if mark is None:
        return written
    return f" {mark}" if mark in "“(" else f"{mark} "


def _spoken(character: str) -> str:
    kind = unicodedata.category(character)
    if (
        kind[0] in "LMN"
        or kind[0] == "P"
        or character in _SPOKEN_SYMBOLS
        or character in "\u200c\u200d"
    ):
        return character
    return "" if kind in {"Cs", "Cf", "Sk"} else " "
