"""Successive halving: many candidates are tried on few sentences, and the better ones on more. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

Scores = Mapping[str, Sequence[float]]  # candidate -> score of each sentence, more is better
Tried = Callable[[Sequence[str], range], Scores]  # candidates, sentences -> their scores


@dataclass(frozen=True)
class Round:
    """The candidates that are left are tried up to a sentence; some of each kind remain."""

    sentences: int
    kept: int


@dataclass(frozen=True)
class Difference:
    """The mean difference of paired scores, with its standard error."""

    mean: float
    error: float

    def __str__(self) -> str:
        """Write the difference as two cells of a table."""
        return f"{self.mean:+.3f} | {self.error:.3f}"


def halved(
    kinds: Sequence[Sequence[str]], today: Sequence[str], rounds: Sequence[Round], tried: Tried
) -> Scores:
    """Return the scores of the best candidates of every kind, and of those of today, which always stay."""
    found: dict[str, list[float]] = {}
    start = 0
    for one in rounds:
        names = list(dict.fromkeys([*today, *(name for kind in kinds for name in kind)]))
        for name, scores in tried(names, range(start, one.sentences)).items():
            found.setdefault(name, []).extend(scores)
        kinds = [best({name: found[name] for name in kind}, one.kept) for kind in kinds]
        start = one.sentences
    last = dict.fromkeys([*today, *(name for kind in kinds for name in kind)])
    return {name: found[name] for name in last}


def best(scores: Scores, count: int) -> list[str]:
    """Return the candidates with the highest means, the best first."""
    return sorted(scores, key=lambda name: (-fmean(scores[name]), name))[:count]


def difference(found: Sequence[float], base: Sequence[float]) -> Difference:
    """Compare the scores of the same sentences."""
    differences = [one - other for one, other in zip(found, base, strict=True)]
    error = stdev(differences) / len(differences) ** 0.5 if len(differences) > 1 else 0.0
    return Difference(fmean(differences), error)
