"""The best stretch of a recording, or why none will do. Pure."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.common.audio.clip import Clip, Samples
from services.common.wire.failures import UnusableReference
from services.http_edge.intake.reference.hum import without_hum
from services.http_edge.intake.reference.voice_activity import FRAME_S, Frames, frames_of, levels_db

_SILENT_DB: Final = -65.0  # a recording whose loudest second is under this is silent
_DYNAMICS_DB: Final = 30.0  # frames so far under the loud ones are pauses
_LONGEST_FRAMES: Final = 1500  # 30 s
_MARGIN_FRAMES: Final = 6  # kept before and after the sound
_PAUSE_FRAMES: Final = 5  # what a cut needs
_LONG_PAUSE_FRAMES: Final = 15  # 0.3 s: what a pause adds to the usable sound, at most
_SHORTEST_S: Final = 3.0
_SHORT_S: Final = 6.0
_VOICED_SHARE: Final = 0.1  # of speech, half and more of the sounding frames are voiced
_MOVEMENT_DB: Final = 2.2  # speech under noise as loud as itself has 2.4 and more, steady noise 2.0 at most
_PURE: Final = 0.95
_STILL: Final = 0.45  # speech in 70 voices has 0.25 at most, single syllables 0.42, four of five pieces of music more
_NOISY_DB: Final = 21.0  # white noise 10 dB under speech leaves 13 to 20, 20 dB under it 21 to 30
_CLIPPED_SHARE: Final = 5e-4

_MOSTLY: Final = 0.5
_HELD_DB: Final = 3.5  # speech in noise as loud as itself has a range of 5 and more
_TRIES: Final = 30
ADVICE: Final = "send 6-30 s of one person speaking"

_Marks = NDArray[np.bool_]  # one a frame


class SilentReference(UnusableReference):
    """There is nothing to hear in it."""


@dataclass(frozen=True)
class Stretch:
    """Where a recording has the most speech, and how good it is."""

    start: int  # frames of 20 ms
    end: int
    usable_s: float  # of sound, with its pauses of up to 0.3 s
    range_db: float  # the loud frames over the quiet ones

    @property
    def short(self) -> bool:
        """Return whether a longer one would copy the voice better."""
        return self.usable_s < _SHORT_S


@dataclass(frozen=True)
class Selection:
    """The clip that is stored."""

    clip: Clip
    stretch: Stretch
    warnings: tuple[str, ...]  # ASCII, a token and what it means


def select(recording: Clip) -> Selection:
    """Return the best <= 30 s of a recording, silence trimmed at both ends and the hum of the mains taken out.

    Raises SilentReference for silence, UnusableReference for under 3 s of sound, and for what is nothing like speech.
    """
    require_sound(levels_db(recording))
    clean = without_hum(recording)
    try:
        stretch = speech_in(frames_of(clean))
    except UnusableReference as refusal:
        raise refusal if clean is recording else UnusableReference(f"under a hum of the mains, {refusal}") from None
    samples = _cut(clean, stretch.start, stretch.end)
    return Selection(Clip(_in_scale(samples), clean.sample_rate_hz), stretch, _warnings(samples, stretch))


def speech_in(frames: Frames) -> Stretch:
    """Return the best <= 30 s that are speech; music and noise before or after it are passed over.

    Raises as `select` does, and says of the first stretch that was tried what it is instead.
    """
    loud = require_sound(frames.levels_db)
    active = frames.levels_db > _threshold_db(frames.levels_db, loud)
    music = frames.held(active)
    reasons = []
    for _ in range(_TRIES):
        try:
            return _judged(frames, active, music, loud)
        except _NotSpeech as found:
            reasons.append(UnusableReference(f"the reference audio {found}; {ADVICE}"))
            active = active.copy()
            active[found.start : found.end] = False
        except UnusableReference as too_short:
            raise (reasons or [too_short])[0] from None
    raise reasons[0]


def require_sound(levels: NDArray[np.float64]) -> float:
    """Return how loud the loud frames are, in dB. Raises SilentReference."""
    loud = _loud_db(levels)
    if loud < _SILENT_DB:
        raise SilentReference(f"the reference audio is silent; {ADVICE}")
    return loud


class _NotSpeech(Exception):
    """The frames [start, end) hold something else."""

    def __init__(self, what: str, start: int, end: int) -> None:
        super().__init__(what)
        self.start = start
        self.end = end


def _judged(frames: Frames, active: _Marks, music: _Marks, loud: float) -> Stretch:
    """Return the best stretch of what is active, without music at its ends if enough is left.

    Raises _NotSpeech, and UnusableReference where it is too short.
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
            f"only {usable_s:.1f} s of sound; send at least 3 s, better 6-30 s, of one person speaking"
        )
    range_db = loud - float(np.percentile(frames.levels_db[start:end], 10))
    what = _instead_of_speech(frames, chosen, range_db)
    if what:
        raise _NotSpeech(what, start, end)
    return Stretch(start, end, usable_s, range_db)


def best_stretch(active: _Marks, voiced: _Marks) -> tuple[int, int]:
    """Return the frames [start, end) of at most 30 s with the most sound in it, voiced sound counting twice.

    It starts and ends with sound and a margin of silence; where more sound lies before or after, it is cut in a pause
    if there is one to cut in.
    """
    sounding = np.flatnonzero(active)
    if not len(sounding):
        return 0, 0
    size = _LONGEST_FRAMES - 2 * _MARGIN_FRAMES
    starts = _starts(active, sounding)
    sums = np.concatenate([[0], np.cumsum(active.astype(np.int64) + voiced)])
    first = int(starts[np.argmax(sums[np.minimum(starts + size, len(active))] - sums[starts])])
    last = first + _end(active[first : first + size + _PAUSE_FRAMES], size)
    return max(0, first - _MARGIN_FRAMES), min(len(active), last + _MARGIN_FRAMES)


def _starts(active: _Marks, sounding: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return where a stretch may begin: the first sound, sound after a pause, and a place every second where no pause
    comes for ten."""
    after_pause = sounding[np.flatnonzero(np.diff(sounding, prepend=-_PAUSE_FRAMES - 1) > _PAUSE_FRAMES)]
    starts = np.union1d(sounding[:1], after_pause)
    if np.diff(starts, append=len(active)).max() < 500:
        return starts
    return np.union1d(starts, sounding[::50])


def _end(stretch: _Marks, size: int) -> int:
    """Return where to end: after the last sound if what follows is a pause, else in the last pause of the stretch's
    last third, else at its size."""
    sounding = np.flatnonzero(stretch[:size])
    last = int(sounding[-1]) + 1
    if len(stretch) <= size or not stretch[last : last + _PAUSE_FRAMES].any():
        return last
    gaps = np.flatnonzero(np.diff(sounding) > _PAUSE_FRAMES)
    ends = sounding[gaps] + 1
    return int(ends[-1]) if len(ends) and ends[-1] > size * 2 // 3 else last


def _loud_db(levels: NDArray[np.float64]) -> float:
    """Return the level that a twentieth of the frames exceed, or, in a long recording, its loudest second."""
    if not len(levels):
        return -np.inf
    return float(np.sort(levels)[-min(50, 1 + len(levels) // 20)])


def _threshold_db(levels: NDArray[np.float64], loud: float) -> float:
    quiet = float(np.percentile(levels, 10))
    return max(loud - _DYNAMICS_DB, min(quiet + 6, loud - 6))


def _usable_frames(active: _Marks) -> int:
    """Count the frames with sound, and of every pause between them at most 0.3 s."""
    sounding = np.flatnonzero(active)
    return int(np.minimum(np.diff(sounding), _LONG_PAUSE_FRAMES).sum() + 1) if len(sounding) else 0


def _cut(recording: Clip, start: int, end: int) -> Samples:
    size = int(recording.sample_rate_hz * FRAME_S)
    return recording.samples[start * size : end * size]


def _in_scale(samples: Samples) -> Samples:
    """Return the samples in -1..1: decoders and float files may go over by a little, or by 32768."""
    peak = np.abs(samples).max()
    return samples / peak if peak > 1 else samples.copy()  # of the recording no more is kept


def _instead_of_speech(frames: Frames, chosen: _Marks, range_db: float) -> str:
    """Return what the chosen frames are if they are no speech, else nothing.

    Part of speech is voiced, its spectrum moves all the time, it has overtones, its pitch glides, and it has pauses: a
    hiss has not the first, a hum not the second, a beep not the third, the notes of music not the fourth, a held chord
    not the last. A song or drums alone may pass: this looks for what cannot be a voice, no more.
    """
    if float(np.median(frames.purity[chosen])) > _PURE:
        return "is a tone, not speech"
    voiced = float(frames.voiced[chosen].mean())
    if frames.stillness(chosen) > _STILL or (voiced > _MOSTLY and range_db < _HELD_DB):
        return "is music or tones, not speech"
    if voiced < _VOICED_SHARE or frames.movement_db(chosen) < _MOVEMENT_DB:
        return "is steady noise or a hum, not speech"
    return ""


def _warnings(samples: Samples, stretch: Stretch) -> tuple[str, ...]:
    found = (
        (stretch.short, f"short: {stretch.usable_s:.1f} s of sound, 6-30 s copy a voice better"),
        (stretch.range_db < _NOISY_DB, "noisy: record in a quiet place for a closer voice"),
        (_clipped_share(samples) > _CLIPPED_SHARE, "clipped: record with less gain for a closer voice"),
    )
    return tuple(text for true, text in found if true)


def _clipped_share(samples: Samples) -> float:
    """Return the share of samples at full scale: near it, as resampling makes flat tops ripple, and not far over it."""
    magnitudes = np.abs(samples)
    return float(np.mean((magnitudes > 0.98) & (magnitudes < 2.0)))
