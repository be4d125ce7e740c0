"""Selects the best stretch of a recording, or states why there is none. Pure."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.common.audio.clip import Clip, Samples
from services.common.wire.failures import UnusableReference
from services.http_edge.intake.reference.hum import without_hum
from services.http_edge.intake.reference.voice_activity import (
    FRAME_S,
    VoiceFrames,
    frames_of,
    levels_db,
)

_SILENT_DB: Final = -65.0  # a recording whose loudest second is under this is silent
_DYNAMICS_DB: Final = 30.0  # frames so far under the loud ones are pauses
_LONGEST_FRAMES: Final = 1500  # 30 s
_MARGIN_FRAMES: Final = 6  # of silence before and after the speech
_PAUSE_FRAMES: Final = 5  # the shortest pause to cut in
_LONG_PAUSE_FRAMES: Final = 15  # 0.3 s: the most that a pause adds to the usable audio
_SHORTEST_S: Final = 3.0
_SHORT_S: Final = 6.0
_VOICED_SHARE: Final = 0.1  # in speech, at least half of the active frames are voiced
# speech under equally loud noise has at least 2.4, steady noise at most 2.0
_MOVEMENT_DB: Final = 2.2
_PURE: Final = 0.95
_STILL: Final = 0.45  # speech of 70 voices has at most 0.25, single syllables 0.42, four of five music samples more
_NOISY_DB: Final = 21.0  # white noise 10 dB under speech leaves 13 to 20, 20 dB under it 21 to 30
_CLIPPED_SHARE: Final = 5e-4

_MOSTLY: Final = 0.5
_HELD_DB: Final = 3.5  # speech in equally loud noise has a range of at least 5
_TRIES: Final = 30
ADVICE: Final = "send 6-30 s of one person speaking"

_Marks = NDArray[np.bool_]  # one a frame


class SilentReference(UnusableReference):
    """The recording is silent."""


@dataclass(frozen=True)
class BestStretch:
    """The part of a recording with the most speech, and its quality."""

    start: int  # frames of 20 ms
    end: int
    usable_s: float  # of active audio, with its pauses of up to 0.3 s
    range_db: float  # level of the loud frames over the quiet ones

    @property
    def short(self) -> bool:
        """Return whether a longer one would clone the voice better."""
        return self.usable_s < _SHORT_S


@dataclass(frozen=True)
class Selection:
    """The clip that is stored."""

    clip: Clip
    stretch: BestStretch
    warnings: tuple[str, ...]  # ASCII, a token and its meaning


def select(recording: Clip) -> Selection:
    """Return the best <= 30 s of a recording, with silence trimmed at both ends and mains hum removed.

    Raises SilentReference for silence, UnusableReference for less than 3 s of audio and for anything unlike speech.
    """
    require_audible(levels_db(recording))
    clean = without_hum(recording)
    try:
        stretch = speech_in(frames_of(clean))
    except UnusableReference as refusal:
        raise (
            refusal if clean is recording else UnusableReference(f"under mains hum, {refusal}")
        ) from None
    samples = _cut(clean, stretch.start, stretch.end)
    return Selection(
        Clip(_in_scale(samples), clean.sample_rate_hz), stretch, _warnings(samples, stretch)
    )


def speech_in(frames: VoiceFrames) -> BestStretch:
    """Return the best <= 30 s of speech; music and noise before or after it are skipped.

    Raises the errors of `select`, which state what the first stretch that was tried contains
    instead.
    """
    loud = require_audible(frames.levels_db)
    active = frames.levels_db > _threshold_db(frames.levels_db, loud)
    music = frames.held(active)
    reasons = []
    for _ in range(_TRIES):
        try:
            return _best_speech(frames, active, music, loud)
        except _NotSpeech as found:
            reasons.append(UnusableReference(f"the reference audio {found}; {ADVICE}"))
            active = active.copy()
            active[found.start : found.end] = False
        except UnusableReference as too_short:
            raise (reasons or [too_short])[0] from None
    raise reasons[0]


def require_audible(levels: NDArray[np.float64]) -> float:
    """Return the level of the loud frames in dB. Raises SilentReference."""
    loud = _loud_db(levels)
    if loud < _SILENT_DB:
        raise SilentReference(f"the reference audio is silent; {ADVICE}")
    return loud


class _NotSpeech(Exception):
    """The frames [start, end) contain something else."""

    def __init__(self, what: str, start: int, end: int) -> None:
        super().__init__(what)
        self.start = start
        self.end = end


def _best_speech(frames: VoiceFrames, active: _Marks, music: _Marks, loud: float) -> BestStretch:
    """Return the best stretch of the active frames, without music at its ends if enough is left.

    Raises _NotSpeech, and UnusableReference if it is too short.
    """
    wanted = active & ~music
    if _usable_frames(wanted) * FRAME_S < _SHORT_S:
        wanted = active
    start, end = best_stretch(wanted, wanted & frames.voiced)
    chosen = np.zeros_like(active)
    chosen[start:end] = active[start:end]
    usable_s = _usable_frames(chosen) * FRAME_S
    if usable_s < _SHORTEST_S:
        raise UnusableReference(
            f"only {usable_s:.1f} s of audio; send at least 3 s, better 6-30 s, of one person speaking"
        )
    range_db = loud - float(np.percentile(frames.levels_db[start:end], 10))
    what = _instead_of_speech(frames, chosen, range_db)
    if what:
        raise _NotSpeech(what, start, end)
    return BestStretch(start, end, usable_s, range_db)


def best_stretch(active: _Marks, voiced: _Marks) -> tuple[int, int]:
    """Return the frames [start, end) of the at most 30 s with the most active frames.

    Voiced ones count twice.

    They start and end with a margin of silence around active frames. If there is more audio before
    or after, it is cut in a pause if there is one.
    """
    positions = np.flatnonzero(active)
    if not len(positions):
        return 0, 0
    size = _LONGEST_FRAMES - 2 * _MARGIN_FRAMES
    starts = _starts(active, positions)
    sums = np.concatenate([[0], np.cumsum(active.astype(np.int64) + voiced)])
    first = int(starts[np.argmax(sums[np.minimum(starts + size, len(active))] - sums[starts])])
    last = first + _end(active[first : first + size + _PAUSE_FRAMES], size)
    return max(0, first - _MARGIN_FRAMES), min(len(active), last + _MARGIN_FRAMES)


def _starts(active: _Marks, positions: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the frames where a stretch can start.

    The first active one, and each first one after a pause.

    Without a pause for ten seconds, it can also start every second.
    """
    after_pause = positions[
        np.flatnonzero(np.diff(positions, prepend=-_PAUSE_FRAMES - 1) > _PAUSE_FRAMES)
    ]
    starts = np.union1d(positions[:1], after_pause)
    if np.diff(starts, append=len(active)).max() < 500:
        return starts
    return np.union1d(starts, positions[::50])


def _end(stretch: _Marks, size: int) -> int:
    """Return where to end: after the last active frame if a pause follows.

    Otherwise it is the last pause in the last third of the stretch, or its full size.
    """
    positions = np.flatnonzero(stretch[:size])
    last = int(positions[-1]) + 1
    if len(stretch) <= size or not stretch[last : last + _PAUSE_FRAMES].any():
        return last
    gaps = np.flatnonzero(np.diff(positions) > _PAUSE_FRAMES)
    ends = positions[gaps] + 1
    return int(ends[-1]) if len(ends) and ends[-1] > size * 2 // 3 else last


def _loud_db(levels: NDArray[np.float64]) -> float:
    """Return the level that a twentieth of the frames exceed.

    For a long recording, its loudest second.
    """
    if not len(levels):
        return -np.inf
    return float(np.sort(levels)[-min(50, 1 + len(levels) // 20)])


def _threshold_db(levels: NDArray[np.float64], loud: float) -> float:
    quiet = float(np.percentile(levels, 10))
    return max(loud - _DYNAMICS_DB, min(quiet + 6, loud - 6))


def _usable_frames(active: _Marks) -> int:
    """Count the active frames, and at most 0.3 s of every pause between them."""
    positions = np.flatnonzero(active)
    return (
        int(np.minimum(np.diff(positions), _LONG_PAUSE_FRAMES).sum() + 1) if len(positions) else 0
    )


def _cut(recording: Clip, start: int, end: int) -> Samples:
    size = int(recording.sample_rate_hz * FRAME_S)
    return recording.samples[start * size : end * size]


def _in_scale(samples: Samples) -> Samples:
    """Return the samples scaled to -1..1.

    Decoders and float files can exceed it slightly, or 32768 times.
    """
    peak = np.abs(samples).max()
    # a copy, so that the recording can be freed
    return samples / peak if peak > 1 else samples.copy()


def _instead_of_speech(frames: VoiceFrames, chosen: _Marks, range_db: float) -> str:
    """Return what the chosen frames are if they are not speech; empty if they can be speech.

    Part of speech is voiced, its spectrum moves all the time, it has overtones, its pitch glides,
    and it has pauses: a hiss lacks the first, a hum the second, a beep the third, the notes of
    music the fourth, a held chord the last. A song or drums alone can pass: this rejects only what
    cannot be a voice.
    """
    if float(np.median(frames.purity[chosen])) > _PURE:
        return "is a tone, not speech"
    voiced = float(frames.voiced[chosen].mean())
    if frames.stillness(chosen) > _STILL or (voiced > _MOSTLY and range_db < _HELD_DB):
        return "is music or tones, not speech"
    if voiced < _VOICED_SHARE or frames.movement_db(chosen) < _MOVEMENT_DB:
        return "is steady noise or a hum, not speech"
    return ""


def _warnings(samples: Samples, stretch: BestStretch) -> tuple[str, ...]:
    found = (
        (stretch.short, f"short: {stretch.usable_s:.1f} s of audio, 6-30 s clone a voice better"),
        (stretch.range_db < _NOISY_DB, "noisy: record in a quiet place for a closer voice"),
        (
            _clipped_share(samples) > _CLIPPED_SHARE,
            "clipped: record with less gain for a closer voice",
        ),
    )
    return tuple(text for true, text in found if true)


def _clipped_share(samples: Samples) -> float:
    """Return the share of samples near full scale.

    Resampling makes clipped peaks ripple, and float files exceed it.
    """
    magnitudes = np.abs(samples)
    return float(np.mean((magnitudes > 0.98) & (magnitudes < 2.0)))
