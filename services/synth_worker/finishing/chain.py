"""One sentence from the engine's samples to those that are published. Pure.

The samples are cut into frames of 10 ms at fixed offsets and decided on one by one, so the same samples leave however
the engine's came. Once the first frames are out, less than 10 ms and the limiter's 5 ms wait for what follows.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np

from services.common.audio.clip import Samples
from services.common.audio.loudness import FrameEnergies, energy_of, frame_samples
from services.synth_worker.engines.protocol import Level
from services.synth_worker.finishing.edges import Edges, Frame
from services.synth_worker.finishing.levelling import PLANNED_EVERY, QUIET_LU, Levelling
from services.synth_worker.finishing.output import Levelled, Output, Unchanged

CEILING_DBTP: Final = -1.0
_NOTHING: Final = np.zeros(0, dtype=np.float32)


class Finishing:
    """Trims a sentence's edges, and brings it to a loudness; to none where `target_lufs` is None."""

    def __init__(self, sample_rate_hz: int, level: Level, target_lufs: float | None, *, expected_s: float) -> None:
        """`expected_s` is how long the sentence will be, by its text."""
        self._size = frame_samples(sample_rate_hz)
        self._rest = _NOTHING
        self._energies = FrameEnergies(sample_rate_hz)
        self._edges = Edges(self._size)
        target = level.usual_lufs if target_lufs is None else target_lufs
        self._levelling = Levelling(level, target, expected_s=expected_s)
        self._output: Output = Unchanged() if target_lufs is None else Levelled(sample_rate_hz, CEILING_DBTP)
        self._waiting: list[Samples] = []  # frames that have not gone out
        self._gains_db: list[float] = []  # of the first of them
        self._kept = 0  # frames that are not trimmed off

    def push(self, samples: Samples) -> Samples:
        """Return the samples, float32 [m], that the engine's next, float32 [n], complete."""
        samples = np.concatenate([self._rest, samples])
        whole = len(samples) // self._size * self._size
        self._rest = samples[whole:]
        return np.concatenate([*self._taken(samples[:whole]), *self._flush(), _NOTHING])

    def finish(self) -> Samples:
        """Return what is left of the sentence; nothing may be pushed after."""
        padded = np.pad(self._rest, (0, -len(self._rest) % self._size))
        sent = list(self._taken(padded))
        for frame in self._edges.finish():
            sent += self._keep(frame)
        self._gains_db += self._levelling.finish()
        return np.concatenate([*sent, *self._flush(), self._output.finish()])

    def _taken(self, samples: Samples) -> Iterator[Samples]:
        """Decide on whole frames in order; yield what leaves."""
        frames = samples.reshape(-1, self._size)
        for samples_of_frame, energy in zip(frames, self._energies.of(frames).tolist(), strict=True):
            sounds = energy > energy_of(self._levelling.expected_lufs - QUIET_LU)
            for frame in self._edges.add(samples_of_frame, energy, sounds=sounds):
                yield from self._keep(frame)

    def _keep(self, frame: Frame) -> list[Samples]:
        """Take a frame that is not trimmed off; return what leaves for the next plan to be made of it."""
        samples, energy = frame
        self._waiting.append(samples)
        self._gains_db += self._levelling.add(energy)
        self._kept += 1
        if self._kept % PLANNED_EVERY:
            return []
        sent = self._flush()
        self._levelling.plan(self._output.energies())
        return sent

    def _flush(self) -> list[Samples]:
        """Send the frames that have gains."""
        count = len(self._gains_db)
        if not count:
            return []
        sent = self._output.push(self._waiting[:count], self._gains_db)
        self._waiting, self._gains_db = self._waiting[count:], []
        return [sent]
