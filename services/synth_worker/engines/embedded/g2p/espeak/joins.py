"""Consonants that espeak-ng drops between words. Pure.

Its Dutch reads "het dak" as `hə tˈɑk`: the t is dropped before a d, which becomes voiceless. People do that too, but
Kokoro was not trained on Dutch, and its words are understood better with all of their consonants.
"""

from collections.abc import Callable, Sequence
from typing import Final

LANGUAGES: Final = frozenset({"nl"})  # in which this was confirmed
_STRESS: Final = str.maketrans("", "", "ˈˌ")
_VOWELS: Final = frozenset("aeiouyæøœɐɑɔəɛɪɵʊʌ")


def separated(words: str, ipa: str, read_each: Callable[[Sequence[str]], Sequence[str]]) -> str:
    """Return the IPA of `words` with the consonants that are dropped at the end of one. `read_each` reads words alone.

    Stress and vowels stay those of the whole. Nothing changes where words and their readings cannot be matched.
    """
    written = words.split()
    together = ipa.split()
    if len(written) < 2 or len(written) != len(together):
        return ipa
    found = list(together)
    alone = [one.translate(_STRESS) for one in read_each(written)]
    for index in range(len(found) - 1):
        dropped = _dropped(together[index], alone[index])
        if dropped:
            found[index] += dropped
            found[index + 1] = _with_onset(together[index + 1], alone[index + 1])
    return " ".join(found)


def _dropped(together: str, alone: str) -> str:
    """Return the consonants that `alone` has at its end and `together` has not."""
    plain = together.translate(_STRESS)
    rest = alone.removeprefix(plain) if alone.startswith(plain) else ""
    return "" if _VOWELS.intersection(rest) else rest


def _with_onset(together: str, alone: str) -> str:
    """Return a reading with the first consonant of `alone`, if they differ in nothing else."""
    plain = together.translate(_STRESS)
    onsets = {together[0], *alone[:1]}
    if not alone or plain[1:] != alone[1:] or onsets & (_VOWELS | {"ˈ", "ˌ"}):
        return together
    return alone[0] + together[1:]
