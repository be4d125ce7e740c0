"""Demand: requests at random times, most of them short."""

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

# How often a request has so many sentences: a greeting, an answer, a page, a chapter. A choice, not a measurement.
KINDS: Final = ((0.60, 1), (0.25, 4), (0.13, 20), (0.02, 200))
_SENTENCE_S: Final = 5.0  # mean audio of a sentence
_SENTENCE_SPREAD: Final = 0.5  # sigma of its logarithm
_SENTENCE_LIMITS_S: Final = (0.8, 20.0)

# of audio
MEAN_REQUEST_S: Final = _SENTENCE_S * sum(share * sentences for share, sentences in KINDS)


@dataclass(eq=False)
class Request:
    """One request on its way."""

    came_s: float
    sentences: list[float]  # seconds of audio of each
    taken: int = 0  # sentences that a worker took
    first_s: float = math.nan  # first audio, after the request arrived
    stalled_s: float = 0.0
    runs_out_s: float = math.nan  # when the listener has played all that has arrived
    # first audio, end of sentences out of turn
    waiting: dict[int, tuple[float, float]] = field(default_factory=dict)
    heard: int = 0  # sentences


def requests(
    seed: int, rate: Callable[[float], float], most: float, until_s: float
) -> Iterator[Request]:
    """Yield requests that come at random, `rate(t)` a second, never over `most` (thinning: Lewis and Shedler 1979)."""
    dice = random.Random(seed)
    now_s = 0.0
    while (now_s := now_s + dice.expovariate(most)) < until_s:
        if dice.random() * most < rate(now_s):
            yield Request(now_s, [_sentence_s(dice) for _ in range(_sentences(dice))])


def _sentences(dice: random.Random) -> int:
    [kind] = dice.choices([sentences for _, sentences in KINDS], [share for share, _ in KINDS])
    return kind


def _sentence_s(dice: random.Random) -> float:
    mu = math.log(_SENTENCE_S) - _SENTENCE_SPREAD**2 / 2
    low, high = _SENTENCE_LIMITS_S
    return min(max(dice.lognormvariate(mu, _SENTENCE_SPREAD), low), high)
