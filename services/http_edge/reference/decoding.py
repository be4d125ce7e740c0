"""A file of any kind to mono samples, ten minutes at a time."""

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.common.audio.clip import Clip, Samples
from services.common.audio.resample import Resampler
from services.common.wire.failures import UnusableReference
from services.http_edge.reference.answer import FORMATS
from services.http_edge.reference.channels import mixing, sum_of
from services.http_edge.reference.files import Block, Track, tracks_of

RATE_HZ: Final = 24_000
WINDOW_S: Final = 600
_RATES_HZ: Final = (7_000, 768_000)
_MOST_CHANNELS: Final = 64


def decode(path: Path) -> Clip:
    """Return the first ten minutes of the file's first track, as `recordings` does."""
    return next(recordings(tracks_of(path)[0]))


def recordings(track: Track) -> Iterator[Clip]:
    """Yield the track's audio, up to ten minutes at a time, as 24 kHz mono, float32 [n], finite; floats may go over
    -1..1. The channels with the best speech of each ten minutes make the mono audio, so they are read twice.

    Raises UnusableReference.
    """
    listened = _windows(_checked(track.blocks()))
    read = _windows(_checked(track.blocks()))
    for listening, reading in zip(listened, read, strict=True):
        yield _finite(np.concatenate(list(_resampled(reading, mixing(listening)))))


def _windows(blocks: Iterator[Block]) -> Iterator[Iterator[Block]]:
    """Cut in windows of ten minutes. What is not taken of one is passed over when the next is asked for."""
    for first in blocks:
        window = _window(chain([first], blocks))
        yield window
        for _ in window:
            pass


def _window(blocks: Iterable[Block]) -> Iterator[Block]:
    seconds = 0.0
    for block in blocks:
        yield block
        seconds += len(block.frames) / block.rate_hz
        if seconds >= WINDOW_S:
            return


def _checked(blocks: Iterator[Block]) -> Iterator[Block]:
    """Yield the blocks. Raises UnusableReference where there is none, or its rate or channels make no sense."""
    first = next(blocks, None)
    if first is None:
        raise UnusableReference(f"the file holds no sound; send 6-30 s of speech as {FORMATS}")
    low, high = _RATES_HZ
    if not low <= first.rate_hz <= high:
        raise UnusableReference(f"the file has {first.rate_hz} samples a second; send 8000 or more, best 24000 or more")
    if first.frames.shape[1] > _MOST_CHANNELS:
        raise UnusableReference(f"the file has {first.frames.shape[1]} channels; send one or two")
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
