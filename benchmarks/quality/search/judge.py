"""`python -m benchmarks.quality.search.judge ru --change t^ʃʲ=ʧ`: check a change before it is adopted.

Reads the held-out sentences as the engine does, with changed symbols, at other speeds (`--speed .9`), or in other
voices (`--voice af_bella`): in both stock voices of the language, in one of them (`--register high`), or, with
`--voices 1`, each in one of them.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Final

from benchmarks.quality.plan import sentences
from benchmarks.quality.search.design import Choice
from benchmarks.quality.search.halving import difference
from benchmarks.quality.search.listener import Heard, Listener
from benchmarks.quality.search.reading import STOCK, Line, parser_of

_HEAD: Final = (
    "| language | symbols | readings | nats a word | difference | standard error | CER | difference | "
    "standard error |\n|---|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True)
class _Trial:
    """A change to judge against the engine as it is."""

    name: str
    choice: Choice = field(default_factory=dict)
    speed: float = 1.0
    voice: str = ""  # instead of those of today


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table: the engine as it is and with each change, in nats a word and as character error rate."""
    parser = parser_of("judge", __doc__, sentences())
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
    parser.add_argument(
        "--voice", nargs="+", default=[], metavar="NAME", help="voices to judge, of Kokoro's 54"
    )
    parser.add_argument("--voices", type=int, choices=(1, 2), default=2, help="of each sentence")
    parser.add_argument("--register", choices=STOCK, help="read in this stock voice alone")
    chosen = parser.parse_args(arguments)
    trials = [
        *(
            _Trial(" ".join(of), choice=dict(one.split("=", 1) for one in of))
            for of in chosen.change
        ),
        *(_Trial(f"speed {speed:g}", speed=speed) for speed in chosen.speed),
        *(_Trial(f"voice {voice}", voice=voice) for voice in chosen.voice),
    ]
    print(_HEAD)
    for language in chosen.languages:
        texts = [
            text
            for text in sentences(held_out=True)[language]
            if chosen.containing in text.casefold()
        ]
        lines = _lines(texts, chosen.register, chosen.voices)
        listener = Listener(language, chosen.engine_python)
        engine = listener.scores(lines)
        print(_row(language, "engine", engine), flush=True)
        for trial in trials:
            changed = [Line(one.text, trial.voice or one.voice, trial.choice) for one in lines]
            heard = listener.scores(changed, trial.speed)
            print(_row(language, trial.name, heard, engine), flush=True)
    return 0


def _lines(texts: Sequence[str], register: str | None, voices: int) -> list[Line]:
    if register is not None:
        return [Line(text, register) for text in texts]
    told = texts if voices == 1 else [text for text in texts for _ in range(2)]
    return [Line(text, STOCK[index % len(STOCK)]) for index, text in enumerate(told)]


def _row(language: str, name: str, heard: Heard, engine: Heard | None = None) -> str:
    nats = errors = " | "
    if engine is not None:
        nats = str(difference(heard.nats, engine.nats))
        errors = str(difference(heard.errors, engine.errors))
    return (
        f"| {language} | {name} | {len(heard.nats)} | {fmean(heard.nats):.3f} | {nats} | "
        f"{fmean(heard.errors):.3f} | {errors} |"
    )


if __name__ == "__main__":
    sys.exit(main())
