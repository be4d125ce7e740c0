"""The embeddings of every speaker's two clips, and the similarity of a voice to each. Pure: unit vectors only."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.encoders import Vector

Matrix = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Likeness:
    """One clip's cosines against the held-out recordings."""

    target: float
    others: float  # the mean over all other speakers
    first_of_part: bool  # nearest to its target among the part's fourteen speakers
    rank: int  # of the target among all speakers, 1 is nearest


@dataclass(frozen=True, eq=False)
class Gallery:
    """One encoder's embeddings of every speaker, in the order of `ids`."""

    ids: tuple[str, ...]
    parts: tuple[str, ...]
    references: Matrix  # [speakers, 256]
    held: Matrix  # [speakers, 256]

    def likeness(self, voice: Vector, target: str) -> Likeness:
        """Compare a voice with the held-out recordings of all speakers."""
        cosines = self.held @ voice
        place = self.ids.index(target)
        peers = [i for i, part in enumerate(self.parts) if part == self.parts[place]]
        return Likeness(
            target=float(cosines[place]),
            others=float(np.delete(cosines, place).mean()),
            first_of_part=bool(cosines[place] >= cosines[peers].max()),
            rank=1 + int(np.sum(cosines > cosines[place])),
        )

    def equal_error(self) -> tuple[float, float]:
        """Return the equal error rate of telling same from different speakers, and its threshold."""
        cosines = self.references @ self.held.T
        same = np.diag(cosines)
        different = cosines[~np.eye(len(self.ids), dtype=bool)]
        thresholds = np.sort(np.concatenate([same, different]))
        misses = np.searchsorted(np.sort(same), thresholds) / len(same)
        alarms = 1 - np.searchsorted(np.sort(different), thresholds) / len(different)
        place = int(np.argmin(np.abs(misses - alarms)))
        return float((misses[place] + alarms[place]) / 2), float(thresholds[place])

    def human(self, parts: Sequence[str]) -> tuple[float, float, float]:
        """Return, over the parts' speakers: the mean cosine of a person's two clips, the mean of two persons', and
        the share of reference clips that are nearest to their own held-out one."""
        cosines = self.references @ self.held.T
        rows = [i for i, part in enumerate(self.parts) if part in parts]
        same = np.diag(cosines)[rows]
        different = [np.delete(cosines[i], i).mean() for i in rows]
        nearest = [cosines[i].argmax() == i for i in rows]
        return float(same.mean()), float(np.mean(different)), float(np.mean(nearest))
