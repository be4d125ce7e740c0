"""espeak-ng's IPA -> Kokoro's symbols.

Kokoro was trained on espeak-ng's IPA with affricates and diphthongs folded into one letter each; letters that it
never met go to the nearest that it has.
"""

import re
from collections.abc import Mapping
from typing import Final

from services.synth_worker.engines.embedded.g2p.mapping import NO_CHANGES, replaced

_FOLDED: Final = {
    "a^ɪ": "I",
    "a^ʊ": "W",
    "d^z": "ʣ",
    "d^ʒ": "ʤ",
    "e^ɪ": "A",
    "o^ʊ": "O",
    "ə^ʊ": "Q",
    "s^s": "S",
    "t^s": "ʦ",
    "t^ʃ": "ʧ",
    "t^ɕ": "ʨ",
    "d^ʑ": "ʥ",
    "ɔ^ɪ": "Y",
}
_ENGLISH: Final = {
    "a^ɪ": "I",
    "a^ʊ": "W",
    "d^ʒ": "ʤ",
    "e^ɪ": "A",
    "e": "A",
    "t^ʃ": "ʧ",
    "ɔ^ɪ": "Y",
    "o^ʊ": "O",
    "ə^l": "ᵊl",
    "ɚ": "əɹ",
    "ɚɹ": "əɹ",
    "ɜːɹ": "ɜɹ",
    "ɜː": "ɜɹ",
    "ɪə": "iə",
    "ʔn\u0329": "tᵊn",
    "n\u0329": "ᵊn",
    "m\u0329": "ᵊm",
    "l\u0329": "ᵊl",
    "r": "ɹ",
    "x": "k",
    "ç": "k",
    "ɐ": "ə",
    "ɬ": "l",
    "o": "ɔ",
    "ɾ": "T",
    "ʔ": "t",
    "ʲ": "",
    "\u0303": "",
    "ː": "",
}
# Tables of single languages, used where whisper-base makes fewer character errors with them (12 sentences each):
# tr .21 -> .14, nl .16 -> .12, cs .17 -> .13, ru .11 -> .10. For hu none was found that helps clearly.
_TURKISH: Final = {"ɟ": "ɡ", "c": "k", "ɪ": "i", "ʊ": "u", "æ": "ɛ", "ø": "y", "œ": "ø"}
_DUTCH: Final = {"ʋ": "v", "ɵ": "œ", "ʌ^ʊ": "W"}
_CZECH: Final = {"r̝̊": "rʃ", "r̝": "rʒ", "ɟ": "dʲ", "c": "tʲ", "ɣ": "x"}
_SLAVIC: Final = {"ʑ": "zʲ"}
_NEAREST: Final = {
    "g": "ɡ",
    "ɫ": "l",
    "ɬ": "l",
    "ɭ": "l",
    "ʐ": "ʒ",
    "ʑ": "ʒ",
    "ɦ": "h",
    "ħ": "h",
    "ʕ": "ʔ",
    "ʉ": "u",
    "ɵ": "ø",
    "ɘ": "ə",
    "ɞ": "ɜ",
    "ɶ": "œ",
    "ʏ": "y",
    "ʀ": "ʁ",
    "ɱ": "m",
    "ɺ": "ɾ",
    "ʍ": "w",
    "ɓ": "b",
    "ɗ": "d",
    "ɠ": "ɡ",
    "ʙ": "b",
}
_BY_LANGUAGE: Final[Mapping[str, Mapping[str, str]]] = {
    "en": _ENGLISH,
    "tr": _TURKISH,
    "nl": _DUTCH,
    "cs": _CZECH,
    "pl": _SLAVIC,
    "ru": _SLAVIC,
}
_NOT_PHONEMES: Final = re.compile(
    r"[^\w\sˈˌː\u0303]"
)  # ties, syllable dots: a dot would be a pause
_SWITCH: Final = re.compile(r"\(\^?([a-z][a-z^-]*)\)")


def kokoro_symbols(ipa: str, language: str, changes: Mapping[str, str] = NO_CHANGES) -> str:
    """Map one clause of tied IPA; words that espeak-ng read in another language are mapped as that language's.

    `changes` go before the tables: what a search tries.
    """
    parts = _SWITCH.split(ipa)
    mapped = [_mapped(parts[0], language, changes)]
    for code, part in zip(parts[1::2], parts[2::2], strict=True):
        mapped.append(_mapped(part, code.replace("^", "").partition("-")[0], changes))
    return "".join(mapped)


def _mapped(ipa: str, language: str, changes: Mapping[str, str]) -> str:
    table = {**_NEAREST, **_FOLDED, **_BY_LANGUAGE.get(language, {}), **changes}
    return _NOT_PHONEMES.sub("", replaced(ipa, table))
