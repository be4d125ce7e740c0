"""`python -m benchmarks.quality.search.voices nl hu`: search which of Kokoro's voices speaks some languages best.

Every voice reads a few of the training sentences of each language, the shortest first; the better ones read more, by
successive halving. A round ranks the voices by all languages together, because a voice that is understood in one is
likely to be understood in others and a single language would need many more sentences. The tables are of each
language; the judge adds the character errors. With `--variants` its best voice of each register also lends its prosody
alone, to the timbre of the voice of today, and speaks more slowly.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Final

from benchmarks.quality.plan import sentences
from benchmarks.quality.search.halving import Round, Scores, best, difference, halved
from benchmarks.quality.search.listener import Listener
from benchmarks.quality.search.names import REGISTERS, VOICES
from benchmarks.quality.search.reading import STOCK, Line, parser_of, training_sentences

_ROUNDS: Final = (Round(1, 6), Round(4, 2))  # sentences a language, voices a register
_SLOWER: Final = (0.9, 0.8)
_HEAD: Final = (
    "| voice | today's | sentences | nats a word | difference | standard error |\n"
    "|---|---|---|---|---|---|"
)


class Reader:
    """Has the training sentences of one language read aloud and scored."""

    def __init__(self, language: str, python: Path) -> None:
        self.language = language
        self._listener = Listener(language, python)
        self._texts = sorted(training_sentences(language), key=len)[: _ROUNDS[-1].sentences]
        self.found: dict[str, list[float]] = {}  # voice -> nats a word of each sentence so far

    def nats(self, voices: Sequence[str], chosen: range, speed: float = 1.0) -> Scores:
        """Return the nats a word of the chosen sentences in each voice."""
        texts = [self._texts[index] for index in chosen]
        lines = [Line(text, voice) for voice in voices for text in texts]
        nats = iter(self._listener.nats(lines, speed))
        return {voice: [next(nats) for _ in texts] for voice in voices}

    def all_nats(self, voice: str, speed: float = 1.0) -> Sequence[float]:
        """Return the nats a word of every sentence in a voice."""
        return self.nats([voice], range(len(self._texts)), speed)[voice]


def main(arguments: Sequence[str] | None = None) -> int:
    """Search the requested languages together and print a table for each."""
    parser = parser_of("search.voices", __doc__, sentences())
    parser.add_argument("--voices", nargs="+", choices=VOICES, default=VOICES, metavar="NAME")
    parser.add_argument("--variants", action="store_true", help="also try halves and slower speech")
    chosen = parser.parse_args(arguments)
    readers = [Reader(language, chosen.engine_python) for language in chosen.languages]
    kinds = {
        today: [name for name in chosen.voices if name[1] == letter]
        for today, letter in REGISTERS.items()
    }
    found = halved(
        list(kinds.values()), STOCK, _ROUNDS, lambda names, some: _nats(readers, names, some)
    )
    for reader in readers:
        print(f"### {reader.language}\n\n{_HEAD}", flush=True)
        for today, names in kinds.items():
            _print_register(
                reader, today, [name for name in names if name in found], variants=chosen.variants
            )
        print(flush=True)
    return 0


def _nats(readers: Sequence[Reader], voices: Sequence[str], chosen: range) -> Scores:
    """Return the nats a word of each voice in the chosen sentences of all languages."""
    together: dict[str, list[float]] = {voice: [] for voice in voices}
    for reader in readers:
        for voice, nats in reader.nats(voices, chosen).items():
            reader.found.setdefault(voice, []).extend(nats)
            together[voice] += nats
    for voice in best(together, len(together)):
        print(f"{voice}: {fmean(together[voice]):.3f} nats a word", file=sys.stderr, flush=True)
    return together


def _print_register(reader: Reader, today: str, names: Sequence[str], *, variants: bool) -> None:
    base = reader.found[today]
    print(_row(today, "", base), flush=True)
    order = best({name: reader.found[name] for name in names}, len(names))
    for name in order:
        print(_row(name, today, reader.found[name], base), flush=True)
    if not variants or not order:
        return
    halves = f"{order[0]}/{today}"
    print(_row(halves, today, reader.all_nats(halves), base), flush=True)
    for speed in _SLOWER:
        slower = reader.all_nats(order[0], speed)
        print(_row(f"{order[0]}, speed {speed:g}", today, slower, base), flush=True)


def _row(voice: str, today: str, nats: Sequence[float], base: Sequence[float] | None = None) -> str:
    against = " | " if base is None else str(difference(nats, base))
    return f"| {voice} | {today} | {len(nats)} | {fmean(nats):.3f} | {against} |"


if __name__ == "__main__":
    sys.exit(main())
