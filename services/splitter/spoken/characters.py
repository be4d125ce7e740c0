"""Characters that engines stumble over, as they are heard: nothing, a space, or a plain letter. Pure and linear."""

import unicodedata
from collections.abc import Iterator
from typing import Final

import regex

from services.splitter.spoken.alignment import Aligned, Edit, changes

# Controls, formats, surrogates, private use and unassigned code points, but no white space and no joiners; the
# replacement character; keycaps and variation selectors, which choose a glyph and no sound.
_UNHEARD: Final = regex.compile(
    r"[[\p{C}\uFFFD\u20E3\uFE00-\uFE0F\U000E0100-\U000E01EF]--[\s\u200C\u200D]]++", regex.V1
)
_JOINER: Final = regex.compile(r"(?<![\p{Arabic}\p{Devanagari}])[\u200C\u200D]++")  # elsewhere they mean nothing
_ORPHAN: Final = regex.compile(r"(?<!\S)[\p{M}\uFF9E\uFF9F]++")  # marks with no letter to stand on
# What is drawn as a picture by default, or by U+FE0F, with what extends it (Unicode UAX 29); the text forms ©, ™, ↔ or
# 1 without it are left as they are.
_PICTURE: Final = regex.compile(
    r"(?:\p{Emoji_Presentation}\p{Emoji_Modifier}?|[\p{Emoji}--\p{ASCII}]\uFE0F)[\p{Grapheme_Extend}\p{Mc}\u200D]*+",
    regex.V1,
)
# Letters and digits in disguise: ligatures, Arabic presentation forms, wide Latin, half-width kana and Hangul,
# mathematical alphabets, digits of all scripts. The rest of compatibility (², ½, ㎏) has spoken forms of its own.
_DISGUISED: Final = regex.compile(
    r"[[\uFB00-\uFB06\uFB50-\uFDF9\uFE70-\uFEFE\uFF01-\uFFDC\U0001D400-\U0001D7FF]&&[\p{L}\p{N}]]++",
    regex.V1,
)
_COMPOSED: Final = regex.compile(r"(?:[^\p{M}\p{Hangul}]|\p{Hangul}++)\p{M}*+|\p{M}++")
_ONE_FOR_ONE: Final = str.maketrans(
    {
        "\u066b": ".",  # the Arabic decimal sign
        **dict.fromkeys("\u2018\u2019\u201b\u02bc\u2032\uff07", "'"),
        **{chr(zero + digit): str(digit) for zero in (0x660, 0x6F0, 0x966) for digit in range(10)},
    }
)


def cleaned(aligned: Aligned) -> Aligned:
    """Return the text in NFC, without pictures and what nobody hears, with ASCII apostrophes and digits."""
    if aligned.text.isascii():
        return aligned.edited(_removed(_UNHEARD, "", aligned.text))
    aligned = aligned.edited(_removed(_PICTURE, " ", aligned.text))
    aligned = aligned.edited(_removed(_UNHEARD, "", aligned.text))
    aligned = aligned.edited(_removed(_JOINER, "", aligned.text))
    aligned = aligned.edited(changes(_in_form("NFKC", _DISGUISED, aligned.text), aligned.text))
    return composed(Aligned(aligned.text.translate(_ONE_FOR_ONE), aligned.layers))


def composed(aligned: Aligned) -> Aligned:
    """Return the text in NFC, without marks that what they stood on has left alone."""
    if aligned.text.isascii():
        return aligned
    aligned = aligned.edited(_removed(_ORPHAN, "", aligned.text))
    if not unicodedata.is_normalized("NFC", aligned.text):
        aligned = aligned.edited(changes(_in_form("NFC", _COMPOSED, aligned.text), aligned.text))
    return aligned


def _removed(pattern: "regex.Pattern[str]", substitute: str, text: str) -> Iterator[Edit]:
    return (Edit(found.start(), found.end(), substitute) for found in pattern.finditer(text))


def _in_form(form: "unicodedata._NormalizationForm", pattern: "regex.Pattern[str]", text: str) -> Iterator[Edit]:
    return (Edit(found.start(), found.end(), unicodedata.normalize(form, found[0])) for found in pattern.finditer(text))
