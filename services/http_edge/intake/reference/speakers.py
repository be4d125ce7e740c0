"""Detects two speakers who take turns in a clip. Pure.

Each 1.6 s of speech is a point in the space of the speaker encoder. The points are split into two
groups; if these are as far apart as those of two people, the clip has two speakers. Figures are in
docs/http.md. Two people speaking at the same time are not distinguished from one.
"""

from functools import cache
from typing import Final

import numpy as np

from services.common.audio.clip import Clip, Samples
from services.common.audio.resample import resample
from services.common.audio.speaker_encoder import SAMPLE_RATE_HZ, SpeakerEncoder, unit
from services.common.audio.spectra import Floats
from services.http_edge.intake.reference.voice_activity import FRAME_S, levels_db

_ALIKE: Final = 0.74  # cosine similarity of the groups: mostly 0.90 for one speaker, 0.65 for two
# of the windows in the smaller group: fewer are a single word or a noise
_LEAST_SHARE: Final = 0.15
_LEAST_WINDOWS: Final = 6
_PAUSE_DB: Final = 30.0
_PADDING_FRAMES: Final = 5  # of a pause that remain on each side of speech
_ROUNDS: Final = 10


def two_take_turns(clip: Clip) -> bool:
    """Return whether the clip sounds like two alternating speakers."""
    speech = _without_pauses(resample(clip, SAMPLE_RATE_HZ))
    if len(speech) < 2 * SAMPLE_RATE_HZ:
        return False
    windows = encoder().embed_windows(speech)
    return len(windows) >= _LEAST_WINDOWS and apart(windows)


@cache
def encoder() -> SpeakerEncoder:
    """Return the speaker encoder, which is loaded once."""
    return SpeakerEncoder.bundled()


def apart(windows: Floats) -> bool:
    """Return whether unit vectors [n, 256] fall into two groups that are as far apart as two speakers."""
    second = _groups(windows)
    share = float(second.mean())
    if min(share, 1 - share) < _LEAST_SHARE:
        return False
    return float(unit(windows[second].mean(axis=0)) @ unit(windows[~second].mean(axis=0))) < _ALIKE


def _groups(windows: Floats) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return which vectors are in the second of two groups, by k-means on the sphere from the main direction."""
    centred = windows - windows.mean(axis=0)
    second = np.linalg.svd(centred, full_matrices=False)[0][:, 0] > 0
    for _ in range(_ROUNDS):
        if second.all() or not second.any():
            break
        closer = windows @ unit(windows[second].mean(axis=0)) > windows @ unit(
            windows[~second].mean(axis=0)
        )
        if (closer == second).all():
            break
        second = closer
    return second


def _without_pauses(clip: Clip) -> Samples:
    levels = levels_db(clip)
    if not len(levels):
        return clip.samples
    active = levels > np.percentile(levels, 95) - _PAUSE_DB
    speech = np.convolve(active, np.ones(2 * _PADDING_FRAMES + 1), "same") > 0
    each = np.repeat(speech[: len(active)], int(clip.sample_rate_hz * FRAME_S))
    return clip.samples[: len(each)][each]
