"""The face of the g2p: one object that is loaded once and reads any text in any of the languages."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from services.synth_worker.engines.embedded.g2p.espeak.client import Espeak
from services.synth_worker.engines.embedded.g2p.espeak.ipa import kokoro_symbols
from services.synth_worker.engines.embedded.g2p.espeak.reader import read_words
from services.synth_worker.engines.embedded.g2p.installed import require_whole
from services.synth_worker.engines.embedded.g2p.languages.arabic import ArabicVowels
from services.synth_worker.engines.embedded.g2p.languages.arabic_phones import arabic_symbols
from services.synth_worker.engines.embedded.g2p.languages.chinese import Chinese
from services.synth_worker.engines.embedded.g2p.languages.japanese import Japanese
from services.synth_worker.engines.embedded.g2p.languages.korean import Korean
from services.synth_worker.engines.embedded.g2p.punctuation import Clause, clauses
from services.synth_worker.engines.embedded.g2p.reading import (
    PhonemeReading,
    Piece,
    placed,
    word_pieces,
)
from services.synth_worker.engines.embedded.g2p.scripts import runs
from services.synth_worker.engines.embedded.g2p.vocabulary import known, owners_of


class _Run(NamedTuple):
    """A stretch of a clause that one reader reads."""

    reader: str  # ISO 639-1
    words: str
    offsets: tuple[int, ...]  # of each character in the text


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
            read = [phonemes for phonemes, _ in self._runs(clause, language)]
            spoken += " ".join(read) + clause.mark
        return known(spoken)

    def reading(self, text: str, language: str) -> PhonemeReading:
        """Return the phonemes of `text` with the characters that each reads. Raises what `phonemes` raises."""
        spoken = ""
        pieces: list[Piece] = []
        for clause in clauses(text):
            read = []
            for phonemes, run in self._runs(clause, language):
                read.append(phonemes)
                pieces += placed(self._pieces(phonemes, run), run.offsets)
            spoken += " ".join(read) + clause.mark
            pieces.append(Piece(clause.mark, None))
        phonemes = known(spoken)
        return PhonemeReading(phonemes, owners_of(phonemes, pieces))

    def _runs(self, clause: Clause, language: str) -> Iterator[tuple[str, "_Run"]]:
        """Yield the phonemes of each stretch of a clause that one reader reads."""
        start = 0
        for reader, words in runs(clause.words, language):
            offsets = clause.offsets[start : start + len(words)]
            start += len(words)
            yield _spaced(words, self._read(words, reader)), _Run(reader, words, offsets)

    def _pieces(self, phonemes: str, run: "_Run") -> list[Piece]:
        """Divide the phonemes of a run among its words."""
        by_reader = {"zh": self._chinese.pieces, "ja": self._japanese.pieces}.get(run.reader)
        pieces = [] if by_reader is None else by_reader(run.words)
        if pieces:
            return pieces

        def read_each(words: Sequence[str]) -> list[str]:
            return [self._read(word, run.reader) for word in words]

        return word_pieces(run.words, phonemes, read_each)

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
        parts = read_words(self._espeak, words, language)
        return " ".join(kokoro_symbols(part, language) for part in parts)


def _spaced(words: str, phonemes: str) -> str:
    """Give the phonemes of `words` the spaces that stood around them."""
    before, after = " " * words[:1].isspace(), " " * words[-1:].isspace()
    return f"{before}{phonemes.strip()}{after}"
