"""`python -m benchmarks.quality.search.judge ru`: compare the symbols that a search started from with the engine's.

Reads the held-out sentences in the language's stock voices, once with the first candidate of each phone and once as
the engine reads them now.
"""

import sys
import tomllib
from collections.abc import Sequence
from statistics import fmean
from typing import Final

from benchmarks.quality import score
from benchmarks.quality.plan import sentences
from benchmarks.quality.recogniser import Recogniser
from benchmarks.quality.search.design import Choice
from benchmarks.quality.search.likelihood import Likelihood
from benchmarks.quality.search.reading import CANDIDATES, options, read_aloud
from benchmarks.quality.sources import cache_folder

_THREADS: Final = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table: each language before and after, in nats a word and as character error rate."""
    table = tomllib.loads(CANDIDATES.read_text(encoding="utf-8"))
    chosen = options("judge", __doc__, table, arguments)
    likelihood = Likelihood(cache_folder(), _THREADS)
    recogniser = Recogniser(cache_folder(), _THREADS)
    print("| language | symbols | nats a word | CER |\n|---|---|---|---|")
    for language in chosen.languages:
        texts = sentences(held_out=True)[language]
        start = {ipa: of[0] for ipa, of in table[language].items()}
        readings: dict[str, Choice] = {"start": start, "engine": {}}
        for name, choice in readings.items():
            read = read_aloud(
                language, [(text, choice) for text in texts], len(texts), chosen.engine_python
            )
            nats = likelihood.words(
                [(one.samples, [word for word, _ in one.words]) for one in read], language
            )
            cer = [
                score.character_errors(text, recogniser.transcribe(one.samples, language), language)
                for text, one in zip(texts, read, strict=True)
            ]
            mean_nats = fmean(word for sentence in nats for word in sentence)
            print(f"| {language} | {name} | {mean_nats:.3f} | {fmean(cer):.3f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
