"""The times of a speech in JSON: of each sentence, and of its words. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import UNSET

from services.common.wire.messages import (
    SentenceSpoken,
    SpeechRequest,
    TextSplit,
)
from services.common.wire.parts import (
    Span,
)
from services.http_edge.subtitles.captions import caption_of

_DECIMALS = 4  # of seconds


@dataclass
class SpeechTimes:
    """The times of consecutive sentences, from the first one on."""

    request: SpeechRequest
    words: bool  # whether those of the words are wanted
    count: int = 0  # sentences so far
    samples: int = 0  # of these

    def take(
        self,
        spoken: Sequence[SentenceSpoken],
        split: TextSplit | None,
        *,
        sent: int | None = None,
    ) -> list[dict[str, Any]]:
        """Return the sentences of `spoken` that are new. `split`: None if it is not known.

        `sent`: samples that the client has; sentences that end after them are not returned yet. None: all.
        """
        found = []
        for end in spoken[self.count :]:
            if sent is not None and self.samples + end.samples > sent:
                break
            found.append(self._sentence(end, split))
            self.count += 1
            self.samples += end.samples
        return found

    def _sentence(self, end: SentenceSpoken, split: TextSplit | None) -> dict[str, Any]:
        caption = caption_of(self.request, _span(end, split, len(self.request.text)), end)
        sentence: dict[str, Any] = {
            "sentence": end.sentence,
            "text": " ".join(caption.text.split()),
            "start": self._seconds(0, end),
            "end": self._seconds(end.samples, end),
        }
        if self.words:
            sentence["times"] = "measured" if caption.measured else "estimated"
            sentence["words"] = [
                {
                    "word": caption.text[word.start : word.end],
                    "start": self._seconds(word.first_sample, end),
                    "end": self._seconds(word.end_sample, end),
                }
                for word in caption.words
            ]
        return sentence

    def _seconds(self, sample: int, end: SentenceSpoken) -> float:
        return round((self.samples + sample) / end.sample_rate_hz, _DECIMALS)


def _span(end: SentenceSpoken, split: TextSplit | None, length: int) -> Span:
    """Return the characters of a sentence; those of its words if the segmentation is not known."""
    if split is not None:
        return split.sentences[end.sentence]
    if end.words is UNSET or not end.words:
        return Span(0, length if end.sentences == 1 else 0)
    return Span(end.words[0].start, end.words[-1].end)
