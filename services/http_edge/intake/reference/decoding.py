"""Decodes a file of any format to mono samples, one window at a time.

A window is ten minutes, or less for many channels or a high sample rate. It is bounded by decoded
samples, not by what the file declares: five minutes of stereo at 48 kHz, 20 s of eight channels at
192 kHz.
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
from services.http_edge.intake.reference.source import OpenableFile

RATE_HZ: Final = 24_000
WINDOW_S: Final = 600
# in all channels: about 3 s of processor time with the slowest common codec
_WINDOW_SAMPLES: Final = 30_000_000


@dataclass(frozen=True)
class Recording:
    """One window of a track."""

    clip: Clip  # 24 kHz mono
    cut: bool  # whether the window ended before the track


def decode(source: OpenableFile) -> Clip:
    """Return the first window of the file's first track, as `recordings` does."""
    return next(recordings(tracks_of(source)[0])).clip


def recordings(track: Track, share: float = 1.0) -> Iterator[Recording]:
    """Yield the track's audio by window as 24 kHz mono: float32 [n], finite, possibly beyond -1..1.

    Each window is `share` of a full one. The channels with the best speech of a window make its
    mono mix, so each window is decoded twice. Raises UnusableReference.
    """
    analyzed = _windows(_not_empty(track.blocks()), share)
    read = _windows(_not_empty(track.blocks()), share)
    for first_pass, second_pass in zip(analyzed, read, strict=True):
        samples = np.concatenate(list(_resampled(second_pass.blocks, mixing(first_pass.blocks))))
        yield Recording(_finite(samples), second_pass.cut)


class _Window:
    """The blocks of one window."""

    def __init__(self, blocks: Iterator[Block], share: float) -> None:
        self.cut = False
        self.blocks = self._bounded(blocks, WINDOW_S * share, _WINDOW_SAMPLES * share)

    def _bounded(
        self, blocks: Iterator[Block], most_s: float, most_samples: float
    ) -> Iterator[Block]:
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
    """Split blocks into windows.

    Blocks of a window that were not consumed are skipped at the next one.
    """
    for first in blocks:
        window = _Window(chain([first], blocks), share)
        yield window
        for _ in window.blocks:
            pass


def _not_empty(blocks: Iterator[Block]) -> Iterator[Block]:
    """Yield the blocks. Raises UnusableReference if there are none."""
    first = next(blocks, None)
    if first is None:
        raise UnusableReference(f"the file contains no audio; send 6-30 s of speech as {FORMATS}")
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
        raise UnusableReference("the file contains samples that are not numbers; export it again")
    return Clip(samples, RATE_HZ)
