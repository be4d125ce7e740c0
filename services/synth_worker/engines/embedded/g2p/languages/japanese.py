"""Japanese -> the phonemes of Kokoro's Japanese voices.

pyopenjtalk-plus reads the text (its dictionary is in the wheel; nothing is downloaded); here its katakana becomes
Kokoro's notation: one group of symbols a mora, `ʔ` for the small tsu, `ː` for a long vowel, a space between words.
"""

import importlib
import re
import warnings
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Final

from services.common.wire.failures import EngineUnavailable
from services.synth_worker.engines.embedded.g2p.reading import Piece

PACKAGE: Final = "pyopenjtalk-plus==0.4.1.post10"
_PART: Final = re.compile(r"\S+")

_ROWS: Final = {
    "ア イ ウ エ オ": "a i ɯ e o",
    "カ キ ク ケ コ": "ka kʲi kɯ ke ko",
    "ガ ギ グ ゲ ゴ": "ɡa ɡʲi ɡɯ ɡe ɡo",
    "サ シ ス セ ソ": "sa ɕi sɨ se so",
    "ザ ジ ズ ゼ ゾ": "ʣa ʥi zɨ ʣe ʣo",
    "タ チ ツ テ ト": "ta ʨi ʦɨ te to",
    "ダ ヂ ヅ デ ド": "da ʥi zɨ de do",
    "ナ ニ ヌ ネ ノ": "na ɲi nɯ ne no",
    "ハ ヒ フ ヘ ホ": "ha çi ɸɯ he ho",
    "バ ビ ブ ベ ボ": "ba bʲi bɯ be bo",
    "パ ピ プ ペ ポ": "pa pʲi pɯ pe po",
    "マ ミ ム メ モ": "ma mʲi mɯ me mo",
    "ヤ ユ ヨ イェ": "ja jɯ jo je",
    "ラ リ ル レ ロ": "ɾa ɾʲi ɾɯ ɾe ɾo",
    "ワ ヰ ヱ ヲ ウィ ウェ ウォ": "βa i e o βi βe βo",
    "ヴ ヴァ ヴィ ヴェ ヴォ": "vɯ va vʲi ve vo",
    "ファ フィ フェ フォ フュ": "ɸa ɸʲi ɸe ɸo ɸʲɨ",
    "ツァ ツィ ツェ ツォ": "ʦa ʦʲi ʦe ʦo",
    "クァ クィ クェ クォ グァ": "kᵝa kᵝi kᵝe kᵝo ɡᵝa",
    "ティ テュ トゥ ディ デュ ドゥ": "tʲi tʲɨ tɯ dʲi dʲɨ dɯ",
    "スィ ズィ": "si zi",
    "ァ ィ ゥ ェ ォ ャ ュ ョ ヮ": "a i ɯ e o ja jɯ jo βa",
    "ッ ー": "ʔ ː",
}
_PALATAL: Final = {
    "キ": "kʲ",
    "ギ": "ɡʲ",
    "シ": "ɕ",
    "ジ": "ʥ",
    "チ": "ʨ",
    "ヂ": "ʥ",
    "ニ": "ɲ",
    "ヒ": "ç",
    "ビ": "bʲ",
    "ピ": "pʲ",
    "ミ": "mʲ",
    "リ": "ɾʲ",
}
_GLIDES: Final = {"ャ": "a", "ュ": "ɨ", "ョ": "o", "ェ": "e"}


def _morae() -> dict[str, str]:
    table: dict[str, str] = {}
    for kana, symbols in _ROWS.items():
        table.update(zip(kana.split(), symbols.split(), strict=True))
    for kana, consonant in _PALATAL.items():
        table.update({kana + glide: consonant + vowel for glide, vowel in _GLIDES.items()})
    return table


_MORAE: Final[Mapping[str, str]] = _morae()
# The moraic nasal assimilates to the phone after it.
_NASALS: Final = {
    **dict.fromkeys("mpb", "m"),
    **dict.fromkeys("kɡ", "ŋ"),
    **dict.fromkeys("ɲʨʥ", "ɲ"),
    **dict.fromkeys("ntdɾzʣʦ", "n"),
}


class Japanese:
    """The reader of Japanese."""

    def load(self) -> None:
        """Read the dictionary, 0.5 s. Raises EngineUnavailable where pyopenjtalk is missing."""
        with warnings.catch_warnings():
            # it calls its own dictionary by an old name
            warnings.simplefilter("ignore", DeprecationWarning)
            # a kanji of several readings opens the dictionary for those too
            self._readings("強い風")

    @cached_property
    def _readings(self) -> Callable[[str], list[dict[str, object]]]:
        try:
            run: Callable[[str], list[dict[str, object]]] = importlib.import_module(
                "pyopenjtalk"
            ).run_frontend
        except ImportError as error:
            raise EngineUnavailable(f"the Japanese reader is missing; install {PACKAGE}") from error
        return run

    def phonemes(self, words: str) -> str:
        """Read `words`, which hold no punctuation."""
        # It reads a blank as an extra pause.
        read = [
            mora_symbols(str(word["pron"]))
            for part in words.split()
            for word in self._readings(part)
        ]
        return " ".join(read).replace("ʔ ", "ʔ")

    def pieces(self, words: str) -> list[Piece]:
        """Return what `phonemes` reads by word of the dictionary, or by part where the words do not fill it."""
        found: list[Piece] = []
        for part in _PART.finditer(words):
            read = self._readings(part[0])
            if sum(len(str(word["string"])) for word in read) != len(part[0]):
                symbols = "".join(mora_symbols(str(word["pron"])) for word in read)
                found.append(Piece(symbols, part.span()))
                continue
            start = part.start()
            for word in read:
                end = start + len(str(word["string"]))
                found.append(Piece(mora_symbols(str(word["pron"])), (start, end)))
                start = end
        return found


def mora_symbols(katakana: str) -> str:
    """Map the katakana of one word; what is not kana is dropped."""
    found: list[str] = []
    nasal_at: int | None = None
    index = 0
    while index < len(katakana):
        length = 2 if katakana[index : index + 2] in _MORAE else 1
        mora = katakana[index : index + length]
        symbols = "ɴ" if mora == "ン" else _MORAE.get(mora, "")
        if nasal_at is not None and symbols:
            found[nasal_at] = _NASALS.get(symbols[0], "ɴ")
        nasal_at = len(found) if mora == "ン" else None
        found.append(symbols)
        index += length
    return "".join(found)
