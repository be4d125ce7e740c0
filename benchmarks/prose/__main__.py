"""`python -m benchmarks.prose`: fetch prose, normalize it, count what was rewritten, and say how much of it is right.

Commands: `report` (the default) counts; `sample FILE` writes rewrites to be judged by reading; `judge FILE` takes the
verdicts that were written into that file; `precision` prints the precision of the current code by those verdicts.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

from benchmarks.prose import judged, report
from benchmarks.prose.corpus import prepare
from benchmarks.prose.packages import SourceMissing, fetch
from benchmarks.prose.rewrites import Found, found, sampled
from benchmarks.prose.sources import LOCALES, sources

_Result = TypeVar("_Result")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; answers the exit status."""
    options = _options(arguments)
    if options.command == "judge":
        print(f"{judged.merge(options.file)} verdicts taken")
        return 0
    try:
        fetch([source for language in options.languages for source in sources(language)])
    except SourceMissing as error:
        print(f"cannot fetch the prose: {error}", file=sys.stderr)
        return 1
    for language in _each(prepare, options.languages):
        print(f"{language}: extracted", file=sys.stderr, flush=True)
    _COMMANDS[options.command](options)
    return 0


def _report(options: argparse.Namespace) -> None:
    results = _each(partial(sampled, of_each=0, seed=0), options.languages)
    print(f"{report.prose(results)}\n\n{report.rules(results)}")


def _sample(options: argparse.Namespace) -> None:
    """Write the sample without what is judged already and still holds."""
    results = _each(partial(sampled, of_each=options.of_each, seed=options.seed), options.languages)
    new = [
        rewrite
        for result in results
        for rewrite in judged.unjudged(judged.load(result.language), result.rewrites)
    ]
    print(f"{judged.to_judge(options.file, new)} rewrites to judge in {options.file}")


def _precision(options: argparse.Namespace) -> None:
    results: list[Found] = _each(found, options.languages)
    standings = [judged.standing(judged.load(result.language), result) for result in results]
    print(f"{report.precision(standings, results)}\n\n{report.again(standings)}")


_COMMANDS: dict[str, Callable[[argparse.Namespace], None]] = {
    "report": _report,
    "sample": _sample,
    "precision": _precision,
}


def _each(work: Callable[[str], _Result], languages: Sequence[str]) -> list[_Result]:
    """Return what the work makes of each language, in two processes."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        return list(pool.map(work, languages))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prose", description=__doc__)
    parser.add_argument("command", nargs="?", choices=[*_COMMANDS, "judge"], default="report")
    parser.add_argument("file", nargs="?", type=Path, help="of sample and judge")
    parser.add_argument(
        "--languages", nargs="+", choices=list(LOCALES), default=list(LOCALES), metavar="CODE"
    )
    parser.add_argument(
        "--of-each", type=int, default=20, metavar="N", help="rewrites of each rule and language"
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="another sample")
    options = parser.parse_args(arguments)
    if options.command in {"sample", "judge"} and options.file is None:
        parser.error(f"{options.command} needs a file")
    return options


if __name__ == "__main__":
    sys.exit(main())
