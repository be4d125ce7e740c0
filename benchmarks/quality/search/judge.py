"""`python -m benchmarks.quality.search.judge ru --change t^ʃʲ=ʧ`: check a change of symbols before it is adopted.

Reads the held-out sentences in the language's stock voices, as the engine does and with the changes.
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
from benchmarks.quality.search.reading import CANDIDATES, parser_of, read_aloud
from benchmarks.quality.sources import cache_folder

_THREADS: Final = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table: the engine's symbols and the changed ones, in nats a word and as character error rate."""
    table = tomllib.loads(CANDIDATES.read_text(encoding="utf-8"))
    parser = parser_of("judge", __doc__, table)
    parser.add_argument("--change", nargs="+", required=True, metavar="IPA=SYMBOLS")
    parser.add_argument(
        "--containing", default="", metavar="LETTERS", help="only the sentences with these letters"
    )
    chosen = parser.parse_args(arguments)
    changes: Choice = dict(change.split("=", 1) for change in chosen.change)
    likelihood = Likelihood(cache_folder(), _THREADS)
    recogniser = Recogniser(cache_folder(), _THREADS)
    print("| language | symbols | sentences | nats a word | CER |\n|---|---|---|---|---|")
    for language in chosen.languages:
        texts = [
            text
            for text in sentences(held_out=True)[language]
            if chosen.containing in text.casefold()
        ]
        for name, choice in (("engine", {}), (" ".join(chosen.change), changes)):
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
            row = f"| {language} | {name} | {len(texts)} | {mean_nats:.3f} | {fmean(cer):.3f} |"
            print(row, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
