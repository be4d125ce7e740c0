"""Finds the gain that brings a sentence to its loudness, while the sentence is still being made. Pure.

How it works. The gain of a frame depends on nothing but the frames of its own sentence, up to a fixed number after it,
and on what the engine says of its level; so a sentence that is spoken again gets the same gains.

The loudness that the whole sentence will have is estimated: what the engine usually makes, weighed against what was
heard so far, which counts for more the longer it is. The first frames wait until a fixed number of them is there
(`ahead_ms`, no more than an engine's first chunk holds) and share one gain. A sentence that ends before is measured as
a whole; for one that will be short, by its text, the frames wait a little longer, so that it is. Every 100 ms the
estimate is made again, and the gain moves towards it, slowly enough not to be heard as a movement. If what went out so
far is too loud or too quiet, the next second or two makes up for it, by at most 2 dB.

Quiet frames raise no gain: the loudness is gated, and pauses do not count.
"""

import math
from typing import Final

import numpy as np

from services.common.audio.loudness import FRAME_S, SILENT_LUFS, Floats, energy_of, gated_lufs
from services.synth_worker.engines.protocol import Level

PLANNED_EVERY: Final = 10  # frames
QUIET_LU: Final = 30.0  # so far under the loudness of speech nothing sounds
_VARIANCE_S: Final = 1.2  # LU^2 x s: how far the loudness of some seconds of speech is from that of its sentence
_HORIZON_S: Final = 1.5
_MOST_MAKING_UP_DB: Final = 2.0
_FALL_LU: Final = 0.4  # a sentence ends quieter than it began: what is still to come makes it so much quieter
_SPEECH_LU: Final = 20.0  # what is less than so far under the loudness is speech
_SLEW_DB_PER_S: Final = 3.0
_EARLY_SLEW_DB_PER_S: Final = 10.0  # added in the beginning, when the estimate still moves
_EARLY_S: Final = 0.5
_MOST_GAIN_DB: Final = 24.0
_STEP_DB: Final = 0.01  # gains are multiples, so that a sum rounded otherwise on another processor changes no sample


class Levelling:
    """Sees the energies of a sentence's frames (`common.audio.loudness`) and returns their gains."""

    def __init__(self, level: Level, target_lufs: float, *, expected_s: float) -> None:
        """`expected_s` is how long the sentence will be, by its text."""
        self.expected_lufs = level.usual_lufs  # of the whole sentence, before any gain
        self._usual_lufs = level.usual_lufs
        self._usual_s = _VARIANCE_S / level.spread_lu**2  # seconds of speech that the engine's word is worth
        short = expected_s < level.whole_ms / 1000
        self._ahead = round((max(level.ahead_ms, level.whole_ms) if short else level.ahead_ms) / 1000 / FRAME_S)
        self._target_lufs = target_lufs
        self._running_lufs = target_lufs + _FALL_LU  # what a sentence is to have while it is not at its end
        self._energies: list[float] = []
        self._gains_db: list[float] = []  # at the end of each frame that has one
        self._aim_db = 0.0

    def add(self, energy: float) -> list[float]:
        """Take the energy of the next frame; return the gains in dB of the frames that have one now."""
        self._energies.append(energy)
        count = len(self._energies)
        if count < self._ahead:
            return []
        if count == self._ahead:
            self.plan(np.zeros(0))
            self._gains_db = [self._aim_db] * count
            return self._gains_db[:]
        self._gains_db.append(self._moved(self._gains_db[-1]))
        return self._gains_db[-1:]

    def finish(self) -> list[float]:
        """Return the gains of a sentence that ended before it had any: one gain, as it was measured as a whole."""
        if self._gains_db:
            return []
        loudness = gated_lufs(np.array(self._energies))
        sounds = loudness > self._usual_lufs - QUIET_LU
        gain_db = _stepped(self._target_lufs - loudness) if sounds else 0.0
        return [gain_db] * len(self._energies)

    def plan(self, sent: Floats) -> None:
        """Estimate the loudness of the whole sentence, and where the gain is to go.

        `sent` are the energies, [n], of the frames that went out, with their gains and the limiter's.
        """
        energies = np.array(self._energies)
        speech_s = _speech_s(energies, self.expected_lufs)
        heard_lufs = gated_lufs(energies)
        if heard_lufs != SILENT_LUFS:
            weighed = self._usual_s * self._usual_lufs + speech_s * heard_lufs
            self.expected_lufs = weighed / (self._usual_s + speech_s)
        self._aim_db = _stepped(self._running_lufs - self.expected_lufs + self._making_up_db(sent))

    def _making_up_db(self, sent: Floats) -> float:
        """Return how much louder than the target the next second is to be, so that the whole comes out right."""
        sent_s = _speech_s(sent, self._running_lufs)
        if not sent_s:
            return 0.0
        ratio = energy_of(gated_lufs(sent)) / energy_of(self._running_lufs)
        wanted = 1 + sent_s / _HORIZON_S * (1 - ratio)
        lowest, highest = 10 ** (-_MOST_MAKING_UP_DB / 10), 10 ** (_MOST_MAKING_UP_DB / 10)
        return 10 * math.log10(min(max(wanted, lowest), highest))

    def _moved(self, gain_db: float) -> float:
        """Return the next frame's gain, a small step nearer to where it is to go."""
        early = math.exp(-len(self._gains_db) * FRAME_S / _EARLY_S)
        most_db = (_SLEW_DB_PER_S + _EARLY_SLEW_DB_PER_S * early) * FRAME_S
        return gain_db + min(max(self._aim_db - gain_db, -most_db), most_db)


def _speech_s(energies: Floats, lufs: float) -> float:
    """Return how many seconds of these frames are speech, in a sentence of this loudness."""
    return float(np.sum(energies > energy_of(lufs - _SPEECH_LU))) * FRAME_S


def _stepped(gain_db: float) -> float:
    return round(min(max(gain_db, -_MOST_GAIN_DB), _MOST_GAIN_DB) / _STEP_DB) * _STEP_DB
