"""Defects of a synthesized sentence, imitated with human recordings, and how many of them the guard finds.

The codes of a recording are not known, so the guard's search for loops of codes takes no part.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np

from benchmarks.guard_recordings import Collection, Recording
from benchmarks.guard_watch import expected_s, watched
from benchmarks.quality.references import RATE_HZ, Samples
from services.synth_worker.engines.xtts.decoder.guard import LengthLimits

EARLIER: Final = LengthLimits(longest=2.5, slack_s=1.5, shortest=0.25)
_EVERY: Final = 5  # recording of a collection is used
_LEAST_S: Final = 2.0  # of the expected length
_GAP_S: Final = 0.2
_SILENCE_S: Final = 3.0

Defect = Callable[
    [Samples, Samples], Samples
]  # of a sentence and other speech, the samples of a defective sentence


def _repeated(sentence: Samples, _other: Samples) -> Samples:
    return np.concatenate([sentence, _quiet(_GAP_S), sentence])


def _half_repeated(sentence: Samples, _other: Samples) -> Samples:
    return np.concatenate([sentence, _quiet(_GAP_S), sentence[len(sentence) // 2 :]])


def _babbled(share: float) -> Defect:
    def babbled(sentence: Samples, other: Samples) -> Samples:
        wanted = round(share * len(sentence))
        return np.concatenate([sentence, np.resize(other, wanted)])

    return babbled


def _silent_middle(sentence: Samples, _other: Samples) -> Samples:
    half = len(sentence) // 2
    return np.concatenate([sentence[:half], _quiet(_SILENCE_S), sentence[half:]])


def _silent_end(sentence: Samples, _other: Samples) -> Samples:
    return np.concatenate([sentence, _quiet(_SILENCE_S)])


def _cut(share: float) -> Defect:
    return lambda sentence, _other: sentence[: round(share * len(sentence))]


DEFECTS: Final[dict[str, Defect]] = {
    "none": lambda sentence, _other: sentence,
    "spoken twice": _repeated,
    "second half spoken twice": _half_repeated,
    "babble of half its length at the end": _babbled(0.5),
    "babble of its length": _babbled(1.0),
    "babble of twice its length": _babbled(2.0),
    "3 s of silence in the middle": _silent_middle,
    "3 s of silence at the end": _silent_end,
    "ends after a third": _cut(1 / 3),
    "ends after a quarter": _cut(1 / 4),
}


def table(sources: Sequence[Collection]) -> str:
    """Return a Markdown table: the share of each defect that the guard finds, with the earlier limits and its own."""
    sentences = [one for source in sources if any(source.texts.values()) for one in _chosen(source)]
    rows = []
    for name, defect in DEFECTS.items():
        before = sum(_is_found(one, other, defect, EARLIER) for one, other in sentences)
        now = sum(_is_found(one, other, defect, None) for one, other in sentences)
        rows.append(f"| {name} | {before / len(sentences):.1%} | {now / len(sentences):.1%} |")
    head = f"| defect of {len(sentences)} sentences | found by the earlier limits | found |"
    return "\n".join([head, "|---|---|---|", *rows])


def _chosen(source: Collection) -> Iterator[tuple[Recording, Samples]]:
    """Yield sentences of 2 s or more, each with other speech of the same collection."""
    recordings = [one for one in source.recordings() if expected_s(one) >= _LEAST_S]
    dice = random.Random(5)
    for index in range(0, len(recordings), _EVERY):
        yield recordings[index], dice.choice(recordings).samples


def _is_found(
    sentence: Recording, other: Samples, defect: Defect, limits: LengthLimits | None
) -> bool:
    samples = defect(sentence.samples, other).astype(np.float32)
    return watched(Recording(sentence.language, samples, sentence.text), 1.0, limits) is not None


def _quiet(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE_HZ), np.float32)
