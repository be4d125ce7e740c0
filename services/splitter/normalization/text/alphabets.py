"""Letters that no voice of a language can speak: they fall back to their base letter, or are left out. Pure, linear.

How it works. A letter is kept where the language's readers know it: espeak-ng reads its own alphabet and the letters of
usual loan words, and each other script here has a reader of its own (Greek in a French text is read as Greek). What
they do not know they spell by name, "letter one e c five", or pass over. So every other letter gives way: to its base
letter by canonical decomposition (ễ to e), by its Unicode name (ƙ, "k with hook", to k), or by a table for letters that
have neither (đ, ə, Arabic letters of Persian and Urdu). A letter without any of these is of a script that is not
spoken, and it is left out; the places of such letters are returned, so that nothing vanishes in silence.

The kept letters were found by asking the embedded engine's readers for the sound of each letter within a word
(tests/unit/splitter/normalization/test_alphabets.py holds both to each other).
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

# Letters beside a to z that espeak-ng speaks in a language as more than their base letter, or that it has in words.
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
_ELSEWHERE: Final = "en"  # who reads Latin words in the languages of other scripts
# Letters of the other scripts that have a reader.
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
# A letter and what stands for it, where neither its decomposition nor its name says so.
_PAIRS: Final = (
    "đd ðd þth ħh ıi ĸk łl ŋng øo œoe æae ŧt ßss ſs ĳij ŉn əe ǝe ɛe ɔo ɑa ɣg ɩi ʋv ʊu ɪi ʃsh ʒzh ʔ ʕ ɂ "
    "ƿw ȝy ʻ ʹ ʺ ʾ ʿ ˈ ˌ ː ʼ' "
    "ѕдз њнь ѡо ѣе ѥе ѧя ѩя ѫу ѭю ѯкс ѱпс ѳф ѵи ѷи ѹу ҥнг ҵц үу ұу һх ӏ ӕэ әэ ӛэ ӡдз өо ӫо ԑэ ԛк ԝв ҩо "
    "ٱا ہه ھه ەه ۀه ۂه ۃة ۆو ۇو ۈو ۋو ێي ېي ےي ۓي ٹت ڈد ڑر ںن ڭك ݣگ ڨگ ڥپ ڕر ڵل ټت ډد ړر ڼن ښش ږژ څس ځز "
    "ۍي ऄअ ॲऍ 〆しめ "
)
_BASES: Final = {pair[0]: pair[1:] for pair in _PAIRS.split()}
_NAMED: Final = re.compile(r"(LATIN|CYRILLIC) SMALL LETTER (.+?)(?: WITH .+)?")
_PLAIN: Final = re.compile(r"(?:.+ )?([A-Z]{1,2})")  # the letter of a Latin name: OPEN E, TURNED A, LJ
_ACUTE, _GRAVE, _CIRCUMFLEX = "\u0301", "\u0300", "\u0342"
_CLUSTER: Final = regex.compile(r"\P{M}\p{M}*+|(?P<marks>\p{M}++)")
_GAP: Final = 3  # signs and spaces between two words that are left out together


class Spoken(NamedTuple):
    """A text of which a language's voices can speak every letter, and what was left out of it."""

    aligned: Aligned
    left_out: tuple[Span, ...]  # of the first text, in order


def speakable(aligned: Aligned, language: str) -> Spoken:
    """Return the text in letters that the voices of a language (ISO 639-1) can speak."""
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
    """Return the pattern of letters that give way, with their marks, and of marks on Latin letters."""
    own = _LATIN.get(language, _LATIN[_ELSEWHERE])
    kept = own + own.upper()
    other = rf"[\p{{L}}--[A-Za-z{kept}{_SIGNS}{_OTHER_SCRIPTS}]]"
    return regex.compile(rf"(?:{other}\p{{M}}*+)++|(?<=\p{{Latin}})\p{{M}}++", regex.V1)


def _given_way(text: str, start: int, end: int) -> Iterator[Edit]:
    """Yield what is spoken instead of these letters and their marks: a space for those that are left out."""
    for silent, clusters in groupby(_clusters(text, start, end), key=lambda edit: edit.text == " "):
        run = list(clusters)
        yield Edit(run[0].start, run[-1].end, " " if silent else "".join(edit.text for edit in run))


def _clusters(text: str, start: int, end: int) -> Iterator[Edit]:
    """Yield each letter with its marks, and what stands for it in its case; a space for nothing at all."""
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
    """Return what stands for a small letter that is not known; None for one of a script that is not spoken."""
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
    """Return a letter's base; a Greek vowel keeps its stress, whichever accent writes it."""
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
    """Add a span; one that follows the last after nothing but a few signs belongs to it."""
    if silent:
        start, end = silent[-1]
        between = text[end : edit.start]
        if len(between) <= _GAP and "\n" not in between and not any(map(str.isalnum, between)):
            silent[-1] = (start, edit.end)
            return
    silent.append((edit.start, edit.end))
