"""Finds the gain that brings a sentence to its loudness while the sentence is still being synthesized. Pure.

How it works
------------
The gain of a frame depends only on the frames of its sentence, up to a fixed number after it, and on the engine's
declared level. So a sentence that is synthesized again gets the same gains.

The loudness of the whole sentence is estimated as an average of the engine's usual level and the level so far; the
longer the sentence, the higher the weight of the latter. The first frames wait until `ahead_ms` of audio is available
(at most what the engine's first chunk holds) and share one gain. A sentence that ends before that is measured as a
whole; if the text suggests a short sentence, the frames wait for `whole_ms`, so that this is the case.

Every 100 ms the estimate is updated, and the gain moves towards it, slowly enough to be inaudible. If the audio sent so
far is too loud or too quiet, the next second or two compensates for it, by at most 2 dB.

Quiet frames raise no gain: the loudness is gated, and pauses do not count.
"""

import math
from typing import Final

import numpy as np

from services.common.audio.loudness import FRAME_S, SILENT_LUFS, Floats, energy_of, gated_lufs
from services.synth_worker.engines.protocol import Level

PLANNED_EVERY: Final = 10  # frames
QUIET_LU: Final = 30.0  # frames so far below the loudness of speech are inaudible
# LU^2 x s: variance of the loudness of a part of a sentence, times its length
_VARIANCE_S: Final = 1.2
_HORIZON_S: Final = 1.5
_MAX_COMPENSATION_DB: Final = 2.0
_SPEECH_LU: Final = 20.0  # frames at most so far below the loudness are speech
_SLEW_DB_PER_S: Final = 3.0
_EARLY_SLEW_DB_PER_S: Final = 10.0  # added at the beginning, while the estimate still changes
_EARLY_S: Final = 0.5
_MAX_GAIN_DB: Final = 24.0
_STEP_DB: Final = 0.01  # gains are multiples of this, so that other rounding on another processor changes no sample


class Levelling:
    """Computes gains from the energies of a sentence's frames (`common.audio.loudness`)."""

    def __init__(self, level: Level, target_lufs: float, *, expected_s: float) -> None:
        """Set up for a sentence whose text suggests `expected_s` seconds of audio."""
        self.expected_lufs = level.usual_lufs  # of the whole sentence, before any gain
        self._usual_lufs = level.usual_lufs
        # weight of the usual level, in seconds of speech
        self._usual_s = _VARIANCE_S / level.spread_lu**2
        short = expected_s < level.whole_ms / 1000
        ahead_ms = max(level.ahead_ms, level.whole_ms) if short else level.ahead_ms
        self._ahead = round(ahead_ms / 1000 / FRAME_S)  # frames
        self._target_lufs = target_lufs
        self._running_lufs = target_lufs + level.fall_lu  # target before the end of the sentence
        self._energies: list[float] = []
        self._gains_db: list[float] = []  # at the end of each frame that has one
        self._aim_db = 0.0

    def add(self, energy: float) -> list[float]:
        """Add the energy of the next frame; return the gains in dB of the frames that have one now."""
        self._energies.append(energy)
        count = len(self._energies)
        if count < self._ahead:
            return []
        if count == self._ahead:
            self.plan(np.zeros(0))
            self._gains_db = [self._aim_db] * count
            return self._gains_db[:]
        self._gains_db.append(self._next_gain(self._gains_db[-1]))
        return self._gains_db[-1:]

    def finish(self) -> list[float]:
        """Return the gains of a sentence that ended before it had any: one gain for all frames."""
        if self._gains_db:
            return []
        loudness = gated_lufs(np.array(self._energies))
        audible = loudness > self._usual_lufs - QUIET_LU
        gain_db = _quantized(self._target_lufs - loudness) if audible else 0.0
        return [gain_db] * len(self._energies)

    def plan(self, sent: Floats) -> None:
        """Estimate the loudness of the whole sentence and the gain to aim for.

        `sent` are the energies, [n], of the frames sent so far, after gains and limiter.
        """
        energies = np.array(self._energies)
        speech_s = _speech_s(energies, self.expected_lufs)
        measured_lufs = gated_lufs(energies)
        if measured_lufs != SILENT_LUFS:
            weighted_sum = self._usual_s * self._usual_lufs + speech_s * measured_lufs
            self.expected_lufs = weighted_sum / (self._usual_s + speech_s)
        self._aim_db = _quantized(
            self._running_lufs - self.expected_lufs + self._compensation_db(sent)
        )

    def _compensation_db(self, sent: Floats) -> float:
        """Return how much louder than the target the next seconds have to be for the whole to meet it."""
        sent_s = _speech_s(sent, self._running_lufs)
        if not sent_s:
            return 0.0
        ratio = energy_of(gated_lufs(sent)) / energy_of(self._running_lufs)
        needed = 1 + sent_s / _HORIZON_S * (1 - ratio)
        lowest = 10 ** (-_MAX_COMPENSATION_DB / 10)
        highest = 10 ** (_MAX_COMPENSATION_DB / 10)
        return 10 * math.log10(min(max(needed, lowest), highest))

    def _next_gain(self, gain_db: float) -> float:
        """Return the next frame's gain, one step closer to the gain to aim for."""
        early = math.exp(-len(self._gains_db) * FRAME_S / _EARLY_S)
        max_db = (_SLEW_DB_PER_S + _EARLY_SLEW_DB_PER_S * early) * FRAME_S
        return gain_db + min(max(self._aim_db - gain_db, -max_db), max_db)


def _speech_s(energies: Floats, lufs: float) -> float:
    """Return the seconds of speech in these frames, for a sentence of this loudness."""
    return float(np.sum(energies > energy_of(lufs - _SPEECH_LU))) * FRAME_S


def _quantized(gain_db: float) -> float:
    return round(min(max(gain_db, -_MAX_GAIN_DB), _MAX_GAIN_DB) / _STEP_DB) * _STEP_DB
