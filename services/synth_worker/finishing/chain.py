"""Turns the engine's samples of one sentence into the samples that are published. Pure.

The samples are cut into frames of 10 ms at fixed offsets and processed one by one, so the output does not depend on how
the engine splits its samples. After the first frames, the delay is less than 10 ms plus the limiter's 5 ms.
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
    """Trims a sentence's edges and brings it to a loudness; if `target_lufs` is None, the level is unchanged."""

    def __init__(
        self, sample_rate_hz: int, level: Level, target_lufs: float | None, *, expected_s: float
    ) -> None:
        """Set up for a sentence whose text suggests `expected_s` seconds of audio."""
        self._size = frame_samples(sample_rate_hz)
        self._rest = _NOTHING
        self._energies = FrameEnergies(sample_rate_hz)
        self._edges = Edges(self._size)
        target = level.usual_lufs if target_lufs is None else target_lufs
        self._levelling = Levelling(level, target, expected_s=expected_s)
        self._output: Output = (
            Unchanged() if target_lufs is None else Levelled(sample_rate_hz, CEILING_DBTP)
        )
        self._waiting: list[Samples] = []  # frames that are not sent yet
        self._gains_db: list[float] = []  # of the first of them
        self._frames = 0  # frames that are not trimmed off

    @property
    def trimmed_samples(self) -> int:
        """Return the number of samples cut off before the first one that is sent; under 0: silence was added."""
        return self._edges.trimmed * self._size

    @property
    def margins(self) -> tuple[int, int]:
        """Return the quiet samples before and after the speech."""
        before, after = self._edges.margins
        return before * self._size, after * self._size

    def push(self, samples: Samples) -> Samples:
        """Add the engine's next samples, float32 [n]; return those that are finished, float32 [m]."""
        samples = np.concatenate([self._rest, samples])
        whole = len(samples) // self._size * self._size
        self._rest = samples[whole:]
        return np.concatenate([*self._processed(samples[:whole]), *self._flush(), _NOTHING])

    def finish(self) -> Samples:
        """Return the rest of the sentence, float32 [m]; nothing can be pushed afterwards."""
        padded = np.pad(self._rest, (0, -len(self._rest) % self._size))
        sent = list(self._processed(padded))
        for frame in self._edges.finish():
            sent += self._add(frame)
        self._gains_db += self._levelling.finish()
        return np.concatenate([*sent, *self._flush(), self._output.finish()])

    def _processed(self, samples: Samples) -> Iterator[Samples]:
        """Process whole frames in order; yield the samples that are finished."""
        frames = samples.reshape(-1, self._size)
        for samples_of_frame, energy in zip(
            frames, self._energies.of(frames).tolist(), strict=True
        ):
            audible = energy > energy_of(self._levelling.expected_lufs - QUIET_LU)
            for frame in self._edges.add(samples_of_frame, energy, audible=audible):
                yield from self._add(frame)

    def _add(self, frame: Frame) -> list[Samples]:
        """Add a frame that is not trimmed off; return the samples that are sent before the next plan."""
        samples, energy = frame
        self._waiting.append(samples)
        self._gains_db += self._levelling.add(energy)
        self._frames += 1
        if self._frames % PLANNED_EVERY:
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
        self._waiting = self._waiting[count:]
        self._gains_db = []
        return [sent]
