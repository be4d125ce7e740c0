"""Converts text to the decoder's input ids with coqui-tts's own tokenizer, and isolates its failures.

The tokenizer cleans a text for its language (numbers, abbreviations and symbols in words, Chinese in
pinyin, Japanese and Korean in Latin letters) and splits it by the checkpoint's vocabulary. It raises many
kinds of exceptions for ordinary texts; this module returns ids, or raises one kind of failure that names
what to change.
"""

import unicodedata
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import num2words
import regex

from services.common.wire.failures import EngineUnavailable, UnspeakableText
from services.synth_worker.engines.xtts.text.hindi import with_numbers_spelled_out
from services.synth_worker.engines.xtts.text.korean import with_numbers_in_words
from services.synth_worker.engines.xtts.weights.imports import VoiceBpeTokenizer

# Language -> the longest sentence, in characters: what the model was trained on.
MAX_CHARACTERS: Final[Mapping[str, int]] = VoiceBpeTokenizer().char_limits

# cleaned texts of these are in Latin letters, of which there are more
_TRANSLITERATED: Final = ("zh", "ja", "ko")
_TAGS: Final = {"zh": "zh-cn"}  # of the languages whose tag is not their code
# Language -> the modules that it needs besides coqui-tts's own, under the names of their packages.
_EXTRAS: Final = {
    "zh": {"pypinyin": "pypinyin"},
    "ja": {"cutlet": "cutlet", "fugashi": "fugashi", "unidic-lite": "unidic_lite"},
}
# read digit by digit; num2words fails somewhere above
_LONG_NUMBER: Final = regex.compile(r"\d{16,}")
_NUMBER: Final = regex.compile(r"\d(?:[\d.,]*\d)?")
_OTHER_DIGIT: Final = regex.compile(r"(?![0-9])\p{Nd}")
# a lone UTF-16 surrogate; no tokenizer accepts it
_HALF_CHARACTER: Final = regex.compile(r"\p{Cs}")
_TIMES_TOO_LONG: Final = 4
_CZECH_ORDINAL: Final = regex.compile(r"(?<!\d)(?<!\d[.,])(\d+)\.(?=\s|$)")


def missing_extras(languages: Iterable[str]) -> dict[str, str]:
    """Return the languages that are unavailable here, each with the packages that it needs.

    Packages are located, not imported; the first sentence of such a language imports them, in a third of a
    second.
    """
    return {
        language: ", ".join(_EXTRAS[language])
        for language in languages
        if any(find_spec(module) is None for module in _EXTRAS.get(language, {}).values())
    }


class TextEncoder:
    """The tokenizer of a checkpoint."""

    def __init__(self, vocabulary: Path) -> None:
        """Read vocab.json. Raises EngineUnavailable for any other file."""
        self._tokenizer = _read(vocabulary)
        ids = self._tokenizer.tokenizer.get_vocab()
        self.tokens = max(ids.values()) + 1
        # an earlier revision or a fine-tuned model may lack some
        self.languages = tuple(name for name in MAX_CHARACTERS if _tag(name) in ids)
        self._unknown: int = ids["[UNK]"]
        self._space: int = ids["[SPACE]"]
        self.start_id: int = ids["[START]"]
        self.stop_id: int = ids["[STOP]"]
        special = (
            token.content for token in self._tokenizer.tokenizer.get_added_tokens_decoder().values()
        )
        self._special = regex.compile("|".join(map(regex.escape, special)))

    def encode(self, text: str, language: str, limit: int) -> list[int]:
        """Return the ids of a sentence, the language's tag first, without start and stop: fewer than `limit`.

        Raises UnspeakableText.
        """
        if not any(character.isalnum() for character in text):
            raise UnspeakableText("the sentence contains nothing that can be spoken; send words")
        if language not in self.languages:
            raise UnspeakableText(
                f"the model does not speak {language!r}; choose one of {', '.join(self.languages)}"
            )
        if (
            len(text) > _TIMES_TOO_LONG * MAX_CHARACTERS[language]
        ):  # checked before hundreds of rules run
            raise UnspeakableText(
                f"the sentence has {len(text)} characters, and the model accepts about {MAX_CHARACTERS[language]}; "
                "send shorter sentences"
            )
        ids: list[int] = self._tokenizer.tokenizer.encode(self._tagged(text, language)).ids
        if not set(ids[1:]) - {self._unknown, self._space}:
            raise UnspeakableText(
                f"the model has no token for these letters in {language!r}; check the language"
            )
        if len(ids) >= limit:
            raise UnspeakableText(
                f"the sentence has {len(ids)} text tokens once written out, and the model accepts {limit - 1}; "
                "send shorter sentences, or fewer numbers in each"
            )
        return ids

    def spoken_characters(self, text: str, language: str) -> int:
        """Return how many characters of the language's script a sentence has once its numbers are written out.

        Raises UnspeakableText.
        """
        if language in _TRANSLITERATED:
            return len(text) + sum(character.isdecimal() for character in text)
        return max(len(text), len(self._cleaned(_plain(text, language), language)))

    def _tagged(self, text: str, language: str) -> str:
        """Do what the tokenizer's own `encode` does before it splits a text, except logging the text."""
        cleaned = self._cleaned(_plain(text, language), language)
        # the text does not choose the language
        spoken = self._special.sub(lambda token: f" {token[0][1:-1]} ", cleaned)
        return f"{_tag(language)}{spoken}".replace(" ", "[SPACE]")

    def _cleaned(self, text: str, language: str) -> str:
        """Clean a text; if its numbers make that fail, clean it with the numbers in words, or digit by digit."""
        try:
            return self._preprocessed(text, language)
        except UnspeakableText:
            if language == "ko":
                return self._preprocessed(with_numbers_in_words(text), language)
            return self._preprocessed(_NUMBER.sub(_digit_by_digit, text), language)

    def _preprocessed(self, text: str, language: str) -> str:
        try:
            return str(self._tokenizer.preprocess_text(_prepared(text, language), language))
        except Exception as error:  # noqa: BLE001
            # Four libraries and hundreds of rules run in there. A text that fails once fails at every attempt.
            raise UnspeakableText(
                f"the text cannot be prepared for {language!r} ({type(error).__name__}); write out numbers and symbols"
            ) from None


def _read(vocabulary: Path) -> Any:
    advice = "fetch it again, or set XTTS_MODEL_DIR to a folder with the released files"
    try:
        tokenizer = VoiceBpeTokenizer(vocab_file=str(vocabulary))
    except Exception as error:  # the tokenizers library raises nothing more specific
        raise EngineUnavailable(
            f"{vocabulary} is not the vocabulary of an XTTS-v2 model: {error}; {advice}"
        ) from error
    known = tokenizer.tokenizer.get_vocab().keys()
    missing = sorted({"[START]", "[STOP]", "[UNK]", "[SPACE]"} - known)
    if not missing and not any(_tag(name) in known for name in MAX_CHARACTERS):
        missing = ["the tag of every language"]
    if missing:
        raise EngineUnavailable(
            f"{vocabulary} lacks {', '.join(missing)}, so it is not XTTS-v2's; {advice}"
        )
    return tokenizer


def _tag(language: str) -> str:
    """Return the token that names a language."""
    return f"[{_TAGS.get(language, language)}]"


def _plain(text: str, language: str) -> str:
    """Return a text in lower case, with digits that the cleaners support."""
    if language == "tr":
        text = text.replace("İ", "i")  # whose lower-case form is two characters otherwise
    text = _HALF_CHARACTER.sub("", text).strip().lower()
    return str(_OTHER_DIGIT.sub(lambda digit: str(unicodedata.decimal(digit[0])), text))


def _prepared(text: str, language: str) -> str:
    """Write out the numbers on which the tokenizer fails."""
    text = _LONG_NUMBER.sub(_digit_by_digit, text)
    if language == "hi":
        return with_numbers_spelled_out(text)
    if language == "cs":  # "5." is an ordinal, which num2words lacks; the cardinal is understood
        return str(_CZECH_ORDINAL.sub(_czech_cardinal, text))
    return text


def _digit_by_digit(number: "regex.Match[str]") -> str:
    return " ".join(character for character in number[0] if character.isdecimal())


def _czech_cardinal(number: "regex.Match[str]") -> str:
    words: str = num2words.num2words(int(number[1]), lang="cs")
    return words if number.end() < len(number.string) else f"{words}."
