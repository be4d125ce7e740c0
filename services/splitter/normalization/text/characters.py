"""Replaces characters that engines cannot handle by plain letters or spaces, or removes them. Pure
and linear."""

import unicodedata
from collections.abc import Iterator
from typing import Final

import regex

from services.splitter.normalization.text.alignment import Aligned, Edit, changes

# Controls, formats, surrogates, private use and unassigned code points, but no white space and no
# joiners; the replacement character; keycaps and variation selectors, which select a glyph and are
# never spoken.
_UNHEARD: Final = regex.compile(
    r"[[\p{C}\uFFFD\u20E3\uFE00-\uFE0F\U000E0100-\U000E01EF]--[\s\u200C\u200D]]++", regex.V1
)
# elsewhere they have no meaning
_JOINER: Final = regex.compile(r"(?<![\p{Arabic}\p{Devanagari}])[\u200C\u200D]++")
_ORPHAN: Final = regex.compile(r"(?<!\S)[\p{M}\uFF9E\uFF9F]++")  # marks without a base letter
# What is drawn as a picture by default, or by U+FE0F, with what extends it (Unicode UAX 29); the
# text forms ©, ™, ↔ or 1 without it are left as they are.
_PICTURE: Final = regex.compile(
    r"(?:\p{Emoji_Presentation}\p{Emoji_Modifier}?|[\p{Emoji}--\p{ASCII}]\uFE0F)[\p{Grapheme_Extend}\p{Mc}\u200D]*+",
    regex.V1,
)
# Letters and digits in disguise: ligatures, Arabic presentation forms, wide Latin, half-width kana
# and Hangul, mathematical alphabets, letterlike signs, Roman numerals. The rest of compatibility
# (², ½, №) has spoken forms.
_DISGUISED: Final = regex.compile(
    r"[[\uFB00-\uFB06\uFB50-\uFDFB\uFE70-\uFEFE\uFF01-\uFFDC\U0001D400-\U0001D7FF\u2100-\u214F\u2160-\u217F]"
    r"&&[\p{L}\p{N}]]++",
    regex.V1,
)
# Words in one square, as East Asian text sets them: ㎏, ㎡, ℃, ㌔, ㍻, ㈱, ㈪, Ⓐ, 🄰.
_SQUARED: Final = regex.compile(
    r"[\u2103\u2109\u2121\u24B6-\u24E9\u3200-\u321E\u322A-\u3243\u3260-\u327F\u328A-\u32B0\u32C0-\u33FF"
    r"\U0001F130-\U0001F149]"
)
_SQUARED_WORDS: Final = {
    "㈱": "株式会社", "㊑": "株式会社", "㈲": "有限会社", "㈳": "社団法人", "㈶": "財団法人", "㈾": "合資会社",
    "㈴": "合名会社", "㈻": "学校法人", "㈷": "祝日", "㈰": "日曜", "㈪": "月曜", "㈫": "火曜", "㈬": "水曜",
    "㈭": "木曜", "㈮": "金曜", "㈯": "土曜",
}  # fmt: skip
_WITHOUT_BRACKETS: Final = str.maketrans({"(": "", ")": "", "\u2044": "/", "\u2215": "/"})
# Numbers in a circle or in brackets: ①, ⑴, ⒈, ㈠, ❶, ㊿.
_ENCLOSED: Final = regex.compile(
    r"[\u2460-\u249B\u24EA-\u24FF\u2776-\u2793\u3220-\u3229\u3248-\u324F\u3251-\u325F\u3280-\u3289\u32B1-\u32BF"
    r"\U0001F100-\U0001F10C]"
)
_PARTED: Final = regex.compile(
    r"[\p{L}\p{N}--[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}]]", regex.V1
)
_FIGURE: Final = regex.compile(r"(?![0-9])\p{Nd}")
_COMPOSED: Final = regex.compile(r"(?:[^\p{M}\p{Hangul}]|\p{Hangul}++)\p{M}*+|\p{M}++")
_ONE_FOR_ONE: Final = str.maketrans(
    {
        "\u066b": ".",  # the Arabic decimal sign
        **dict.fromkeys("\u2018\u2019\u201b\u02bc\u2032\uff07", "'"),
        **{chr(zero + digit): str(digit) for zero in (0x660, 0x6F0, 0x966) for digit in range(10)},
        "\u00b5": "\u03bc",  # the micro sign is the Greek letter
    }
)


def cleaned(aligned: Aligned) -> Aligned:
    """Return the text in NFC, without pictographs and unspoken characters, with ASCII apostrophes
    and digits."""
    if aligned.text.isascii():
        return aligned.edited(_removed(_UNHEARD, "", aligned.text))
    aligned = aligned.edited(_removed(_PICTURE, " ", aligned.text))
    aligned = aligned.edited(_removed(_UNHEARD, "", aligned.text))
    aligned = aligned.edited(_removed(_JOINER, "", aligned.text))
    aligned = aligned.edited(changes(_in_form("NFKC", _DISGUISED, aligned.text), aligned.text))
    aligned = aligned.edited(_unsquared(aligned.text))
    aligned = aligned.edited(_uncircled(aligned.text))
    plain = _FIGURE.sub(
        lambda found: str(unicodedata.decimal(found[0])), aligned.text.translate(_ONE_FOR_ONE)
    )
    return composed(aligned.translated(plain))


def composed(aligned: Aligned) -> Aligned:
    """Return the text in NFC, without marks whose base character was removed."""
    if aligned.text.isascii():
        return aligned
    aligned = aligned.edited(_removed(_ORPHAN, "", aligned.text))
    if not unicodedata.is_normalized("NFC", aligned.text):
        aligned = aligned.edited(changes(_in_form("NFC", _COMPOSED, aligned.text), aligned.text))
    return aligned


def _unsquared(text: str) -> Iterator[Edit]:
    """Yield the replacements of words set in one square."""
    for found in _SQUARED.finditer(text):
        plain = unicodedata.normalize("NFKC", found[0]).translate(_WITHOUT_BRACKETS)
        yield Edit(found.start(), found.end(), _SQUARED_WORDS.get(found[0], plain))


def _uncircled(text: str) -> Iterator[Edit]:
    """Yield the figures of enclosed numbers, separated from adjacent Latin letters and figures: 第①問
    is 第1問, ①② is 1 2."""
    for found in _ENCLOSED.finditer(text):
        start, end = found.span()
        before = " " if start and _PARTED.match(text, start - 1) else ""
        after = " " if _PARTED.match(text, end) and not _ENCLOSED.match(text, end) else ""
        yield Edit(start, end, f"{before}{unicodedata.numeric(found[0]):.0f}{after}")


def _removed(pattern: "regex.Pattern[str]", substitute: str, text: str) -> Iterator[Edit]:
    return (Edit(found.start(), found.end(), substitute) for found in pattern.finditer(text))


def _in_form(
    form: "unicodedata._NormalizationForm", pattern: "regex.Pattern[str]", text: str
) -> Iterator[Edit]:
    return (
        Edit(found.start(), found.end(), unicodedata.normalize(form, found[0]))
        for found in pattern.finditer(text)
    )
