"""Assignment of words to readers: a text in one script can contain words of another script."""

import re
import unicodedata
from collections.abc import Mapping
from typing import Final

# Script -> its letters, as a regular expression's set.
_LETTERS: Final[Mapping[str, str]] = {
    "latin": r"A-Za-z\u00aa\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u0250-\u02af\u1e00-\u1eff",
    "greek": r"\u0370-\u03ff\u1f00-\u1fff",
    "cyrillic": r"\u0400-\u052f",
    "arabic": r"\u0620-\u064a\u066e-\u06d3\u06fa-\u06ff\u0750-\u077f\ufb50-\ufdff\ufe70-\ufefc",
    "devanagari": r"\u0904-\u0939\u0950\u0958-\u0961\u0972-\u097f",
    "hangul": r"\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3",
    "kana": r"\u3041-\u3096\u309d\u309e\u30a1-\u30fa\u30fc-\u30fe\u31f0-\u31ff\uff66-\uff9f",
    "han": r"\u3005\u3007\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff",
}
_OWN: Final[Mapping[str, frozenset[str]]] = {
    "ru": frozenset({"cyrillic"}),
    "ar": frozenset({"arabic"}),
    "hi": frozenset({"devanagari"}),
    "ko": frozenset({"hangul"}),
    "zh": frozenset({"han"}),
    "ja": frozenset({"han", "kana"}),
}
_READER: Final[Mapping[str, str]] = {
    "latin": "en",
    "greek": "el",
    "cyrillic": "ru",
    "arabic": "ar",
    "devanagari": "hi",
    "hangul": "ko",
    "kana": "ja",
    "han": "zh",
}
_LETTER: Final = re.compile(
    "|".join(f"(?P<{script}>[{letters}])" for script, letters in _LETTERS.items())
)


def runs(words: str, language: str) -> list[tuple[str, str]]:
    """Cut `words` into stretches for one reader each: (language, text). Letters without a reader are dropped.

    Figures and signs belong to the language of the text, marks to their letter.
    """
    own = _OWN.get(language, frozenset({"latin"}))
    found: list[tuple[str, str]] = []
    for character in words:
        reader, text = _reader(character, language, own, found[-1][0] if found else language)
        if found and found[-1][0] == reader:
            found[-1] = (reader, found[-1][1] + text)
        else:
            found.append((reader, text))
    return found


def _reader(character: str, language: str, own: frozenset[str], before: str) -> tuple[str, str]:
    match = _LETTER.match(character)
    if match is not None:
        script = str(match.lastgroup)
        return (language if script in own else _READER[script]), character
    kind = unicodedata.category(character)
    if kind == "Nd":
        return language, str(unicodedata.decimal(character))
    if kind[0] == "L":
        return before, " "
    return (before if kind[0] == "M" or character in "'-\u200c\u200d " else language), character
