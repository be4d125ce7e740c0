"""The division of sentences into windows of the recognizer. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
Spoken = tuple[Samples, Sequence[str]]  # 16 kHz, and the words

HZ: Final = 16_000
_WINDOW: Final = int(29.5 * HZ)
GAP: Final[Samples] = np.zeros(int(0.35 * HZ), np.float32)  # after each sentence


def windows(spoken: Iterable[Spoken]) -> Iterator[list[Spoken]]:
    """Yield as many sentences at a time as fit, in their order, and none of them twice.

    The recognizer would know the second one from the first.
    """
    window: list[Spoken] = []
    length = 0
    for samples, words in spoken:
        needed = len(samples) + len(GAP)
        repeated = any(list(words) == list(others) for _, others in window)
        if window and (repeated or length + needed > _WINDOW):
            yield window
            window = []
            length = 0
        window.append((samples, words))
        length += needed
    if window:
        yield window
