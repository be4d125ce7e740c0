"""Replaces letters that no voice of a language can speak by their base letter, or leaves them out.
Pure, linear.

How it works. A letter is unchanged if the engine's grapheme-to-phoneme (G2P) converters for the
language support it: espeak-ng supports the language's alphabet and the letters of common loan
words, and each other script here has its own converter (Greek in a French text is read as Greek).
Unsupported letters would be spelled by name, "letter one e c five", or skipped. So every other
letter is replaced: by its base letter through canonical decomposition (ễ to e), through its Unicode
name (ƙ, "k with hook", to k), or through a table for letters that have neither (đ, ə, Arabic
letters of Persian and Urdu). A letter without any of these belongs to an unsupported script and is
left out; the spans of such letters are returned, so that the client learns what was not spoken.

The supported letters were determined by converting each letter within a word with the embedded
engine's G2P (tests/unit/splitter/normalization/test_alphabets.py checks that both agree).
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import groupby
from types import MappingProxyType
from typing import Final, NamedTuple

import regex

from services.splitter.normalization.text.alignment import Aligned, Edit, Span

# Letters besides a to z that espeak-ng distinguishes from their base letter, or that occur in words
# of the language.
_LATIN: Final = MappingProxyType(
    {
        "en": "àâäåæçèéêëïñóöøœûüčšşžþð",
        "fr": "àâäæçèéêëîïñôöœùûüÿ",
        "es": "áéíñóúüçï",
        "de": "äöüßàâáåæçèéêëíîïñóôøœúûąćčęłńśšźżž",
        "it": "àèéìíîòóùúçñşș",
        "pt": "àáâãçéêíñóôõúü",
        "pl": "ąćęłńóśźżäåæčéñöøřšüž",
        "tr": "çğıöşüâîûäİ",
        "nl": "áàâäçéèêëíïóôöúüÿĳ",
        "cs": "áčďéěíňóřšťúůýžäľĺôöŕü",
        "hu": "áéíóöőúüűäçëñôû",
    }
)
_ELSEWHERE: Final = "en"  # the G2P language of Latin words in languages of other scripts
# Letters of the other supported scripts.
_OTHER_SCRIPTS: Final = (
    r"\u0386\u0388-\u03CE"  # Greek
    r"\u0401-\u0404\u0406-\u0409\u040B\u040C\u040E-\u044F\u0451-\u0454\u0456-\u0459\u045B\u045C\u045E\u045F\u0490\u0491"
    r"\u0621-\u063A\u0640-\u064A\u067E\u0686\u0698\u06A4\u06A9\u06AF\u06CC"  # Arabic
    r"\u0905-\u0939\u093D\u0950\u0958-\u0961"  # Devanagari
    r"\u1100-\u11FF\u3131-\u318E\uAC00-\uD7A3"  # Hangul
    r"\u3041-\u3096\u309D\u309E\u30A1-\u30FA\u30FC-\u30FE\uFF66-\uFF9F"  # kana
    r"\u3005\u3007\u3400-\u9FFF\uF900-\uFAFF\U00020000-\U0003FFFF"  # Han
)
_SIGNS: Final = r"\u00AA\u00BA"  # of ordinals
# Replacements for letters that have neither a decomposition nor a helpful name.
_PAIRS: Final = (
    "đd ðd þth ħh ıi ĸk łl ŋng øo œoe æae ŧt ßss ſs ĳij ŉn əe ǝe ɛe ɔo ɑa ɣg ɩi ʋv ʊu ɪi ʃsh ʒzh ʔ ʕ ɂ "
    "ƿw ȝy ʻ ʹ ʺ ʾ ʿ ˈ ˌ ː ʼ' "
    "ѕдз њнь ѡо ѣе ѥе ѧя ѩя ѫу ѭю ѯкс ѱпс ѳф ѵи ѷи ѹу ҥнг ҵц үу ұу һх ӏ ӕэ әэ ӛэ ӡдз өо ӫо ԑэ ԛк ԝв ҩо "
    "ٱا ہه ھه ەه ۀه ۂه ۃة ۆو ۇو ۈو ۋو ێي ېي ےي ۓي ٹت ڈد ڑر ںن ڭك ݣگ ڨگ ڥپ ڕر ڵل ټت ډد ړر ڼن ښش ږژ څس ځز "
    "ۍي ऄअ ॲऍ 〆しめ "
)
_BASES: Final = {pair[0]: pair[1:] for pair in _PAIRS.split()}
_NAMED: Final = re.compile(r"(LATIN|CYRILLIC) SMALL LETTER (.+?)(?: WITH .+)?")
# the letter of a Latin name: OPEN E, TURNED A, LJ
_PLAIN: Final = re.compile(r"(?:.+ )?([A-Z]{1,2})")
_ACUTE, _GRAVE, _CIRCUMFLEX = "\u0301", "\u0300", "\u0342"
_CLUSTER: Final = regex.compile(r"\P{M}\p{M}*+|(?P<marks>\p{M}++)")
_GAP: Final = 3  # the most signs and spaces between two words that are left out as one span


class Spoken(NamedTuple):
    """A text in which the language's voices can speak every letter, and the spans that were left
    out."""

    aligned: Aligned
    left_out: tuple[Span, ...]  # in the original text, in order


def speakable(aligned: Aligned, language: str) -> Spoken:
    """Return the text reduced to letters that the voices of a language (ISO 639-1) can speak."""
    text = aligned.text
    if text.isascii():
        return Spoken(aligned, ())
    edits: list[Edit] = []
    silent: list[Span] = []
    for found in _unknown(language).finditer(text):
        for edit in _given_way(text, *found.span()):
            edits.append(edit)
            if edit.text == " ":
                _add(silent, text, edit)
    return Spoken(aligned.edited(edits), tuple(aligned.source(*span) for span in silent))


def script_of(letter: str) -> str:
    """Return the name of a letter's script, by its Unicode name: Thai, Hebrew."""
    return unicodedata.name(letter, "unknown").split()[0].title()


@cache
def _unknown(language: str) -> "regex.Pattern[str]":
    """Return the pattern of unsupported letters with their marks, and of marks on Latin letters."""
    own = _LATIN.get(language, _LATIN[_ELSEWHERE])
    kept = own + own.upper()
    other = rf"[\p{{L}}--[A-Za-z{kept}{_SIGNS}{_OTHER_SCRIPTS}]]"
    return regex.compile(rf"(?:{other}\p{{M}}*+)++|(?<=\p{{Latin}})\p{{M}}++", regex.V1)


def _given_way(text: str, start: int, end: int) -> Iterator[Edit]:
    """Yield the replacements of these letters and their marks: a space for those that are left
    out."""
    for silent, clusters in groupby(_clusters(text, start, end), key=lambda edit: edit.text == " "):
        run = list(clusters)
        yield Edit(run[0].start, run[-1].end, " " if silent else "".join(edit.text for edit in run))


def _clusters(text: str, start: int, end: int) -> Iterator[Edit]:
    """Yield each letter with its marks, and its replacement in the same case; a space if there is
    none."""
    for found in _CLUSTER.finditer(text, start, end):
        letter = found[0][0]
        base = "" if found.lastgroup else _base(letter.lower())
        if base is None:
            base = " "
        elif letter.isupper():
            following = text[found.end() : found.end() + 1]
            base = base.upper() if len(base) < 2 or following.isupper() else base.capitalize()
        yield Edit(found.start(), found.end(), base)


@lru_cache(maxsize=4096)
def _base(letter: str) -> str | None:
    """Return the replacement of an unsupported small letter; None if its script is unsupported."""
    if letter in _BASES:
        return _BASES[letter]
    decomposed = unicodedata.normalize("NFD", letter)
    if decomposed[0] != letter:
        return _without_marks(decomposed)
    plain = unicodedata.normalize("NFKC", letter)  # a modifier letter: ʰ, ⁿ
    if plain != letter and plain.isascii():
        return plain
    return _by_name(letter)


def _without_marks(decomposed: str) -> str | None:
    """Return the base letter; a Greek vowel keeps its stress mark, whichever accent it is written
    with."""
    base, marks = decomposed[0], decomposed[1:]
    if "\u03b1" <= base <= "\u03c9":
        stressed = any(mark in marks for mark in (_ACUTE, _GRAVE, _CIRCUMFLEX))
        return unicodedata.normalize("NFC", base + _ACUTE) if stressed else base
    if base.isascii() or "\u0430" <= base <= "\u044f" or "\u0905" <= base <= "\u0939":
        return base
    return _base(base)


def _by_name(letter: str) -> str | None:
    found = _NAMED.fullmatch(unicodedata.name(letter, ""))
    if found is None:
        return None
    script, name = found.groups()
    if script == "LATIN":
        plain = _PLAIN.fullmatch(name)
        return plain[1].lower() if plain else None
    try:
        base = unicodedata.lookup(f"CYRILLIC SMALL LETTER {name}")
    except KeyError:
        return None
    return base if "\u0430" <= base <= "\u044f" else _BASES.get(base)


def _add(silent: list[Span], text: str, edit: Edit) -> None:
    """Add a span; extend the last one instead if only a few signs are in between."""
    if silent:
        start, end = silent[-1]
        between = text[end : edit.start]
        if len(between) <= _GAP and "\n" not in between and not any(map(str.isalnum, between)):
            silent[-1] = (start, edit.end)
            return
    silent.append((edit.start, edit.end))
