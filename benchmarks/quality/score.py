"""The distance of a transcript from the expected text. Pure, but for readings (Open JTalk, pypinyin)."""

import unicodedata
from collections.abc import Sequence
from typing import Final

import pyopenjtalk
import pypinyin
import zhconv

# Whisper writes small numbers as digits; the sentences spell them. Only the ones that occur in them.
_NUMERALS: Final = {
    "zh": str.maketrans("123", "一二三"),
    "ko": str.maketrans("123", "한두세"),
}
# Spelling variants that Arabic readers do not hear: hamza on alef, final ya, ta marbuta.
_ARABIC: Final = str.maketrans("أإآىة", "اااية".replace("ة", "ه"))
UNSPACED: Final = frozenset({"zh", "ja", "ko"})  # whose spaces whisper places at will


def normalised(text: str, language: str) -> str:
    """Fold case, drop punctuation and vowel marks of Arabic, simplify Chinese; spaces stay single or go."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    if language == "zh":
        folded = zhconv.convert(folded, "zh-cn")
    if language == "ar":
        folded = folded.translate(_ARABIC)
        folded = "".join(
            character for character in folded if unicodedata.category(character) != "Mn"
        )
    folded = folded.translate(_NUMERALS.get(language, {}))
    spaced = "".join(character if _is_heard(character) else " " for character in folded)
    return ("" if language in UNSPACED else " ").join(spaced.split())


def _is_heard(character: str) -> bool:
    return unicodedata.category(character)[0] in "LMN"


def reading(text: str) -> str:
    """Give Japanese text as the katakana that is spoken, so that a choice of kanji is no error."""
    kana = pyopenjtalk.g2p(normalised(text, "ja"), kana=True)
    return "".join(character for character in kana if _is_heard(character))


def syllables(text: str, *, tones: bool) -> list[str]:
    """Give Chinese text as its syllables in pinyin, with or without tones, so that a choice of character is none."""
    style = pypinyin.Style.TONE3 if tones else pypinyin.Style.NORMAL
    return list(
        pypinyin.lazy_pinyin(normalised(text, "zh"), style=style, neutral_tone_with_five=True)
    )


def character_errors(text: str, transcript: str, language: str) -> float:
    """Return the character error rate of normalised text; above one where the transcript is longer than the text."""
    reference = normalised(text, language)
    return distance(reference, normalised(transcript, language)) / len(reference)


def reading_errors(text: str, transcript: str, language: str) -> float | None:
    """Return the error rate between the readings of two texts: kana for ja, syllables without tones for zh."""
    if language == "ja":
        return _rate(reading(text), reading(transcript))
    if language == "zh":
        return _rate(syllables(text, tones=False), syllables(transcript, tones=False))
    return None


def tonal_errors(text: str, transcript: str, language: str) -> float | None:
    """Return the error rate between the syllables with their tones; zh only."""
    if language != "zh":
        return None
    return _rate(syllables(text, tones=True), syllables(transcript, tones=True))


def _rate(reference: Sequence[str], heard: Sequence[str]) -> float:
    return distance(reference, heard) / len(reference)


def word_errors(text: str, transcript: str, language: str) -> float:
    """Return the word error rate; only where words are written apart."""
    reference = normalised(text, language).split()
    return distance(reference, normalised(transcript, language).split()) / len(reference)


def distance(first: Sequence[str], second: Sequence[str]) -> int:
    """Count the insertions, deletions and substitutions between two sequences (Levenshtein)."""
    row = list(range(len(second) + 1))
    for i, ours in enumerate(first, 1):
        previous, row[0] = row[0], i
        for j, theirs in enumerate(second, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (ours != theirs))
    return row[-1]
