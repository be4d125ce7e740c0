"""Arabic as it is written -> Arabic with its vowels.

Everyday Arabic leaves the short vowels out. text2tashkeel puts
them in (`rawi-ensemble`, 4.9 MB in the wheel, Apache-2.0, ONNX; nothing is downloaded).
"""

import importlib
import re
from collections.abc import Callable
from functools import cached_property
from itertools import pairwise
from typing import Final

from services.common.wire.failures import EngineUnavailable

PACKAGE: Final = "text2tashkeel==0.1.0"

_MARKS: Final = re.compile("[\u064b-\u0652\u0670]")
_TATWEEL: Final = "\u0640"
# At a pause the vowel of the case is silent, and so is the nunation but for -an.
_PAUSE: Final = re.compile("[\u064c-\u0650\u0652]+$")
_SHORT_WORD: Final = 4  # letters; shorter ones are particles, which keep their vowel
_MODEL: Final = "rawi-ensemble"


class ArabicVowels:
    """Restores the vowels of Arabic."""

    def load(self) -> None:
        """Read the model, 0.3 s. Raises EngineUnavailable where the package is missing."""
        self._restore("كتاب")

    @cached_property
    def _restore(self) -> Callable[[str], str]:
        try:
            package = importlib.import_module("text2tashkeel")
        except ImportError as error:
            raise EngineUnavailable(f"the Arabic vowels are missing; install {PACKAGE}") from error
        restore: Callable[[str], str] = package.Diacritizer(_MODEL).diacritize
        return restore

    def vowelled(self, words: str) -> str:
        """Put the vowels into the words that have none, in the form that they have before a pause."""
        written = words.replace(_TATWEEL, "").split()
        restored = self._restore(" ".join(written)).split()
        if len(restored) != len(written):
            restored = written
        spoken = _without_endings(restored)
        pairs = zip(written, spoken, strict=True)
        return _PAUSE.sub(
            "", " ".join(own if _MARKS.search(own) else model for own, model in pairs)
        )


def _without_endings(words: list[str]) -> list[str]:
    """Silence the case endings of all but short words, as speakers do who do not recite.

    It also hides the endings that the model guesses wrong; whisper-base hears .28 wrong characters in place of .35.
    """
    found = []
    for word, following in pairwise([*words, ""]):
        if len(_MARKS.sub("", word)) < _SHORT_WORD:
            found.append(word)
            continue
        ended = _PAUSE.sub("", word)
        bound = ended.endswith("ة") and following.startswith("ال")
        found.append(f"{ended[:-1]}ت" if bound else ended)
    return found
