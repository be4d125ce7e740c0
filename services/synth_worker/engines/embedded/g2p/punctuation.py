"""Text of any script -> clauses: words and the marks between them.

espeak-ng and the other readers swallow punctuation, but Kokoro hears its pauses in it, so it goes around them.
"""

import re
import unicodedata
from dataclasses import dataclass
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


def clauses(text: str) -> list[Clause]:
    """Cut `text` at its punctuation. Unspeakable characters (controls, emoji, lone surrogates) are dropped."""
    spoken = "".join(map(_spoken, unicodedata.normalize("NFC", text).translate(_ALIKE)))
    cleaned = _DOTS.sub("…", _without_stray_accents(spoken))
    found = []
    start = 0
    for mark in _MARK.finditer(cleaned):
        found.append(Clause(cleaned[start : mark.start()], _mark(mark.group())))
        start = mark.end()
    return [*found, Clause(cleaned[start:], "")]


def _without_stray_accents(text: str) -> str:
    """Drop combining marks without a letter: readers would name them."""
    kept = ""
    for character in text:
        if (
            unicodedata.category(character)[0] != "M"
            or unicodedata.category(kept[-1:] or " ")[0] in "LM"
        ):
            kept += character
    return kept


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
