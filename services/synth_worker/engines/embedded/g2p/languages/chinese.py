"""Mandarin -> the phonemes of Kokoro's Chinese voices.

rjieba finds the words, pypinyin reads them; here its pinyin becomes Kokoro's notation: IPA of initial and final, an
arrow for the tone after the vowel (→ first, ↗ second, ↓ third, ↘ fourth, nothing for the neutral one), a space
between words. No tone sandhi: Kokoro was trained on the tones of the dictionary and has learned it by ear.
"""

import importlib
import re
from collections.abc import Callable
from functools import cached_property, lru_cache, partial
from types import ModuleType
from typing import Final

from services.common.wire.failures import EngineUnavailable
from services.synth_worker.engines.embedded.g2p.languages.numerals import MANDARIN, spelled
from services.synth_worker.engines.embedded.g2p.reading import Piece

PACKAGES: Final = "rjieba==0.2.2 pypinyin==0.55.0"

_TONES: Final = {"1": "→", "2": "↗", "3": "↓", "4": "↘", "5": ""}
_INITIALS: Final = {
    "zh": "ꭧ",
    "ch": "ꭧʰ",
    "sh": "ʂ",
    "b": "p",
    "p": "pʰ",
    "m": "m",
    "f": "f",
    "d": "t",
    "t": "tʰ",
    "n": "n",
    "l": "l",
    "g": "k",
    "k": "kʰ",
    "h": "x",
    "j": "ʨ",
    "q": "ʨʰ",
    "x": "ɕ",
    "r": "ɻ",
    "z": "ʦ",
    "c": "ʦʰ",
    "s": "s",
}
# Final -> what stands before the tone, what stands after it.
_FINALS: Final = {
    "a": ("a", ""),
    "ai": ("ai", ""),
    "an": ("a", "n"),
    "ang": ("a", "ŋ"),
    "ao": ("au", ""),
    "e": ("ɤ", ""),
    "ê": ("ɛ", ""),
    "ei": ("ei", ""),
    "en": ("ə", "n"),
    "eng": ("ə", "ŋ"),
    "er": ("ɚ", ""),
    "i": ("i", ""),
    "ia": ("ja", ""),
    "ian": ("jɛ", "n"),
    "iang": ("ja", "ŋ"),
    "iao": ("jau", ""),
    "ie": ("je", ""),
    "in": ("i", "n"),
    "ing": ("i", "ŋ"),
    "io": ("jɔ", ""),
    "iong": ("jʊ", "ŋ"),
    "iou": ("jou", ""),
    "ong": ("ʊ", "ŋ"),
    "o": ("wo", ""),
    "ou": ("ou", ""),
    "u": ("u", ""),
    "ua": ("wa", ""),
    "uai": ("wai", ""),
    "uan": ("wa", "n"),
    "uang": ("wa", "ŋ"),
    "uei": ("wei", ""),
    "uen": ("wə", "n"),
    "ueng": ("wə", "ŋ"),
    "uo": ("wo", ""),
    "ü": ("y", ""),
    "üan": ("ɥɛ", "n"),
    "üe": ("ɥe", ""),
    "ün": ("y", "n"),
    "m": ("m", ""),
    "n": ("n", ""),
    "ng": ("ŋ", ""),
}
# The letters of pinyin after y and w, and the contractions, in full.
_FULL: Final = (
    (re.compile(r"^yu"), "ü"),
    (re.compile(r"^yi"), "i"),
    (re.compile(r"^y"), "i"),
    (re.compile(r"^wu"), "u"),
    (re.compile(r"^w"), "u"),
    (re.compile(r"^([jqx])[uv]"), r"\1ü"),
    (re.compile(r"v"), "ü"),
    (re.compile(r"(?<=[^ aeo])iu$"), "iou"),
    (re.compile(r"(?<=[^ aeo])ui$"), "uei"),
    (re.compile(r"(?<=[^ aeo])un$"), "uen"),
)
_HAN: Final = re.compile(r"[\u3007\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+")


class Chinese:
    """The reader of Mandarin."""

    def load(self) -> None:
        """Read the dictionaries, 0.4 s. Raises EngineUnavailable where a package is missing."""
        self.phonemes("读书")

    @cached_property
    def _words(self) -> Callable[[str], list[str]]:
        cut: Callable[[str], list[str]] = _package("rjieba").cut
        return cut

    @cached_property
    def _pinyin(self) -> Callable[[str], list[str]]:
        pypinyin = _package("pypinyin")
        style = pypinyin.Style.TONE3
        return partial(
            pypinyin.lazy_pinyin, style=style, neutral_tone_with_five=True, errors="ignore"
        )

    def phonemes(self, words: str) -> str:
        """Read `words`, which hold no punctuation; figures are read out, other scripts dropped."""
        found = []
        for part in _HAN.findall(spelled(words, MANDARIN)):
            found += [
                "".join(map(syllable_symbols, self._pinyin(word))) for word in self._words(part)
            ]
        return " ".join(found)

    def pieces(self, words: str) -> list[Piece]:
        """Return what `phonemes` reads by character, or by word where a word's syllables are not one a character.

        Empty if `words` has figures.
        """
        if spelled(words, MANDARIN) != words:
            return []
        found: list[Piece] = []
        for part in _HAN.finditer(words):
            start = part.start()
            for word in self._words(part[0]):
                syllables = [syllable_symbols(pinyin) for pinyin in self._pinyin(word)]
                if len(syllables) == len(word):
                    found += [
                        Piece(symbols, (start + index, start + index + 1))
                        for index, symbols in enumerate(syllables)
                    ]
                else:
                    found.append(Piece("".join(syllables), (start, start + len(word))))
                start += len(word)
        return found


def _package(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise EngineUnavailable(f"the Chinese reader is missing; install {PACKAGES}") from error


@lru_cache(maxsize=2048)
def syllable_symbols(pinyin: str) -> str:
    """Map one syllable such as `zhong1`; empty for what is no syllable."""
    tone = _TONES.get(pinyin[-1:])
    if tone is None:
        return ""
    full = pinyin[:-1]
    for pattern, replacement in _FULL:
        full = pattern.sub(replacement, full)
    initial = next(
        (letters for letters in _INITIALS if full.startswith(letters) and full != letters), ""
    )
    if full in _FINALS:
        initial = ""
    final = full[len(initial) :]
    if final == "i" and initial in {"zh", "ch", "sh", "r", "z", "c", "s"}:
        return f"{_INITIALS[initial]}ɨ{tone}"
    if final == "o" and not initial:
        return f"ɔ{tone}"
    before, after = _FINALS.get(final, ("", ""))
    return f"{_INITIALS.get(initial, '')}{before}{tone}{after}" if before else ""
