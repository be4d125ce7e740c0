"""The best speech in a file: of any of its audio tracks, in its first hour.

A file is searched ten minutes at a time, all tracks before the next ten minutes, and no further than where 6 s of
speech are found. So of an ordinary recording no more than ten minutes are read, and an hour of silence takes the
memory of ten minutes.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from services.common.audio.clip import Clip
from services.common.wire.failures import UnusableReference
from services.http_edge.reference.channels import best_of
from services.http_edge.reference.decoding import WINDOW_S, recordings
from services.http_edge.reference.files import tracks_of
from services.http_edge.reference.selection import ADVICE, Selection, SilentReference, select

_WINDOWS: Final = 6  # of ten minutes, in all tracks together


def find_speech(path: Path) -> Selection:
    """Return what is stored of a file. Raises UnusableReference, which says what was found instead of speech."""
    tracks = [_Listener(recordings(track)) for track in tracks_of(path)[:_WINDOWS]]
    best: Selection | None = None
    rounds = _WINDOWS // len(tracks)
    for _ in range(rounds):
        best = _longer(best, _best_of_next(tracks))
        if (best is not None and not best.stretch.short) or all(track.done for track in tracks):
            break
    if best is None:
        raise _refusal(tracks, rounds)
    return best


class _Listener:
    """One track, and what was found in it so far."""

    def __init__(self, rest: Iterator[Clip]) -> None:
        self._rest = rest
        self.done = False
        self.refusals: list[UnusableReference] = []

    def next(self) -> Selection | None:
        """Return the best of the next ten minutes; nothing where there is no speech."""
        try:
            recording = next(self._rest, None)
            self.done = recording is None or recording.seconds < WINDOW_S - 1
            return None if recording is None else select(recording)
        except UnusableReference as refusal:
            self.refusals.append(refusal)
            return None


def _best_of_next(tracks: list[_Listener]) -> Selection | None:
    selections = [track.next() for track in tracks]
    return selections[best_of([selection.stretch if selection else None for selection in selections])]


def _longer(one: Selection | None, other: Selection | None) -> Selection | None:
    if one is None or other is None:
        return one or other
    return max(one, other, key=lambda selection: selection.stretch.usable_s)


def _refusal(tracks: list[_Listener], rounds: int) -> UnusableReference:
    """Return what was found: the first thing that is not silence, or silence."""
    reasons = [refusal for track in tracks for refusal in track.refusals]
    heard = [reason for reason in reasons if not isinstance(reason, SilentReference)]
    unread = not all(track.done for track in tracks)
    read = f"the first {rounds * WINDOW_S // 60} minutes" if unread else ""
    if len(tracks) > 1:
        found = f"the file has {len(tracks)} audio tracks, {'none with speech' if heard else 'all silent'}"
        return UnusableReference(f"{found}{f' in {read}' if read else ''}; {heard[0] if heard else ADVICE}")
    if read:
        return UnusableReference(f"{read} of the file were read: {(heard or reasons)[0]}")
    return (heard or reasons)[0]
