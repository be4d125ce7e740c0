"""`python -m benchmarks.quality.search ru nl`: search the symbols of a language's phones, and print what it proposes.

Trained on the sentences of ../sentences.toml and of sentences.toml, in stock voices; held_out.toml is for judging and
is not read here.
"""

import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.quality.search.design import (
    Candidates,
    Effect,
    WordScore,
    best,
    choices,
    effects,
)
from benchmarks.quality.search.likelihood import Likelihood
from benchmarks.quality.search.reading import (
    CANDIDATES,
    STOCK,
    Line,
    parser_of,
    read_aloud,
    training_sentences,
)
from benchmarks.quality.sources import cache_folder

_READINGS: Final = 3  # of each sentence
_SEED: Final = 21
_THREADS: Final = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Search the requested languages and print a table for each."""
    table = tomllib.loads(CANDIDATES.read_text(encoding="utf-8"))
    parser = parser_of("search", __doc__, table)
    parser.add_argument(
        "--sentences", type=int, metavar="N", help="only the first so many sentences of a language"
    )
    chosen = parser.parse_args(arguments)
    likelihood = Likelihood(cache_folder(), _THREADS)
    for language in chosen.languages:
        candidates = table[language]
        texts = training_sentences(language)[: chosen.sentences]
        found = effects(
            candidates, _scores(language, texts, candidates, chosen.engine_python, likelihood)
        )
        print(_rendered(language, found, best(found)), flush=True)
    return 0


def _scores(
    language: str,
    texts: Sequence[str],
    candidates: Candidates,
    python: Path,
    likelihood: Likelihood,
) -> list[WordScore]:
    """Read every sentence several times, and return the score of each word."""
    drawn = choices(candidates, len(texts), _READINGS, _SEED)
    told = [
        Line(text, STOCK[index % len(STOCK)], choice)
        for reading in drawn
        for index, (text, choice) in enumerate(zip(texts, reading, strict=True))
    ]
    read = read_aloud(language, told, python)
    scores = likelihood.words(
        [(one.samples, [word for word, _ in one.words]) for one in read], language
    )
    return [
        WordScore((line % len(texts), index), ipa, told[line].choice, score)
        for line, one in enumerate(read)
        for index, ((_, ipa), score) in enumerate(zip(one.words, scores[line], strict=True))
    ]


def _rendered(language: str, found: Sequence[Effect], proposed: Mapping[str, Effect]) -> str:
    lines = [
        f"### {language}",
        "",
        "| phone | symbols | nats a word | standard error | words | proposed |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {one.ipa} | {one.symbols or '(none)'} | {one.nats:+.2f} | {one.error:.2f} | {one.words} | "
        f"{'yes' if proposed.get(one.ipa) == one else ''} |"
        for one in found
    ]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    sys.exit(main())
