"""Positions of a text's marks in its audio. Pure."""

from dataclasses import dataclass, field
from typing import Any

from services.common.wire.messages import Mark


@dataclass
class SpokenTimeline:
    """Sentences of a request in a row that were spoken, from the place `first` on."""

    first: int
    sample_rate_hz: int = 0  # 0 until one was added
    _starts: list[int] = field(default_factory=lambda: [0])  # first sample of each, and of the one after the last

    @property
    def seconds(self) -> float:
        """Return how long they are together."""
        return self._starts[-1] / self.sample_rate_hz if self.sample_rate_hz else 0.0

    def add(self, samples: int, sample_rate_hz: int) -> None:
        """Take the next sentence."""
        self.sample_rate_hz = sample_rate_hz
        self._starts.append(self._starts[-1] + samples)

    def place(self, mark: Mark) -> dict[str, Any] | None:
        """Return where a mark is, counted from the beginning of the sentence `first`.

        None while that is not known: a mark inside a sentence is there as soon as its beginning is, one after the last
        sentence when that is spoken.
        """
        sentence = mark.sentence - self.first
        if not 0 <= sentence < len(self._starts) or not self.sample_rate_hz:
            return None
        sample = self._starts[sentence] + mark.offset_ms * self.sample_rate_hz // 1000
        if sample < 0:
            return None  # in the silence before the first of these sentences
        placed: dict[str, Any] = {"name": mark.name, "sentence": mark.sentence, "sample": sample}
        placed["seconds"] = round(sample / self.sample_rate_hz, 4)
        return placed | {"within": True} if mark.within else placed
