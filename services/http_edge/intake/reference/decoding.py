"""A file of any kind to mono samples, a window at a time: ten minutes, or less where many channels or samples a second
make them costly.

How much is decoded for a window is bounded by samples, not by what the file declares: five minutes of stereo at
48 kHz, 20 s of eight channels at 192 kHz.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.common.audio.clip import Clip, Samples
from services.common.audio.resample import Resampler
from services.common.wire.failures import UnusableReference
from services.http_edge.intake.reference.answer import FORMATS
from services.http_edge.intake.reference.channels import mixing, sum_of
from services.http_edge.intake.reference.files import Block, Track, tracks_of
from services.http_edge.intake.reference.source import Source

RATE_HZ: Final = 24_000
WINDOW_S: Final = 600
_WINDOW_SAMPLES: Final = 30_000_000  # in all channels: about 3 s of processor time in the slowest usual codec


@dataclass(frozen=True)
class Recording:
    """One window of a track."""

    clip: Clip  # 24 kHz mono
    cut: bool  # whether the window ended before the track


def decode(source: Source) -> Clip:
    """Return the first window of the file's first track, as `recordings` does."""
    return next(recordings(tracks_of(source)[0])).clip


def recordings(track: Track, share: float = 1.0) -> Iterator[Recording]:
    """Yield the track's audio window by window, each that `share` of one, as 24 kHz mono, float32 [n], finite; floats
    may go over -1..1. The channels with the best speech of a window make the mono audio, so they are read twice.

    Raises UnusableReference.
    """
    listened = _windows(_first_seen(track.blocks()), share)
    read = _windows(_first_seen(track.blocks()), share)
    for listening, reading in zip(listened, read, strict=True):
        samples = np.concatenate(list(_resampled(reading.blocks, mixing(listening.blocks))))
        yield Recording(_finite(samples), reading.cut)


class _Window:
    """Blocks up to a bound."""

    def __init__(self, blocks: Iterator[Block], share: float) -> None:
        self.cut = False
        self.blocks = self._bounded(blocks, WINDOW_S * share, _WINDOW_SAMPLES * share)

    def _bounded(self, blocks: Iterator[Block], most_s: float, most_samples: float) -> Iterator[Block]:
        seconds = 0.0
        samples = 0
        for block in blocks:
            yield block
            seconds += len(block.frames) / block.rate_hz
            samples += block.frames.size
            if seconds >= most_s or samples >= most_samples:
                self.cut = True
                return


def _windows(blocks: Iterator[Block], share: float) -> Iterator[_Window]:
    """Cut in windows. What is not taken of one is passed over when the next is asked for."""
    for first in blocks:
        window = _Window(chain([first], blocks), share)
        yield window
        for _ in window.blocks:
            pass


def _first_seen(blocks: Iterator[Block]) -> Iterator[Block]:
    """Yield the blocks. Raises UnusableReference where there is none."""
    first = next(blocks, None)
    if first is None:
        raise UnusableReference(f"the file holds no sound; send 6-30 s of speech as {FORMATS}")
    yield first
    yield from blocks


def _resampled(blocks: Iterator[Block], weights: NDArray[np.float32]) -> Iterator[Samples]:
    resampler: Resampler | None = None
    for block in blocks:
        resampler = resampler or Resampler(block.rate_hz, RATE_HZ)
        yield resampler.push(sum_of(block.frames, weights))
    if resampler is not None:
        yield resampler.finish()


def _finite(samples: Samples) -> Clip:
    if not np.isfinite(samples).all():
        raise UnusableReference("the file holds samples that are not numbers; export it again")
    return Clip(samples, RATE_HZ)
