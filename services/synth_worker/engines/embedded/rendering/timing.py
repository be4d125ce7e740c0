"""Finds the samples in which each token of a sentence is spoken. Pure.

Kokoro predicts how many frames each token lasts, and repeats its content for so many frames. So the borders of the
tokens are where the content of a prosody changes, and the windows that were rendered tell at which sample a frame is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from services.synth_worker.engines.embedded.rendering.prosody import FRAME_SAMPLES, Prosody
from services.synth_worker.engines.embedded.rendering.seams import HALF_FADE
from services.synth_worker.engines.embedded.rendering.windows import Window
from services.synth_worker.engines.protocol import TimedSpan

Owner = tuple[int, int] | None  # the characters that a token reads; none for a pause

_PADDING: Final = 1  # tokens that the model adds on either side
# A token is audible this much before its frames, as in Kokoro's own timestamps (`pipeline.py`, join_timestamps);
# `task bench:words` measures the same.
_EARLY_FRAMES: Final = 3


def token_frames(prosody: Prosody, tokens: int) -> list[int] | None:
    """Return the frame where each token begins, and the frame where the last one ends; None if it is not certain."""
    content = prosody.content[0]
    changes = np.flatnonzero((content[:, 1:] != content[:, :-1]).any(axis=0)) + 1
    borders = [0, *changes.tolist(), content.shape[1]]
    if len(borders) - 1 != tokens + 2 * _PADDING:
        return None
    return borders[_PADDING:-_PADDING]


@dataclass
class SentenceTiming:
    """Collects the times of a sentence while it is rendered."""

    owners: Sequence[
        Sequence[Owner]
    ]  # by part of the sentence, one a token; empty if they are not known
    samples: int = 0  # yielded so far
    spans: list[TimedSpan] = field(default_factory=list)
    _part: int = 0
    # of the windows of this part: first frame, and the sample there
    _frames: list[int] = field(default_factory=list)
    _samples: list[int] = field(default_factory=list)

    def begin_window(self, window: Window) -> None:
        """Note that the next samples begin with this window, after the fade from the one before."""
        fade = HALF_FADE if self._frames else 0
        self._frames.append(window.start)
        self._samples.append(self.samples + fade)

    def end_part(self, prosody: Prosody) -> None:
        """Note that all windows of a part were rendered."""
        owners = self.owners[self._part] if self.owners else ()
        frames = token_frames(prosody, len(owners)) if owners else None
        if frames is not None and self._frames:
            self.spans += _merged(owners, [self._sample(frame - _EARLY_FRAMES) for frame in frames])
        self._part += 1
        self._frames = []
        self._samples = []

    def _sample(self, frame: int) -> int:
        """Return the sample where a frame of this part begins."""
        window = max(0, int(np.searchsorted(self._frames, frame, side="right")) - 1)
        sample = self._samples[window] + (frame - self._frames[window]) * FRAME_SAMPLES
        return min(max(sample, self._samples[0]), self.samples)


def _merged(owners: Sequence[Owner], samples: Sequence[int]) -> Iterator[TimedSpan]:
    """Yield the times of the characters; successive tokens that read the same ones are one span."""
    made: TimedSpan | None = None
    for index, owner in enumerate(owners):
        if made is not None and owner == (made.start, made.end):
            made = TimedSpan(made.start, made.end, made.first_sample, samples[index + 1])
            continue
        if made is not None:
            yield made
        made = None if owner is None else TimedSpan(*owner, samples[index], samples[index + 1])
    if made is not None:
        yield made
