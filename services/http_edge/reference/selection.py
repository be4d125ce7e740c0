"""The best stretch of a recording, or why none will do. Pure."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.common.audio.clip import Clip, Samples
from services.common.wire.failures import UnusableReference

_FRAME_S: Final = 0.02
_SILENT_DB: Final = -55.0  # a recording whose loudest frames are under this is silent
_DYNAMICS_DB: Final = 30.0  # frames so far under the loud ones are pauses
_LONG_PAUSE_FRAMES: Final = 35  # 0.7 s: what a pause adds to the usable sound, at most
_LONGEST_S: Final = 30.0
_SHORTEST_S: Final = 3.0
_SHORT_S: Final = 6.0
_MARGIN_FRAMES: Final = 6  # kept before and after the sound
_STEADY_DB: Final = 2.0  # frame levels of a hum or a hiss hardly vary; of speech, by ten and more
_VOICED_SHARE: Final = 0.08  # of speech, a third and more of the frames are voiced
_NOISY_DB: Final = 15.0
_CLIPPED_SHARE: Final = 1e-3

Decibels = NDArray[np.float64]  # one a frame of 20 ms


@dataclass(frozen=True)
class Selection:
    """The clip that is stored."""

    clip: Clip
    warnings: list[str]


def select(recording: Clip) -> Selection:
    """Return the best <= 30 s of a recording, silence trimmed at both ends.

    Raises UnusableReference for silence, for under 3 s of sound, and for sound that is nothing like speech.
    """
    levels = frame_levels(recording)
    if not len(levels) or (loud := float(np.percentile(levels, 95))) < _SILENT_DB:
        raise UnusableReference("the reference audio is silent; send 6-30 s of one person speaking")
    quiet = float(np.percentile(levels, 10))
    threshold = max(loud - _DYNAMICS_DB, min(quiet + 6.0, loud - 6.0))
    start, end = _best_stretch(levels > threshold)
    usable_s = _usable_frames(levels[start:end] > threshold) * _FRAME_S
    if usable_s < _SHORTEST_S:
        raise UnusableReference(
            f"only {usable_s:.1f} s of sound; send at least 3 s, better 6-30 s, of one person speaking"
        )
    clip = _cut(recording, start, end)
    _require_speech(clip, levels[start:end], levels[start:end] > threshold)
    return Selection(clip, _warnings(clip, usable_s, loud - quiet if quiet > -90 else 90.0))


def frame_levels(clip: Clip) -> Decibels:
    """Return the RMS level of every whole 20 ms frame, in dB of full scale."""
    size = int(clip.sample_rate_hz * _FRAME_S)
    frames = clip.samples[: len(clip.samples) // size * size].reshape(-1, size).astype(np.float64)
    levels: Decibels = 10 * np.log10(np.mean(np.square(frames), axis=1) + 1e-12)
    return levels


def _best_stretch(active: NDArray[np.bool_]) -> tuple[int, int]:
    """Return the frames [start, end) of at most 30 s with the most sound, trimmed, ending in a pause if there is one."""
    size = int(_LONGEST_S / _FRAME_S) - 2 * _MARGIN_FRAMES
    sums = np.concatenate([[0], np.cumsum(active)])
    starts = np.arange(max(1, len(active) - size + 1))
    first = int(np.argmax(sums[np.minimum(starts + size, len(active))] - sums[starts]))
    stretch = active[first : first + size]
    sounding = np.flatnonzero(stretch)
    if not len(sounding):
        return 0, 0
    last = int(sounding[-1]) + 1
    if first + last < len(active):  # more follows: end in the last pause rather than inside a word
        pauses = np.flatnonzero(~stretch[:last])
        if len(pauses) and pauses[-1] > 0.8 * size:
            last = int(pauses[-1])
    return max(0, first + int(sounding[0]) - _MARGIN_FRAMES), min(len(active), first + last + _MARGIN_FRAMES)


def _usable_frames(active: NDArray[np.bool_]) -> int:
    """Count the frames with sound, and of every pause between them at most 0.7 s."""
    sounding = np.flatnonzero(active)
    return int(np.minimum(np.diff(sounding), _LONG_PAUSE_FRAMES).sum() + 1) if len(sounding) else 0


def _cut(recording: Clip, start: int, end: int) -> Clip:
    size = int(recording.sample_rate_hz * _FRAME_S)
    return Clip(recording.samples[start * size : end * size], recording.sample_rate_hz)


def _require_speech(clip: Clip, levels: Decibels, active: NDArray[np.bool_]) -> None:
    """Speech rises and falls, and part of it is voiced; a tone does not do the one, a hiss neither."""
    steady = float(np.std(levels[_MARGIN_FRAMES:-_MARGIN_FRAMES])) < _STEADY_DB
    if steady or _voiced_share(clip, active) < _VOICED_SHARE:
        raise UnusableReference("the reference audio does not sound like speech; send 6-30 s of one person speaking")


def _voiced_share(clip: Clip, active: NDArray[np.bool_]) -> float:
    """Return the share of sounding frames that repeat at a pitch of 60-400 Hz, by normalised autocorrelation."""
    hop, window = int(clip.sample_rate_hz * _FRAME_S), int(clip.sample_rate_hz * 0.04)
    shortest, longest = clip.sample_rate_hz // 400, clip.sample_rate_hz // 60
    places = [frame * hop for frame in np.flatnonzero(active) if frame * hop + window <= len(clip.samples)]
    if not places:
        return 0.0
    frames = np.stack([clip.samples[place : place + window] for place in places[::2]]).astype(np.float64)
    frames -= frames.mean(axis=1, keepdims=True)
    spectra = np.fft.rfft(frames, 2 * window, axis=1)
    correlation = np.fft.irfft(np.square(np.abs(spectra)), axis=1)[:, :window]
    lags = np.arange(shortest, longest)
    unbiased = correlation[:, lags] / (correlation[:, :1] + 1e-9) * window / (window - lags)
    return float(np.mean(unbiased.max(axis=1) > 0.6))


def _warnings(clip: Clip, usable_s: float, range_db: float) -> list[str]:
    warnings = []
    if usable_s < _SHORT_S:
        warnings.append(f"short: {usable_s:.1f} s of sound, 6-30 s copy a voice better")
    if range_db < _NOISY_DB:
        warnings.append("noisy: record in a quiet place for a closer voice")
    if _clipped_share(clip.samples) > _CLIPPED_SHARE:
        warnings.append("clipped: record with less gain for a closer voice")
    return warnings


def _clipped_share(samples: Samples) -> float:
    return float(np.mean(np.abs(samples) > 0.999))
