"""Vowelled Arabic -> IPA -> Kokoro's symbols: Modern Standard Arabic as it is read aloud.

Vowelled spelling is nearly phonemic, so these are rules and no dictionary: long vowels, diphthongs, doubling, the
article and its sun letters, the silent alif, stress (Ryding, A Reference Grammar of Modern Standard Arabic, ch. 2).
espeak-ng's own Arabic loses vowels next to doubled letters, so it is not used.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from services.synth_worker.engines.embedded.g2p.mapping import NO_CHANGES, replaced

_A, _U, _I, _SUKUN, _SHADDA, _DAGGER = "\u064e", "\u064f", "\u0650", "\u0652", "\u0651", "\u0670"
_VOWELS: Final = {_A: "a", _U: "u", _I: "i", "\u064b": "an", "\u064c": "un", "\u064d": "in"}
_CONSONANTS: Final = {
    "ب": "b", "ت": "t", "ث": "θ", "ج": "ʤ", "ح": "ħ", "خ": "x", "د": "d", "ذ": "ð", "ر": "ɾ", "ز": "z", "س": "s",
    "ش": "ʃ", "ص": "sˤ", "ض": "dˤ", "ط": "tˤ", "ظ": "ðˤ", "ع": "ʕ", "غ": "ɣ", "ف": "f", "ق": "q", "ك": "k", "ل": "l",
    "م": "m", "ن": "n", "ه": "h", "و": "w", "ي": "j", "ء": "ʔ", "أ": "ʔ", "إ": "ʔ", "ؤ": "ʔ", "ئ": "ʔ", "ة": "t",
    "پ": "p", "چ": "ʧ", "ژ": "ʒ", "گ": "ɡ", "ڤ": "v", "ک": "k", "ی": "j",
}  # fmt: skip
# Kokoro renders ʔ as t; hamza and ayn are clearer as the seam of two vowels.
_SYMBOLS: Final = {"ʔ": "", "ʕ": "", "ħ": "h", "ˤ": ""}
_EMPHATIC: Final = frozenset("صضطظق")  # they darken a neighbouring a
_LENGTHENS: Final = {"و": "u", "ي": "i", "ی": "i"}
_ALIFS: Final = frozenset("اى")
# Words with an unwritten long a (هذا, ذلك, لكن, الله): up to the letter that bears it.
_UNWRITTEN_LONG_A: Final = tuple(
    re.compile(pattern)
    for pattern in (
        f"(?<![^وفبكل{_A}{_I}])ه{_A}?(?=ذ|ؤ{_U}?ل)",
        f"(?<![^وفبكل{_A}{_I}])ذ{_A}?(?=ل{_I}?ك)",
        f"(?<![^و{_A}])ل{_A}?(?=ك{_I}?ن)",
        f"(?<=ل)ل[{_A}{_SHADDA}]*(?=ه[{_A}{_U}{_I}]?$)",
    )
)
_ARTICLE: Final = re.compile(f"^([وفبكت][{_A}{_I}])?ا{_A}?ل{_SUKUN}?(?=[ء-يٱ-ۓ])")


@dataclass
class _Letter:
    """A letter and the marks on it."""

    letter: str
    doubled: bool = False
    vowel: str = ""  # a, i, u, an, in, un
    long: bool = False  # by the small alif


@dataclass
class _Phone:
    symbol: str
    vowel: bool = False
    emphatic: bool = False


def arabic_symbols(words: str) -> str:
    """Write vowelled words in Kokoro's symbols."""
    return symbols_of_ipa(arabic_ipa(words))


def symbols_of_ipa(ipa: str, changes: Mapping[str, str] = NO_CHANGES) -> str:
    """Map IPA to Kokoro's symbols. `changes` go before the table: what a search tries."""
    return replaced(ipa, {**_SYMBOLS, **changes})


def arabic_ipa(words: str) -> str:
    """Write vowelled words in IPA; the article leans on a vowel before it."""
    spoken = ""
    for word in words.split():
        article = _ARTICLE.match(word)
        pronounced = _pronounced(word)
        if article and not article[1] and spoken.endswith(("a", "i", "u", "ː")):
            # The alif is silent after a vowel, which it makes short.
            spoken = spoken.removesuffix("ː") + pronounced.removeprefix("ˈ").lstrip("aɑ")
        else:
            spoken += f" {pronounced}"
    return spoken.strip()


def _pronounced(word: str) -> str:
    for pattern in _UNWRITTEN_LONG_A:
        word = pattern.sub(lambda found: found[0] + _A + _DAGGER, word)
    return _stressed(_phones(list(_letters(word))))


def _letters(word: str) -> Iterator[_Letter]:
    """Group `word` into letters with their marks; what is no Arabic letter is dropped."""
    current: _Letter | None = None
    for character in unicodedata.normalize("NFC", word).replace("آ", f"أ{_A}ا"):
        if character in _CONSONANTS or character in _ALIFS:
            if current:
                yield current
            current = _Letter(character)
        elif current and character == _SHADDA:
            current.doubled = True
        elif current and character == _DAGGER:
            current.long = True
        elif current and character in _VOWELS:
            current.vowel = _VOWELS[character]
    if current:
        yield current


def _phones(letters: list[_Letter]) -> list[_Phone]:
    found: list[_Phone] = []
    for index, letter in enumerate(letters):
        following = letters[index + 1] if index + 1 < len(letters) else None
        if letter.letter in _ALIFS and index and letters[index - 1].vowel == "an":
            continue  # only carries the mark of -an
        if letter.letter in _ALIFS:
            _alif(letter, following, found)
        elif (
            _LENGTHENS.get(letter.letter) == _last_vowel(found)
            and not letter.vowel
            and not letter.doubled
        ):
            found[-1].symbol += "ː"
        elif letter.letter == "ل" and not letter.vowel and following and following.doubled:
            continue  # the article before a sun letter
        elif letter.letter == "ة" and not letter.vowel:
            if not _last_vowel(found):
                found.append(_Phone("a", vowel=True))
        else:
            _consonant(letter, found)
    return found


def _last_vowel(found: list[_Phone]) -> str:
    return found[-1].symbol if found and found[-1].vowel else ""


def _alif(letter: _Letter, following: _Letter | None, found: list[_Phone]) -> None:
    """A bearer of a vowel at the beginning, a long a after a, silent after other vowels."""
    before = _last_vowel(found)
    article = following if following and following.letter == "ل" else None
    if not found:
        found.append(_Phone(letter.vowel or ("a" if article else "i"), vowel=True))
    elif before == "a" and not (article and len(found) == 2 and not article.vowel):
        found[-1].symbol = "aː"
    elif not before:
        found.append(_Phone(letter.vowel or "aː", vowel=True))


def _consonant(letter: _Letter, found: list[_Phone]) -> None:
    emphatic = letter.letter in _EMPHATIC
    found.extend(
        [_Phone(_CONSONANTS[letter.letter], emphatic=emphatic)] * (2 if letter.doubled else 1)
    )
    if letter.vowel:
        found.append(_Phone(letter.vowel[0] + "ː" * letter.long, vowel=True))
        found.extend([_Phone("n")] * (len(letter.vowel) - 1))


def _stressed(found: list[_Phone]) -> str:
    """Stress a last syllable that is superheavy, else a heavy one before it, else the third from the end."""
    vowels = [index for index, phone in enumerate(found) if phone.vowel]
    stressed = vowels[_stress(found, vowels)] if vowels else -1
    written = ""
    for index, phone in enumerate(found):
        beside = found[max(index - 1, 0) : index + 2]
        dark = phone.vowel and any(neighbour.emphatic for neighbour in beside)
        written += "ˈ" * (index == stressed) + (
            phone.symbol.replace("a", "ɑ") if dark else phone.symbol
        )
    return written


def _stress(found: list[_Phone], vowels: list[int]) -> int:
    ends = [*vowels[1:], len(found) + 1]
    weights = [
        found[at].symbol.endswith("ː") + (end - at - 1)
        for at, end in zip(vowels, ends, strict=True)
    ]
    weights[-1] -= 1  # nothing follows the last syllable
    if len(vowels) == 1 or weights[-1] >= 2:
        return -1
    return -2 if len(vowels) == 2 or weights[-2] >= 2 else -3
