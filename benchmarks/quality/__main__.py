"""`python -m benchmarks.quality`: fetch human speech, have the engine clone it, measure, and print the tables."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.quality import build, report, strengths
from benchmarks.quality.plan import plan, sentences
from benchmarks.quality.sources import SourceMissing
from benchmarks.quality.speakers import targets
from benchmarks.quality.synthesis import REPOSITORY
from benchmarks.quality.trial import Trial


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; answers the exit status."""
    options = _options(arguments)
    started = time.monotonic()
    try:
        trial = Trial(options.engine_python, options.threads)
        version = build.clone_build()[:8]
        sayings = plan(options.languages, options.speakers, quick=options.quick)
        found = trial.run(
            sayings,
            with_stock=not options.no_stock,
            held_out=options.held_out,
            strength=dict(options.strength),
        )
    except SourceMissing as error:
        print(f"cannot fetch the human recordings: {error}", file=sys.stderr)
        return 1
    text = report.render(found)
    print(text)
    if options.markdown:
        options.markdown.write_text(_headed(text, options, version), encoding="utf-8")
    if options.details:
        options.details.write_text(report.details(found), encoding="utf-8")
    print(f"took {(time.monotonic() - started) / 60:.1f} minutes", file=sys.stderr)
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    everybody = [speaker.id for speaker in targets()]
    parser.add_argument(
        "--languages",
        nargs="+",
        choices=list(sentences()),
        default=list(sentences()),
        metavar="CODE",
    )
    parser.add_argument("--speakers", nargs="+", choices=everybody, default=everybody, metavar="ID")
    parser.add_argument(
        "--quick", action="store_true", help="two sentences a language and three voices at most"
    )
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables there too")
    parser.add_argument(
        "--details", type=Path, metavar="FILE", help="write every transcript there, tab-separated"
    )
    parser.add_argument(
        "--no-stock", action="store_true", help="leave out the stock voices, the floor"
    )
    parser.add_argument(
        "--held-out",
        action="store_true",
        help="speak held_out.toml, on which no setting was chosen, instead of sentences.toml",
    )
    parser.add_argument(
        "--strength",
        nargs="+",
        type=_strength,
        default=[],
        metavar="NAME=VALUE",
        help=f"of the filter and the timbre, instead of the engine's: {', '.join(strengths.NAMES)}",
    )
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="for the recogniser")
    default = REPOSITORY / ".venv" / "bin" / "python"
    parser.add_argument(
        "--engine-python",
        type=Path,
        default=default,
        metavar="PATH",
        help="the product's interpreter",
    )
    return parser.parse_args(arguments)


def _strength(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    if name not in strengths.NAMES:
        raise argparse.ArgumentTypeError(
            f"{name} is unknown; send one of {', '.join(strengths.NAMES)}"
        )
    return name, float(value)


def _headed(tables: str, options: argparse.Namespace, version: str) -> str:
    scope = f"{len(options.languages)} languages, {len(options.speakers)} targets"
    scope += ", quick" if options.quick else ""
    scope += ", held-out sentences" if options.held_out else ""
    scope += "".join(f", {name} {value:g}" for name, value in options.strength)
    made = (
        f"Made by `python -m benchmarks.quality` ({scope}) from build `{version}` of the engine's sources; "
        "the method is in README.md."
    )
    return f"## Quality of the embedded engine\n\n{made}\n\n{tables}"


if __name__ == "__main__":
    sys.exit(main())
