"""Detection of paragraphs that are prose of a language: by their letters and frequent words, each once. Pure."""

import hashlib
import re
from collections.abc import Iterable
from typing import Final

import regex

_SCRIPTS: Final = {
    "ru": r"\p{Cyrillic}",
    "ar": r"\p{Arabic}",
    "zh": r"\p{Han}",
    "ja": r"\p{Han}\p{Hiragana}\p{Katakana}ー",
    "ko": r"\p{Hangul}",
    "hi": r"\p{Devanagari}",
}
UNSPACED: Final = frozenset({"zh", "ja"})
_LETTERS: Final = regex.compile(r"[\p{L}\p{M}]+")
_MARKS: Final = regex.compile(
    r"[^\p{L}\p{M}\p{N}\s.,;:!?'\"’“”„«»()\-–—،؛؟。、，！？「」『』（）।…]"
)
_CODE: Final = re.compile(
    r"\w\(\)|</?\w|[{}\\|]|==|\$\w|\w_\w|(?:^|\s)--?[a-z]|\w/\w+/|#include|::|=\S|&\w+;|\s=\s*$"
)
_HYPHENATED: Final = regex.compile(r"(?<=\p{Ll})[-‐]\n\s*(?=\p{Ll})")
_LONGEST: Final = 2_000
_FEWEST_WORDS: Final = 4
_SURELY_WITH_FREQUENT: Final = 8  # words of a text that has some of the frequent ones
# What is not in the language of its file is nearly always English without a translation.
_ENGLISH: Final = "the of and to is that for it with you are be this as on not or from by have can will which in a"
_FREQUENT: Final = {
    "fr": "le la les l de des du d un une et est en que qui dans pour pas sur au vous ne se ce il à sont par avec",
    "es": "el la los las de del un una y es en que no se por para con su al lo como o más este esta si",
    "de": "der die das den dem des ein eine einen und ist in im zu von mit nicht sich auf für wird sie es oder an",
    "it": "il la lo le gli l i di del della un una e è in che non si per con da al sono questo più o come dei",
    "pt": "o a os as de do da dos das um uma e é em no na que não se por para com ao ou seu sua este esta mais",
    "pl": "w i na z do nie się to jest że o jak dla od po lub przez za być są który może tego ten by ale czy co",
    "tr": "bir ve bu için ile de da olarak değil daha ne çok gibi en olan her veya ya kadar sonra var mı o ki",
    "ru": "и в не на что с по для это как из от к или при если его он но все может будет быть у за о так",
    "nl": "de het een en van in is op te dat voor met niet aan zijn die er om u als of bij worden wordt door uit kan",
    "cs": "a v na se je s že to do z pro o k jako i není nebo pokud by které ve tento za po od si být při jsou",
    "hu": "a az egy és hogy nem is ez meg van csak vagy ha de el ezt azt lehet mint kell már minden ki be",
}


class Prose:
    """Keeps what is prose of one language and was not there before."""

    def __init__(self, language: str) -> None:
        """Begin with nothing seen."""
        script = _SCRIPTS.get(language, r"\p{Latin}")
        self._language = language
        self._script = regex.compile(rf"[{script}\p{{M}}]+")
        self._seen: set[bytes] = set()
        self._frequent = frozenset(_FREQUENT.get(language, "").split())
        self._foreign = frozenset(_ENGLISH.split()) - self._frequent

    def chosen(self, paragraphs: Iterable[str], most_words: int) -> list[str]:
        """Return the paragraphs that are prose, on one line each; of more than so many words, evenly taken ones.

        The choice is the same in every run.
        """
        texts = [
            text
            for text in map(one_line, paragraphs)
            if self._may_be_prose(text) and self._is_new(text)
        ]
        kept, total = [], 0
        for index in sorted(range(len(texts)), key=lambda index: digest(texts[index])):
            if total >= most_words:
                break
            if self._is_language(texts[index]):
                total += words(texts[index], self._language)
                kept.append(index)
        return [texts[index] for index in sorted(kept)]

    def _may_be_prose(self, text: str) -> bool:
        if (
            len(text) > _LONGEST
            or words(text, self._language) < _FEWEST_WORDS
            or _CODE.search(text)
        ):
            return False
        visible = len(text) - text.count(" ")
        letters = _length(_LETTERS.findall(text))
        return (
            letters >= 0.6 * visible
            and _length(self._script.findall(text)) >= 0.6 * letters
            and _length(_MARKS.findall(text)) <= 0.06 * visible
        )

    def _is_language(self, text: str) -> bool:
        """Return whether a text has more of the frequent words of its language than of those of English."""
        if not self._frequent:
            return True
        found = regex.findall(r"\p{L}+", text.casefold())
        own = sum(word in self._frequent for word in found)
        foreign = sum(word in self._foreign for word in found)
        return own >= foreign and (own > 0 or len(found) < _SURELY_WITH_FREQUENT)

    def _is_new(self, text: str) -> bool:
        key = digest(re.sub(r"\W+", " ", text).casefold())
        known = key in self._seen
        self._seen.add(key)
        return not known


def one_line(paragraph: str) -> str:
    """Return a paragraph with its lines joined; where a word is broken at a line's end, its hyphen stays."""
    return " ".join(_HYPHENATED.sub("-", paragraph).split())


def words(text: str, language: str) -> int:
    """Return the number of words; Chinese and Japanese are counted at two letters a word."""
    if language in UNSPACED:
        return _length(_LETTERS.findall(text)) // 2
    return len(text.split())


def digest(text: str) -> bytes:
    """Return a short key of a text, the same in every run."""
    return hashlib.blake2b(text.encode(), digest_size=8).digest()


def _length(found: list[str]) -> int:
    return sum(map(len, found))
