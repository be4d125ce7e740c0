"""Selects the channels with speech for the mono mix of a recording. Pure."""

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.common.audio.clip import Clip, Samples
from services.common.audio.resample import Resampler
from services.common.wire.failures import UnusableReference
from services.http_edge.intake.reference.files import Block
from services.http_edge.intake.reference.hum import without_hum
from services.http_edge.intake.reference.selection import BestStretch, require_audible, speech_in
from services.http_edge.intake.reference.voice_activity import frames_of, levels_db

_RATE_HZ: Final = 4_000  # enough to detect speech: ten minutes of a channel take 10 MB
_MOST_CHANNELS: Final = 16  # that are analyzed
_CANCELLED: Final = (
    0.1  # a mean with less of its loudest channel's energy lost audio to opposite phases
)
_LONG_SHARE: Final = 0.8  # of the longest speech in any channel
_CLEAN_MARGIN_DB: Final = 3.0
_CLEAN_DB: Final = 40.0  # a higher range makes no difference

Weights = NDArray[np.float32]  # [channels]


def mixing(blocks: Iterable[Block]) -> Weights:
    """Return the weight of each channel in the mono mix, float32 [channels].

    Two channels are averaged, unless they cancel each other or one of them has better speech.
    Otherwise, and for more channels, the one with the best speech is selected, and of equally good
    ones the loudest.
    """
    channels = _at_low_rate(blocks)
    if len(channels) == 1:
        return np.ones(1, dtype=np.float32)
    products = np.array([[float(np.dot(one, other)) for other in channels] for one in channels])
    energies = np.diagonal(products)
    order = [
        np.eye(len(channels), dtype=np.float32)[index]
        for index in np.argsort(-energies, kind="stable")
    ]
    if len(channels) == 2 and products.mean() > _CANCELLED * energies.max():
        order.insert(0, np.full(2, 0.5, dtype=np.float32))
    stretches = [_stretch(sum_of(np.stack(channels, axis=1), weights)) for weights in order]
    chosen: Weights = order[best_of(stretches)]
    return chosen


def best_of(stretches: Sequence[BestStretch | None]) -> int:
    """Return the index of the first with about as much speech, about as clean, as any other.

    0 if none has speech.
    """
    most_s = max((stretch.usable_s for stretch in stretches if stretch), default=0.0)
    long = [
        stretch if stretch and stretch.usable_s >= _LONG_SHARE * most_s else None
        for stretch in stretches
    ]
    ranges = [min(stretch.range_db, _CLEAN_DB) if stretch else -np.inf for stretch in long]
    return int(np.argmax(np.array(ranges) >= max(ranges) - _CLEAN_MARGIN_DB))


def sum_of(frames: NDArray[np.float32], weights: Weights) -> Samples:
    """Return the weighted sum, float32 [n].

    It adds channel by channel: the rounding of a matrix product varies.
    """
    mixed = np.zeros(len(frames), dtype=np.float32)
    for channel in np.flatnonzero(weights):
        mixed += frames[:, channel] * weights[channel]
    return mixed


def _stretch(samples: Samples) -> BestStretch | None:
    try:
        require_audible(levels_db(Clip(samples, _RATE_HZ)))  # fails early for silence
        return speech_in(frames_of(without_hum(Clip(samples, _RATE_HZ))))
    except UnusableReference:
        return None


def _at_low_rate(blocks: Iterable[Block]) -> list[Samples]:
    """Return the channels at 4 kHz; for a single channel, or no audio, one empty channel."""
    resamplers: list[Resampler] = []
    parts: list[list[Samples]] = []
    for block in blocks:
        count = min(block.frames.shape[1], _MOST_CHANNELS)
        if count == 1:
            break
        resamplers = resamplers or [Resampler(block.rate_hz, _RATE_HZ) for _ in range(count)]
        parts = parts or [[] for _ in range(count)]
        for channel, resampler in enumerate(resamplers):
            parts[channel].append(
                resampler.push(np.nan_to_num(np.ascontiguousarray(block.frames[:, channel])))
            )
    for part, resampler in zip(parts, resamplers, strict=True):
        part.append(resampler.finish())
    return [np.concatenate(part) for part in parts] or [np.zeros(0, dtype=np.float32)]
