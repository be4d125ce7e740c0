"""Finds the best speech in any audio track of a file, within its first hour.

A file is searched window by window, in all tracks before the next window, until 6 s of speech are
found or the processor time is used up. So at most ten minutes of an ordinary recording are read,
and an hour of silence takes the memory of ten minutes.
"""

import math
import time
from collections.abc import Iterator
from typing import Final

from services.common.wire.failures import UnusableReference
from services.http_edge.intake.reference.channels import best_of
from services.http_edge.intake.reference.decoding import Recording, recordings
from services.http_edge.intake.reference.files import tracks_of
from services.http_edge.intake.reference.selection import ADVICE, Selection, SilentReference, select
from services.http_edge.intake.reference.source import OpenableFile

_ROUNDS: Final = 6  # each of one window, which the tracks share
_MOST_TRACKS: Final = 6


def find_speech(source: OpenableFile, *, processor_s: float = math.inf) -> Selection:
    """Return the clip to store of a file.

    No round starts that is expected to exceed the processor time.

    Raises UnusableReference, which states what was found instead of speech.
    """
    found = tracks_of(source)[:_MOST_TRACKS]
    tracks = [_TrackSearch(recordings(track, 1 / len(found))) for track in found]
    best: Selection | None = None
    clock = _RoundClock(processor_s)
    for _ in range(_ROUNDS):
        best = _longer(best, _best_of_next(tracks))
        if (best is not None and not best.stretch.short) or all(track.done for track in tracks):
            break
        if not clock.another():
            break
    if best is None:
        raise _refusal(tracks)
    return best


class _RoundClock:
    """Counts the processor time of this process, round by round."""

    def __init__(self, limit_s: float) -> None:
        self._end_s = time.process_time() + limit_s
        self._began_s = time.process_time()
        self._longest_s = 0.0

    def another(self) -> bool:
        """Return whether another round as long as the longest one fits."""
        now_s = time.process_time()
        self._longest_s = max(self._longest_s, now_s - self._began_s)
        self._began_s = now_s
        return now_s + self._longest_s <= self._end_s


class _TrackSearch:
    """The search in one track."""

    def __init__(self, rest: Iterator[Recording]) -> None:
        self._rest = rest
        self.done = False
        self.read_s = 0.0
        self.refusals: list[UnusableReference] = []

    def next(self) -> Selection | None:
        """Return the best clip of the next window; None if it has no speech."""
        self.done = True  # also if reading fails
        try:
            recording = next(self._rest, None)
            if recording is None:
                return None
            self.done = not recording.cut
            self.read_s += recording.clip.seconds
            return select(recording.clip)
        except UnusableReference as refusal:
            self.refusals.append(refusal)
            return None


def _best_of_next(tracks: list[_TrackSearch]) -> Selection | None:
    selections = [track.next() for track in tracks]
    return selections[
        best_of([selection.stretch if selection else None for selection in selections])
    ]


def _longer(one: Selection | None, other: Selection | None) -> Selection | None:
    if one is None or other is None:
        return one or other
    return max(one, other, key=lambda selection: selection.stretch.usable_s)


def _refusal(tracks: list[_TrackSearch]) -> UnusableReference:
    """Return the error for what was found: the first window that is not silent, or silence."""
    reasons = [refusal for track in tracks for refusal in track.refusals]
    audible = [reason for reason in reasons if not isinstance(reason, SilentReference)]
    unread = not all(track.done for track in tracks)
    read = f"the first {_duration(max(track.read_s for track in tracks))}" if unread else ""
    if len(tracks) > 1:
        found = f"the file has {len(tracks)} audio tracks, {'none with speech' if audible else 'all silent'}"
        return UnusableReference(
            f"{found}{f' in {read}' if read else ''}; {audible[0] if audible else ADVICE}"
        )
    if read:
        return UnusableReference(f"{read} of the file were read: {(audible or reasons)[0]}")
    return (audible or reasons)[0]


def _duration(seconds: float) -> str:
    return f"{seconds // 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} s"
