"""Limits of attempts: how long one can be silent, and how often one restarts at the same chunk. Pure."""

import math
from dataclasses import dataclass
from typing import Final

from services.http_edge.errors import AudioGone
from services.http_edge.speech.assembly import Assembly
from services.http_edge.speech.portions import LatestPortion

PATIENCE_S: Final = 30.0  # maximum silence of another listener's attempt
UNKNOWN_PATIENCE_S: Final = 5.0  # the same, if its end was not reported, or nothing is stored
# maximum silence of a portion of the own attempt: its end markers can be lost too
_OWN_PATIENCE_S: Final = 120.0
_MOST_RESTARTS: Final = 3  # at one chunk that is lost each time before it is read


@dataclass(frozen=True)
class OwnAttempt:
    """The attempt that this listener started."""

    attempt: str
    first_sentence: int
    in_portions: bool  # requested in portions, not as a whole

    def covers(self, sentence: int) -> bool:
        """Return whether the attempt contains a sentence."""
        return sentence >= self.first_sentence

    def patience_s(self, latest: LatestPortion | None, assembly: Assembly) -> float:
        """Return how long the attempt can be silent.

        Without portions there is no limit, since the attempt may be waiting in the queue. In portions it is short if
        the audio of the latest portion has begun, but the report of where that portion ends is missing.
        """
        if latest is None or not self.in_portions:
            return math.inf

        begun = assembly.sentence > latest.first or bool(assembly.needs(latest.first))
        return UNKNOWN_PATIENCE_S if latest.until is None and begun else _OWN_PATIENCE_S


@dataclass
class Restarts:
    """The restarts in a row at one position: a sentence and a chunk of it."""

    position: tuple[int, int] = (-1, -1)
    count: int = 0

    def add(self, position: tuple[int, int]) -> None:
        """Count one more. Raises AudioGone after `_MOST_RESTARTS`."""
        self.count = self.count + 1 if position == self.position else 1
        self.position = position
        if self.count > _MOST_RESTARTS:
            raise AudioGone(
                "the audio was dropped before it could be sent, however often it was made; try again later"
            )
