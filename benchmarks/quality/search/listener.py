"""Whisper-base as a listener to sentences that the engine reads aloud."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Final

from benchmarks.quality import score
from benchmarks.quality.recogniser import Recogniser
from benchmarks.quality.search.likelihood import Likelihood
from benchmarks.quality.search.reading import Line, Read, read_aloud
from benchmarks.quality.sources import cache_folder

_THREADS: Final = 1


@dataclass(frozen=True)
class Heard:
    """The scores of some readings."""

    nats: list[float]  # log probability of a word, mean over the words
    errors: list[float]  # character error rate


class Listener:
    """Has sentences of a language read aloud, and scores them."""

    def __init__(self, language: str, python: Path) -> None:
        self._language = language
        self._python = python
        self._likelihood = Likelihood(cache_folder(), _THREADS)
        self._recogniser = Recogniser(cache_folder(), _THREADS)

    def nats(self, lines: Sequence[Line], speed: float = 1.0) -> list[float]:
        """Return the mean log probability of a word of each line, in nats."""
        return self._nats(read_aloud(self._language, lines, self._python, speed))

    def scores(self, lines: Sequence[Line], speed: float = 1.0) -> Heard:
        """Return the nats a word and the character error rate of each line."""
        read = read_aloud(self._language, lines, self._python, speed)
        errors = [
            score.character_errors(
                line.text, self._recogniser.transcribe(one.samples, self._language), self._language
            )
            for line, one in zip(lines, read, strict=True)
        ]
        return Heard(self._nats(read), errors)

    def _nats(self, read: Sequence[Read]) -> list[float]:
        found = self._likelihood.words(
            [(one.samples, [word for word, _ in one.words]) for one in read], self._language
        )
        return [fmean(words) for words in found]
