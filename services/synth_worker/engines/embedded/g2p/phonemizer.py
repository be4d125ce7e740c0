"""The face of the g2p: one object that is loaded once and reads any text in any of the languages."""

from typing import Final

from services.synth_worker.engines.embedded.g2p.espeak.client import Espeak
from services.synth_worker.engines.embedded.g2p.espeak.ipa import kokoro_symbols
from services.synth_worker.engines.embedded.g2p.installed import require_whole
from services.synth_worker.engines.embedded.g2p.languages.arabic import ArabicVowels
from services.synth_worker.engines.embedded.g2p.languages.arabic_phones import arabic_symbols
from services.synth_worker.engines.embedded.g2p.languages.chinese import Chinese
from services.synth_worker.engines.embedded.g2p.languages.japanese import Japanese
from services.synth_worker.engines.embedded.g2p.languages.korean import Korean
from services.synth_worker.engines.embedded.g2p.punctuation import clauses
from services.synth_worker.engines.embedded.g2p.scripts import runs
from services.synth_worker.engines.embedded.g2p.vocabulary import known

_ESPEAK_VOICES: Final = {"en": "en-us", "pt": "pt-br"}


class Phonemizer:
    """Reads text aloud on paper. Lives on one thread; `load` comes first, `close` last."""

    def __init__(self) -> None:
        self._espeak = Espeak()
        self._chinese = Chinese()
        self._japanese = Japanese()
        self._arabic = ArabicVowels()
        self._readers = {
            "zh": self._chinese.phonemes,
            "ja": self._japanese.phonemes,
            "ko": Korean().phonemes,
        }

    def load(self) -> None:
        """Start espeak-ng and read the dictionaries: 1.5 s, 220 MB, of which 100 MB are shared by all workers.

        Raises EngineUnavailable where something is missing or damaged, saying what to install.
        """
        require_whole()
        self._espeak.start()
        self._chinese.load()
        self._japanese.load()
        self._arabic.load()

    def phonemes(self, text: str, language: str) -> str:
        """Return the phonemes of `text` in Kokoro's symbols, with its punctuation; empty where nothing is speakable.

        Any text is allowed. Raises SynthesisFailed where espeak-ng hangs, UnspeakableText where it dies of the text.
        """
        spoken = ""
        for clause in clauses(text):
            read = [
                _spaced(words, self._read(words, reader))
                for reader, words in runs(clause.words, language)
            ]
            spoken += " ".join(read) + clause.mark
        return known(spoken)

    def close(self) -> None:
        """End the child process."""
        self._espeak.close()

    def _read(self, words: str, language: str) -> str:
        if not words.strip():
            return ""
        reader = self._readers.get(language)
        if reader is not None:
            return reader(words)
        if language == "ar" and not any(character.isdigit() for character in words):
            return arabic_symbols(self._arabic.vowelled(words))
        [clauses] = self._espeak.clauses(_ESPEAK_VOICES.get(language, language), [words])
        return " ".join(kokoro_symbols(clause, language) for clause in clauses)


def _spaced(words: str, phonemes: str) -> str:
    """Give the phonemes of `words` the spaces that stood around them."""
    before, after = " " * words[:1].isspace(), " " * words[-1:].isspace()
    return f"{before}{phonemes.strip()}{after}"
