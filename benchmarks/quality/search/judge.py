"""`python -m benchmarks.quality.search.judge ru --change t^ʃʲ=ʧ`: check a change of symbols before it is adopted.

Reads the held-out sentences as the engine does, with the changes, and at other speeds (`--speed .9`): in both stock
voices of the language, or, with `--voices 1`, each in one of them.
"""

import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Final

from benchmarks.quality import score
from benchmarks.quality.plan import sentences
from benchmarks.quality.recogniser import Recogniser
from benchmarks.quality.search.design import Choice
from benchmarks.quality.search.likelihood import Likelihood
from benchmarks.quality.search.reading import CANDIDATES, parser_of, read_aloud
from benchmarks.quality.sources import cache_folder

_THREADS: Final = 1
_HEAD: Final = (
    "| language | symbols | readings | nats a word | difference | standard error | CER | difference | "
    "standard error |\n|---|---|---|---|---|---|---|---|---|"
)


class Judge:
    """Scores readings of held-out sentences."""

    def __init__(self, language: str, texts: Sequence[str], python: Path) -> None:
        self._language = language
        self._texts = texts
        self._python = python
        self._likelihood = Likelihood(cache_folder(), _THREADS)
        self._recogniser = Recogniser(cache_folder(), _THREADS)

    def scores(self, choice: Choice, speed: float = 1.0) -> tuple[list[float], list[float]]:
        """Return the nats a word and the character error rate of each reading with the symbols of `choice`."""
        told = [(text, choice) for text in self._texts]
        read = read_aloud(self._language, told, len(told), self._python, speed)
        nats = self._likelihood.words(
            [(one.samples, [word for word, _ in one.words]) for one in read], self._language
        )
        errors = [
            score.character_errors(
                text, self._recogniser.transcribe(one.samples, self._language), self._language
            )
            for text, one in zip(self._texts, read, strict=True)
        ]
        return [fmean(words) for words in nats], errors


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table: the engine's symbols and the changed ones, in nats a word and as character error rate."""
    table = tomllib.loads(CANDIDATES.read_text(encoding="utf-8"))
    parser = parser_of("judge", __doc__, table)
    parser.add_argument(
        "--change",
        nargs="+",
        action="append",
        default=[],
        metavar="IPA=SYMBOLS",
        help="changes to judge together; repeat the option to judge other changes too",
    )
    parser.add_argument(
        "--speed",
        nargs="+",
        type=float,
        default=[],
        metavar="X",
        help="speeds to judge, 1 is usual",
    )
    parser.add_argument(
        "--containing", default="", metavar="LETTERS", help="only the sentences with these letters"
    )
    parser.add_argument("--voices", type=int, choices=(1, 2), default=2, help="of each sentence")
    chosen = parser.parse_args(arguments)
    print(_HEAD)
    for language in chosen.languages:
        texts = [
            text
            for text in sentences(held_out=True)[language]
            if chosen.containing in text.casefold()
        ]
        told = texts if chosen.voices == 1 else [text for text in texts for _ in range(2)]
        judge = Judge(language, told, chosen.engine_python)
        engine = judge.scores({})
        print(_row(language, "engine", engine), flush=True)
        tried: list[tuple[str, Choice, float]] = [
            *((" ".join(of), dict(one.split("=", 1) for one in of), 1.0) for of in chosen.change),
            *((f"speed {speed:g}", {}, speed) for speed in chosen.speed),
        ]
        for name, choice, speed in tried:
            found = judge.scores(choice, speed)
            against = _against(found[0], engine[0]), _against(found[1], engine[1])
            print(_row(language, name, found, against), flush=True)
    return 0


def _row(
    language: str,
    name: str,
    found: tuple[Sequence[float], Sequence[float]],
    against: tuple[str, str] = (" | ", " | "),
) -> str:
    nats, errors = found
    return (
        f"| {language} | {name} | {len(nats)} | {fmean(nats):.3f} | {against[0]} | "
        f"{fmean(errors):.3f} | {against[1]} |"
    )


def _against(found: Sequence[float], engine: Sequence[float]) -> str:
    """Write the mean difference of the readings and its standard error."""
    differences = [one - other for one, other in zip(found, engine, strict=True)]
    error = stdev(differences) / len(differences) ** 0.5 if len(differences) > 1 else 0.0
    return f"{fmean(differences):+.3f} | {error:.3f}"


if __name__ == "__main__":
    sys.exit(main())
