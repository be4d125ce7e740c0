"""Korean spelling -> Korean phones -> IPA -> Kokoro's symbols.

The rules are those of the Standard Pronunciation (표준 발음법, National Institute of Korean Language), articles cited
by number; rules that need to know the grammar of a word (compounds, stems) are left out but for the commonest.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from services.synth_worker.engines.embedded.g2p.languages.numerals import KOREAN, spelled
from services.synth_worker.engines.embedded.g2p.mapping import NO_CHANGES, replaced

_ONSETS: Final = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
_VOWELS: Final = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
_CODAS: Final = ("", *"ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ")
_FIRST: Final = 0xAC00
_LAST: Final = 0xD7A3
_RIEUL: Final = 8  # the index of ㄹ among the codas
_TO_TENSE: Final = 21 * 28  # from a block to the same with the next onset, such as ㄱ to ㄲ

_SPLIT: Final = {
    "ㄳ": ("ㄱ", "ㅅ"), "ㄵ": ("ㄴ", "ㅈ"), "ㄶ": ("ㄴ", "ㅎ"), "ㄺ": ("ㄹ", "ㄱ"),
    "ㄻ": ("ㄹ", "ㅁ"), "ㄼ": ("ㄹ", "ㅂ"), "ㄽ": ("ㄹ", "ㅅ"), "ㄾ": ("ㄹ", "ㅌ"),
    "ㄿ": ("ㄹ", "ㅍ"), "ㅀ": ("ㄹ", "ㅎ"), "ㅄ": ("ㅂ", "ㅅ"),
}  # fmt: skip
_ASPIRATED: Final = {"ㄱ": "ㅋ", "ㄷ": "ㅌ", "ㅂ": "ㅍ", "ㅈ": "ㅊ"}
_TENSE: Final = {"ㄱ": "ㄲ", "ㄷ": "ㄸ", "ㅂ": "ㅃ", "ㅅ": "ㅆ", "ㅈ": "ㅉ"}
_FINAL: Final = {  # articles 8-11: seven phones end a syllable
    **dict.fromkeys(("ㄱ", "ㄲ", "ㅋ", "ㄳ", "ㄺ"), "ㄱ"),
    **dict.fromkeys(("ㄷ", "ㅅ", "ㅆ", "ㅈ", "ㅊ", "ㅌ", "ㅎ"), "ㄷ"),
    **dict.fromkeys(("ㅂ", "ㅍ", "ㅄ", "ㄿ"), "ㅂ"),
    **dict.fromkeys(("ㄴ", "ㄵ", "ㄶ"), "ㄴ"),
    **dict.fromkeys(("ㄹ", "ㄼ", "ㄽ", "ㄾ", "ㅀ"), "ㄹ"),
    **dict.fromkeys(("ㅁ", "ㄻ"), "ㅁ"),
    "ㅇ": "ㅇ",
}
_NASAL: Final = {"ㄱ": "ㅇ", "ㄷ": "ㄴ", "ㅂ": "ㅁ"}
_AFTER_WHICH_TENSE: Final = frozenset({"ㄵ", "ㄻ", "ㄼ", "ㄾ"})  # articles 24 and 25, stems
# article 27: 할 것을 [할꺼슬]
_BOUND_NOUN: Final = re.compile(r"(?<=[가-힣]) (?=[것거걸겁게수줄데바지])")
_IRREGULAR: Final = (
    (re.compile("밟(?=[^아-잏])"), "밥"),  # article 10
    (re.compile("(?<=[십백천만억])육"), "뉵"),  # article 29, 십육 [심뉵]
)
_JAMO_NAMES: Final = {
    "ㄱ": "기역", "ㄴ": "니은", "ㄷ": "디귿", "ㄹ": "리을", "ㅁ": "미음", "ㅂ": "비읍", "ㅅ": "시옷", "ㅇ": "이응",
    "ㅈ": "지읒", "ㅊ": "치읓", "ㅋ": "키읔", "ㅌ": "티읕", "ㅍ": "피읖", "ㅎ": "히읗",
    **{vowel: chr(_FIRST + (11 * 21 + index) * 28) for index, vowel in enumerate(_VOWELS)},
}  # fmt: skip

_ONSET_PHONES: Final = {
    "ㄱ": "ɡ", "ㄲ": "k͈", "ㄴ": "n", "ㄷ": "d", "ㄸ": "t͈", "ㄹ": "ɾ", "ㅁ": "m", "ㅂ": "b", "ㅃ": "p͈", "ㅅ": "s",
    "ㅆ": "s͈", "ㅇ": "", "ㅈ": "ʥ", "ㅉ": "ʨ͈", "ㅊ": "ʨʰ", "ㅋ": "kʰ", "ㅌ": "tʰ", "ㅍ": "pʰ", "ㅎ": "h",
}  # fmt: skip
_LENIS: Final = frozenset("ㄱㄷㅂㅈ")  # hardly voiced at the beginning of a word
_VOICELESS: Final = "\u0325"
_VOWEL_PHONES: Final = {
    "ㅏ": "a", "ㅐ": "ɛ", "ㅑ": "ja", "ㅒ": "jɛ", "ㅓ": "ʌ", "ㅔ": "e", "ㅕ": "jʌ", "ㅖ": "je", "ㅗ": "o", "ㅘ": "wa",
    "ㅙ": "wɛ", "ㅚ": "we", "ㅛ": "jo", "ㅜ": "u", "ㅝ": "wʌ", "ㅞ": "we", "ㅟ": "wi", "ㅠ": "ju", "ㅡ": "ɯ",
    "ㅢ": "ɰi", "ㅣ": "i",
}  # fmt: skip
_CODA_PHONES: Final = {
    "": "",
    "ㄱ": "k̚",
    "ㄴ": "n",
    "ㄷ": "t̚",
    "ㄹ": "l",
    "ㅁ": "m",
    "ㅂ": "p̚",
    "ㅇ": "ŋ",
}
# Kokoro has no marks for tense, voiceless and unreleased.
_SYMBOLS: Final = {"\u0348": "", _VOICELESS: "", "\u031a": ""}


@dataclass
class Syllable:
    """One syllable block, by its letters; `coda` may be empty or a cluster."""

    onset: str
    vowel: str
    coda: str


class Korean:
    """The reader of Korean: pure rules, nothing to load."""

    def phonemes(self, words: str) -> str:
        """Read `words`, which hold no punctuation; figures are read out, other scripts dropped."""
        return symbols(self.ipa(words))

    def ipa(self, words: str) -> str:
        """Read `words` as IPA."""
        named = "".join(
            _JAMO_NAMES.get(character, character) for character in spelled(words, KOREAN)
        )
        text = unicodedata.normalize("NFKC", named)
        for pattern, replacement in _IRREGULAR:
            text = pattern.sub(replacement, text)
        return " ".join(phones(pronounced(word)) for word in _words(text))


def _words(text: str) -> list[str]:
    found: list[str] = []
    for part in _joined(text).split():
        kept = "".join(character for character in part if _FIRST <= ord(character) <= _LAST)
        if kept:
            found.append(kept)
    return found


def _joined(text: str) -> str:
    """Join a bound noun to the adnominal in ㄹ before it, which makes its onset tense."""
    parts = _BOUND_NOUN.split(text)
    joined = parts[0]
    for part in parts[1:]:
        if (ord(joined[-1]) - _FIRST) % 28 == _RIEUL:
            joined += chr(ord(part[0]) + _TO_TENSE) + part[1:]
        else:
            joined += f" {part}"
    return joined


def syllables(word: str) -> list[Syllable]:
    """Take the blocks U+AC00..U+D7A3 of `word` apart."""
    codes = [ord(block) - _FIRST for block in word]
    return [
        Syllable(_ONSETS[code // 588], _VOWELS[code // 28 % 21], _CODAS[code % 28])
        for code in codes
    ]


def pronounced(word: str) -> list[Syllable]:
    """Return the pronunciation of `word`."""
    result = syllables(word)
    for left, right in pairwise(result):
        if right.onset == "ㅇ":
            _link(left, right)
        else:
            _meet(left, right)
    for index, syllable in enumerate(result):
        syllable.coda = _FINAL.get(syllable.coda, "")
        syllable.vowel = _vowel(syllable, first=index == 0)
    for left, right in pairwise(result):
        _assimilate(left, right)
    return result


def _link(left: Syllable, right: Syllable) -> None:
    """The coda begins the next syllable, which has no onset of its own (articles 12.4, 13, 14, 17)."""
    stays, moves = "", left.coda
    if left.coda in _SPLIT:
        stays, moves = _SPLIT[left.coda]
    if moves in {"", "ㅇ"}:
        return
    if moves == "ㅎ":
        left.coda = stays
        moves = "ㅇ"
        if stays:
            left.coda, moves = "", stays
    elif moves in {"ㄷ", "ㅌ"} and _palatal(right):
        left.coda, moves = stays, {"ㄷ": "ㅈ", "ㅌ": "ㅊ"}[moves]
    else:
        left.coda = stays
        if stays and moves == "ㅅ":
            moves = "ㅆ"
    right.onset = moves


def _meet(left: Syllable, right: Syllable) -> None:
    """Two consonants meet: aspiration and tensification (articles 12, 17, 23-25)."""
    stays, last = _SPLIT.get(left.coda, ("", left.coda)) if left.coda else ("", "")
    if last == "ㅎ":
        if right.onset in _ASPIRATED:
            left.coda, right.onset = stays, _ASPIRATED[right.onset]
        elif right.onset == "ㅅ":
            left.coda, right.onset = stays, "ㅆ"
        elif right.onset in "ㄴㅁㄹ":
            left.coda = stays or ("ㄴ" if right.onset == "ㄴ" else "ㅎ")
    elif right.onset == "ㅎ":
        _aspirate(left, right, stays, last)
    elif left.coda == "ㄺ" and right.onset == "ㄱ":
        left.coda, right.onset = "ㄹ", "ㄲ"  # article 11, 읽고 [일꼬]
    elif left.coda in _AFTER_WHICH_TENSE or _FINAL.get(left.coda) in _NASAL:
        right.onset = _TENSE.get(right.onset, right.onset)


def _aspirate(left: Syllable, right: Syllable, stays: str, last: str) -> None:
    if last == "ㅈ" or (last == "ㄷ" and _palatal(right)):
        left.coda, right.onset = stays, "ㅊ"
    elif last and _FINAL[last] in _NASAL:
        left.coda, right.onset = stays, _ASPIRATED[_FINAL[last]]


def _palatal(right: Syllable) -> bool:
    """Return whether the ending 이, 히 or its past (닫혀, 붙였) follows."""
    return right.vowel == "ㅣ" or (right.vowel == "ㅕ" and right.coda in {"", "ㅆ"})


def _assimilate(left: Syllable, right: Syllable) -> None:
    """Nasals and laterals (articles 18-20), on codas that are one of the seven phones."""
    pair = left.coda, right.onset
    if pair in {("ㄴ", "ㄹ"), ("ㄹ", "ㄴ")}:
        left.coda = right.onset = "ㄹ"
    elif right.onset == "ㄹ" and left.coda not in {"", "ㄹ"}:
        right.onset = "ㄴ"
    if right.onset in {"ㄴ", "ㅁ"}:
        left.coda = _NASAL.get(left.coda, left.coda)


def _vowel(syllable: Syllable, *, first: bool) -> str:
    """Article 5: ㅢ is ㅣ but at the head of a word; 져 쪄 쳐 lose the glide, ㅖ too but in 예 and 례."""
    if syllable.vowel == "ㅢ" and (syllable.onset != "ㅇ" or not first):
        return "ㅣ"
    if syllable.vowel == "ㅕ" and syllable.onset in {"ㅈ", "ㅉ", "ㅊ"}:
        return "ㅓ"
    if syllable.vowel == "ㅖ" and syllable.onset not in {"ㅇ", "ㄹ"}:
        return "ㅔ"
    return syllable.vowel


def phones(result: Sequence[Syllable]) -> str:
    """Write the pronunciation of a word in IPA."""
    written = ""
    before = ""
    for syllable in result:
        onset = _ONSET_PHONES[syllable.onset]
        if syllable.onset in {"ㅅ", "ㅆ"} and syllable.vowel in {
            "ㅣ",
            "ㅑ",
            "ㅕ",
            "ㅛ",
            "ㅠ",
            "ㅟ",
        }:
            onset = onset.replace("s", "ɕ")
        if before == "ㄹ" and syllable.onset == "ㄹ":
            onset = "l"
        if not written and syllable.onset in _LENIS:
            onset += _VOICELESS
        written += onset + _VOWEL_PHONES[syllable.vowel] + _CODA_PHONES[syllable.coda]
        before = syllable.coda
    return written


def symbols(ipa: str, changes: Mapping[str, str] = NO_CHANGES) -> str:
    """Map IPA to Kokoro's symbols. `changes` go before the table: what a search tries."""
    return replaced(ipa, {**_SYMBOLS, **changes})
