"""Written text to the text that an engine is given. Pure, linear and idempotent.

For now it mends what engines stumble over: characters that nobody hears, stray white space, letters in disguise (wide,
half-width, ligatures, mathematical). This is the place where spoken forms of numbers, dates, prices and abbreviations
go; whoever calls it already allows for a result that is longer than its source.
"""

import unicodedata
from typing import Final

import regex

# Controls, formats, surrogates, private use and unassigned code points, but no white space and no joiners; the
# replacement character; keycaps and variation selectors, which choose a glyph and no sound.
_UNHEARD: Final = regex.compile(
    r"[[\p{C}\uFFFD\u20E3\uFE00-\uFE0F\U000E0100-\U000E01EF]--[\s\u200C\u200D]]++", regex.V1
)
_JOINER: Final = regex.compile(r"(?<![\p{Arabic}\p{Devanagari}])[\u200C\u200D]++")  # elsewhere they mean nothing
# What is drawn as a picture by default, or by U+FE0F; the text forms ©, ™, ↔ or 1 without it are left as they are.
_PICTURE: Final = regex.compile(r"\p{Emoji_Presentation}\p{Emoji_Modifier}?|[\p{Emoji}--\p{ASCII}]\uFE0F", regex.V1)
# Letters and digits in disguise: ligatures, Arabic presentation forms, wide Latin, half-width kana and Hangul,
# mathematical alphabets. The rest of compatibility (², ½, ㎏, ﷺ) waits for its spoken forms.
_DISGUISED: Final = regex.compile(
    r"[[\uFB00-\uFB06\uFB50-\uFDF9\uFE70-\uFEFE\uFF01-\uFFDC\U0001D400-\U0001D7FF]&&[\p{L}\p{N}]]++",
    regex.V1,
)
_APOSTROPHES: Final = str.maketrans(dict.fromkeys("\u2018\u2019\u201b\u02bc\u2032\uff07", "'"))


def normalize(text: str, language: str) -> str:  # noqa: ARG001  # spoken forms will depend on it
    """Return the text in NFC, white space collapsed, without pictures and characters that nobody hears.

    `normalize(normalize(text)) == normalize(text)`; time is linear in the text.
    """
    if not text.isascii():
        text = _JOINER.sub("", _UNHEARD.sub("", _PICTURE.sub(" ", text)))
        text = _DISGUISED.sub(lambda run: unicodedata.normalize("NFKC", run[0]), text)
        text = unicodedata.normalize("NFC", text.translate(_APOSTROPHES))
    else:
        text = _UNHEARD.sub("", text)
    return " ".join(text.split())
