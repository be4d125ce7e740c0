"""Accuracy of verbalization, by language: the table of docs/spoken.md.

Run: `python -m benchmarks.spoken`
"""

import time

from services.common.wire.languages import LANGUAGES
from services.splitter.normalization.normalize import normalize
from services.splitter.segmentation.sentences import split
from tests.unit.splitter.normalization.gold import GOLD
from tests.unit.splitter.normalization.said import CLASSES, Case, cases

CHARACTERS = 1_000_000


def seconds(language: str) -> float:
    """Return the processor seconds of a split of a million characters, full of short forms and figures."""
    paragraph = " ".join(marked.replace("|", "") for marked in GOLD[language]) + "\n\n"
    text = paragraph * (CHARACTERS // len(paragraph))
    before = time.process_time()
    split(text, language, max_characters=250)
    return time.process_time() - before


def main() -> None:
    """Print the table, then the misses."""
    misses: list[tuple[Case, str]] = []
    print("| language | " + " | ".join(CLASSES) + " | exact | s per million characters |")
    print("|---" * (len(CLASSES) + 3) + "|")
    for language in LANGUAGES:
        scores = {kind: [0, 0] for kind in CLASSES}
        for case in cases(language):
            spoken = normalize(case.written, language)
            right = spoken.casefold() == case.said.casefold()
            scores[case.kind][0] += right
            scores[case.kind][1] += 1
            if not right:
                misses.append((case, spoken))
        share = sum(right for right, _ in scores.values()) / sum(
            every for _, every in scores.values()
        )
        cells = [f"{right}/{every}" for right, every in scores.values()]
        print(
            f"| {language} | " + " | ".join(cells) + f" | {share:.1%} | {seconds(language):.1f} |",
            flush=True,
        )
    print("\nMisses\n")
    for case, spoken in misses:
        print(f"- {case.language}: `{case.written}` should be `{case.said}`, is `{spoken}`")


if __name__ == "__main__":
    main()
