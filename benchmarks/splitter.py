"""Accuracy and speed of sentence segmentation: ours, and each library that is installed.

    python -m benchmarks.splitter

Prints Markdown: the F1 of sentence ends on the gold texts of tests/unit/splitter/normalization/gold.py, and on those of
gold_fresh.py, on which no rule was tried; and processor seconds per million characters.
"Ours, verbalized" is measured on the verbalized text.

Ours is `split` without its joining of short sentences; the gold texts guided its rules, so its F1
shows what the rules cover and is no estimate for other texts. Installed besides sentencex if wanted, for comparison:
`pip install pysbd==0.3.4 nupunkt==0.8.0 choppa-srx==1.0.0 cleave-sbd==0.3.0b1 blingfire==0.1.8 numpy`.
"""

import importlib
import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from services.common.wire.languages import LANGUAGES
from services.splitter.normalization.reader import read
from services.splitter.segmentation.boundaries import boundaries
from services.splitter.segmentation.sentences import split
from tests.unit.splitter.normalization.gold import GOLD
from tests.unit.splitter.normalization.gold_fresh import FRESH

Splitter = Callable[[str, str], list[str]]  # (text, language) -> sentences, in order
SPEED_CHARACTERS = 1_000_000
HURTFUL = ("« ", "A.", '." ', "(a. ", " \n", "?!", "1. ", "。と", "\u0301", "x")
HURTFUL_CHARACTERS = 40_000
PATIENCE_S = 20.0


def ours(text: str, language: str) -> list[str]:
    return [text[start:end] for start, end in boundaries(text, (0, len(text)), language)]


def ours_verbalized(text: str, language: str) -> list[str]:
    """Return the sentences of a text that was verbalized first, as spans of the text itself."""
    said = read(text, language)
    spans = [said.source(*span) for span in boundaries(said.text, (0, len(said.text)), language)]
    starts = [0, *(start for start, _ in spans[1:]), len(text)]
    return [text[start:end] for start, end in itertools.pairwise(starts)]


def sentencex(module: Any) -> Splitter:
    return lambda text, language: list(module.segment(language, text))


def pysbd(module: Any) -> Splitter:
    """Return pysbd, with English rules for the languages that it lacks."""
    known = set(module.languages.LANGUAGE_CODES)
    return lambda text, language: list(
        module.Segmenter(language=language if language in known else "en", clean=False).segment(
            text
        )
    )


def csbd(module: Any) -> Splitter:
    known = {"en", "fr", "es", "de", "it", "pl", "ru", "nl", "ar", "zh", "ja", "hi"}
    return lambda text, language: list(
        module.Segmenter(language=language if language in known else "en", clean=False).segment(
            text
        )
    )


def nupunkt(module: Any) -> Splitter:
    return lambda text, language: list(module.sent_tokenize(text))  # noqa: ARG005  # English alone


def blingfire(module: Any) -> Splitter:
    return lambda text, language: module.text_to_sentences(text).split("\n")  # noqa: ARG005  # one model for all


def choppa(module: Any) -> Splitter:
    rules = Path(str(module.__file__)).parent / "data" / "srx" / "languagetool_segment.srx"
    document = module.SrxDocument(ruleset=str(rules))
    return lambda text, language: list(module.SrxTextIterator(document, f"{language}_two", text))


def candidates() -> Iterator[tuple[str, Splitter]]:
    """Yield what is installed."""
    yield "ours", ours
    yield "ours, verbalized", ours_verbalized
    for adapt in (sentencex, pysbd, csbd, nupunkt, choppa, blingfire):
        try:
            module = importlib.import_module(adapt.__name__)
        except ImportError:
            continue
        yield adapt.__name__, adapt(module)


def ends(sentences: list[str]) -> set[int]:
    """Return where sentences end, counted in characters that are no white space; the last end is no finding."""
    lengths = [len("".join(sentence.split())) for sentence in sentences]
    total = list(itertools.accumulate(lengths))
    return set(total) - {0, *total[-1:]}


def f1(splitter: Splitter, language: str, gold: dict[str, tuple[str, ...]] = GOLD) -> float:
    """Return the harmonic mean of precision and recall of the ends within a language's texts."""
    right = wrong = missed = 0
    for marked in gold[language]:
        wanted, found = ends(marked.split("|")), ends(splitter(marked.replace("|", ""), language))
        right, wrong, missed = (
            right + len(wanted & found),
            wrong + len(found - wanted),
            missed + len(wanted - found),
        )
    return 2 * right / (2 * right + wrong + missed)


def processor_seconds(action: Callable[[], object]) -> float:
    before = time.process_time()
    action()
    return time.process_time() - before


def prose(language: str) -> str:
    paragraph = " ".join(marked.replace("|", "") for marked in GOLD[language]) + "\n\n"
    return paragraph * (SPEED_CHARACTERS // len(paragraph))


def per_million(splitter: Splitter, text: str, language: str) -> str:
    """Return processor seconds per million characters, measured on as much as patience allows."""
    length = len(text)
    for part in (length // 100, length // 10, length):
        seconds = processor_seconds(lambda: splitter(text[:part], language))  # noqa: B023  # called at once
        if seconds * 10 > PATIENCE_S and part < length:
            break
    return f"{seconds * 1_000_000 / part:.1f}"


def main() -> None:
    """Print both tables."""
    found = dict(candidates())
    for title, gold in (("", GOLD), (", texts on which no rule was tried", FRESH)):
        print(
            f"\nF1 of sentence ends{title}\n\n| splitter | " + " | ".join(LANGUAGES) + " | mean |"
        )
        print("|---" * (len(LANGUAGES) + 2) + "|")
        for name, splitter in found.items():
            scores = [f1(splitter, language, gold) for language in LANGUAGES]
            cells = [f"{score:.2f}" for score in (*scores, sum(scores) / len(scores))]
            print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    print("\nProcessor seconds per million characters\n")
    print("| splitter | prose en | de | zh | hi | worst text built to hurt |")
    print("|---" * 6 + "|")
    found["ours, whole split"] = lambda text, language: [
        sentence.spoken for sentence in split(text, language, max_characters=250).sentences
    ]
    for name, splitter in found.items():
        usual = [
            per_million(splitter, prose(language), language)
            for language in ("en", "de", "zh", "hi")
        ]
        hurt = [
            (
                float(
                    per_million(
                        splitter, "Start " + pattern * (HURTFUL_CHARACTERS // len(pattern)), "en"
                    )
                ),
                pattern,
            )
            for pattern in HURTFUL
        ]
        seconds, pattern = max(hurt)
        print(f"| {name} | " + " | ".join(usual) + f" | {seconds:.1f} ({pattern!r}) |", flush=True)


if __name__ == "__main__":
    main()
