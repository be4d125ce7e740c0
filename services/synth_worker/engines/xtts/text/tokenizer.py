"""Text to the ids that the decoder reads, by coqui-tts's own tokenizer, whose limits and failures are kept in here.

It cleans a text for its language (numbers, abbreviations and symbols in words, Chinese in pinyin, Japanese and Korean
in Latin letters) and takes it apart by the vocabulary of the checkpoint. On its way it raises many kinds of exceptions
for ordinary texts; here there are ids, or one kind of failure that says what to change.
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
from services.synth_worker.engines.xtts.weights.imports import VoiceBpeTokenizer

# Language -> the longest sentence, in characters: what the model was trained on.
MAX_CHARACTERS: Final[Mapping[str, int]] = VoiceBpeTokenizer().char_limits

_TAGS: Final = {"zh": "zh-cn"}  # of the languages that have another than their code
# Language -> the modules that it takes beside coqui-tts's own, under the names of their packages.
_EXTRAS: Final = {
    "zh": {"pypinyin": "pypinyin"},
    "ja": {"cutlet": "cutlet", "fugashi": "fugashi", "unidic-lite": "unidic_lite"},
}
_LONG_NUMBER: Final = regex.compile(r"\d{16,}")  # num2words fails somewhere above, and nobody says them as one
_NUMBER: Final = regex.compile(r"\d(?:[\d.,]*\d)?")
_OTHER_DIGIT: Final = regex.compile(r"(?![0-9])\p{Nd}")
_HALF_CHARACTER: Final = regex.compile(r"\p{Cs}")  # of UTF-16: no text, and no tokenizer takes it
_TIMES_TOO_LONG: Final = 4
_CZECH_ORDINAL: Final = regex.compile(r"(?<!\d)(?<!\d[.,])(\d+)\.(?=\s|$)")


def missing_extras(languages: Iterable[str]) -> dict[str, str]:
    """Return the languages that cannot be spoken here, each with the packages that it takes.

    They are looked for and not loaded, which the first sentence of such a language does in a third of a second.
    """
    return {
        language: ", ".join(_EXTRAS[language])
        for language in languages
        if any(find_spec(module) is None for module in _EXTRAS.get(language, {}).values())
    }


class TextEncoder:
    """The tokenizer of a checkpoint."""

    def __init__(self, vocabulary: Path) -> None:
        """Read vocab.json. Raises EngineUnavailable for another file."""
        self._tokenizer = _read(vocabulary)
        ids = self._tokenizer.tokenizer.get_vocab()
        self._unknown: int = ids["[UNK]"]
        self._space: int = ids["[SPACE]"]
        self.start_id: int = ids["[START]"]
        self.stop_id: int = ids["[STOP]"]
        special = (token.content for token in self._tokenizer.tokenizer.get_added_tokens_decoder().values())
        self._special = regex.compile("|".join(map(regex.escape, special)))

    def encode(self, text: str, language: str, limit: int) -> list[int]:
        """Return the ids of a sentence, the language's tag first, without start and stop: fewer than `limit`.

        Raises UnspeakableText.
        """
        if not any(character.isalnum() for character in text):
            raise UnspeakableText("The sentence holds nothing that can be spoken; send words.")
        if language not in MAX_CHARACTERS:
            raise UnspeakableText(f"The model does not speak {language!r}; choose one of {', '.join(MAX_CHARACTERS)}.")
        if len(text) > _TIMES_TOO_LONG * MAX_CHARACTERS[language]:  # said before hundreds of rules read it all
            raise UnspeakableText(
                f"The sentence has {len(text)} characters, and the model takes about {MAX_CHARACTERS[language]}; send "
                "shorter sentences."
            )
        ids: list[int] = self._tokenizer.tokenizer.encode(self._tagged(text, language)).ids
        if not set(ids[1:]) - {self._unknown, self._space}:
            raise UnspeakableText(f"The model knows none of these letters in {language!r}; check the language.")
        if len(ids) >= limit:
            raise UnspeakableText(
                f"The sentence has {len(ids)} text tokens as it is spoken, and the model takes {limit - 1}; "
                "send shorter sentences, or fewer numbers in each."
            )
        return ids

    def _tagged(self, text: str, language: str) -> str:
        """Do what the tokenizer's own `encode` does before it takes a text apart, but for a log of the text."""
        cleaned = self._cleaned(_plain(text, language), language)
        spoken = self._special.sub(
            lambda token: f" {token[0][1:-1]} ", cleaned
        )  # the text does not choose the language
        return f"[{_TAGS.get(language, language)}]{spoken}".replace(" ", "[SPACE]")

    def _cleaned(self, text: str, language: str) -> str:
        """Clean a text, or, where its numbers are too much for that, the text with their digits one by one."""
        try:
            return self._preprocessed(text, language)
        except UnspeakableText:
            return self._preprocessed(_NUMBER.sub(_digit_by_digit, text), language)

    def _preprocessed(self, text: str, language: str) -> str:
        try:
            return str(self._tokenizer.preprocess_text(_prepared(text, language), language))
        except Exception as error:  # noqa: BLE001
            # Four libraries and hundreds of rules run in there. What fails for this text fails at every attempt.
            raise UnspeakableText(
                f"The text cannot be prepared for {language!r} ({type(error).__name__}); write numbers and signs out."
            ) from None


def _read(vocabulary: Path) -> Any:
    advice = "Fetch it again, or set XTTS_MODEL_DIR to a folder with the released files."
    try:
        tokenizer = VoiceBpeTokenizer(vocab_file=str(vocabulary))
    except Exception as error:  # the tokenizers library raises nothing more exact
        raise EngineUnavailable(f"{vocabulary} is not the vocabulary of an XTTS-v2 model: {error}. {advice}") from error
    wanted = {"[START]", "[STOP]", "[UNK]", "[SPACE]", *(f"[{_TAGS.get(name, name)}]" for name in MAX_CHARACTERS)}
    missing = sorted(wanted - tokenizer.tokenizer.get_vocab().keys())
    if missing:
        raise EngineUnavailable(f"{vocabulary} lacks {', '.join(missing)}, so it is not XTTS-v2's. {advice}")
    return tokenizer


def _plain(text: str, language: str) -> str:
    """Return a text in small letters, with digits that the cleaners know."""
    if language == "tr":
        text = text.replace("İ", "i")  # whose small letter is two characters elsewhere
    text = _HALF_CHARACTER.sub("", text).strip().lower()
    return str(_OTHER_DIGIT.sub(lambda digit: str(unicodedata.decimal(digit[0])), text))


def _prepared(text: str, language: str) -> str:
    """Write out the numbers at which the tokenizer fails."""
    text = _LONG_NUMBER.sub(_digit_by_digit, text)
    if language == "hi":
        return with_numbers_spelled_out(text)
    if language == "cs":  # "5." is an ordinal, which num2words does not know; the cardinal is understood
        return str(_CZECH_ORDINAL.sub(_czech_cardinal, text))
    return text


def _digit_by_digit(number: "regex.Match[str]") -> str:
    return " ".join(character for character in number[0] if character.isdecimal())


def _czech_cardinal(number: "regex.Match[str]") -> str:
    words: str = num2words.num2words(int(number[1]), lang="cs")
    return words if number.end() < len(number.string) else f"{words}."
