"""The positions of a text's marks in its audio. Pure."""

from dataclasses import dataclass, field
from typing import Annotated, NotRequired, TypedDict

from msgspec import Meta

from services.common.wire.fields import (
    Count,
)
from services.common.wire.parts import (
    Mark,
)


class SpokenMark(TypedDict):
    """The position of a mark in the audio."""

    name: str
    sentence: Count
    sample: Count
    seconds: Annotated[float, Meta(ge=0)]
    within: NotRequired[
        Annotated[
            bool, Meta(description="inside the sentence: the position is the sentence's beginning")
        ]
    ]


@dataclass
class SpokenTimeline:
    """Consecutive synthesized sentences of a request, starting at the index `first`."""

    first: int
    sample_rate_hz: int = 0  # 0 until one was added
    # first sample of each, and the end of the last
    _starts: list[int] = field(default_factory=lambda: [0])

    @property
    def seconds(self) -> float:
        """Return the total length of the sentences."""
        return self._starts[-1] / self.sample_rate_hz if self.sample_rate_hz else 0.0

    def add(self, samples: int, sample_rate_hz: int) -> None:
        """Append the next sentence."""
        self.sample_rate_hz = sample_rate_hz
        self._starts.append(self._starts[-1] + samples)

    def locate(self, mark: Mark) -> SpokenMark | None:
        """Return the position of a mark, relative to the beginning of the sentence `first`.

        None if it is not known yet: a mark inside a sentence needs the beginning of that sentence, a mark after the
        last sentence needs the end of it.
        """
        sentence = mark.sentence - self.first
        if not 0 <= sentence < len(self._starts) or not self.sample_rate_hz:
            return None

        sample = self._starts[sentence] + mark.offset_ms * self.sample_rate_hz // 1000
        if sample < 0:
            return None  # in the silence before the sentence `first`
        located: SpokenMark = {
            "name": mark.name,
            "sentence": mark.sentence,
            "sample": sample,
            "seconds": round(sample / self.sample_rate_hz, 4),
        }
        if mark.within:
            located["within"] = True
        return located
