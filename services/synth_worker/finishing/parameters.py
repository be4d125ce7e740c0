"""Loudness and watermark of a worker, and the finishing that they select. Pure."""

from dataclasses import replace
from typing import Final, Protocol

import numpy as np

from services.common.audio.clip import Samples
from services.common.audio.watermark.marking import LATENCY_MS, Marking
from services.common.wire.estimate import audio_seconds
from services.common.wire.fields import Loudness
from services.synth_worker.engines.protocol import EngineDescription, Level, Utterance
from services.synth_worker.finishing.chain import Finishing

_OFF: Final = 0.0  # "off" as a number, in the heartbeat


class Finish(Protocol):
    """Finishing of one sentence."""

    @property
    def trimmed_samples(self) -> int:
        """Return the number of samples cut off before the first one that is sent; under 0: silence was added."""

    @property
    def margins(self) -> tuple[int, int]:
        """Return the quiet samples before and after the speech."""

    def push(self, samples: Samples) -> Samples:
        """Add the engine's next samples, float32 [n]; return those that are finished, float32 [m]."""

    def finish(self) -> Samples:
        """Return the rest of the sentence, float32 [m]; nothing can be pushed afterwards."""


class PassThrough:
    """Finishing that changes nothing, for an engine without a declared level."""

    trimmed_samples = 0
    margins = (0, 0)

    def push(self, samples: Samples) -> Samples:
        """Return the samples."""
        return samples

    def finish(self) -> Samples:
        """Return nothing."""
        return np.zeros(0, dtype=np.float32)


class Marked:
    """Finishing of samples that get the watermark first, so that loudness and peaks are those of marked audio."""

    def __init__(self, finish: Finish, sample_rate_hz: int) -> None:
        self._finish = finish
        self._marking = Marking(sample_rate_hz)

    @property
    def trimmed_samples(self) -> int:
        """Return the number of samples cut off before the first one that is sent; under 0: silence was added."""
        return self._finish.trimmed_samples

    @property
    def margins(self) -> tuple[int, int]:
        """Return the quiet samples before and after the speech."""
        return self._finish.margins

    def push(self, samples: Samples) -> Samples:
        """Add the engine's next samples, float32 [n]; return those that are finished, float32 [m]."""
        return self._finish.push(self._marking.push(samples))

    def finish(self) -> Samples:
        """Return the rest of the sentence, float32 [m]; nothing can be pushed afterwards."""
        rest = self._finish.push(self._marking.finish())
        return np.concatenate([rest, self._finish.finish()])


def accepted_parameters(engine: EngineDescription, default: Loudness) -> dict[str, float]:
    """Return the parameters that a worker with this engine accepts, with their defaults; a loudness of 0 is "off"."""
    if engine.level is None:
        return dict(engine.parameters)
    return {**engine.parameters, "loudness_lufs": _OFF if default == "off" else default}


def finishing_of(
    engine: EngineDescription, utterance: Utterance, default: Loudness, *, watermark: bool = False
) -> Finish:
    """Return the finishing for the samples of one sentence.

    An engine without a declared level produces no speech: its audio gets no watermark.
    """
    if engine.level is None:
        return PassThrough()
    requested = utterance.parameters.loudness_lufs
    target = default if requested is None else requested
    expected_s = audio_seconds(
        len(utterance.text), utterance.language, utterance.parameters.speed or 1.0
    )
    finishing = Finishing(
        engine.sample_rate_hz,
        _level_after_marking(engine.level) if watermark else engine.level,
        None if target == "off" else target,
        expected_s=expected_s,
    )
    return Marked(finishing, engine.sample_rate_hz) if watermark else finishing


def _level_after_marking(level: Level) -> Level:
    """Return the level of a sentence whose first chunk is shorter by what the marking holds back."""
    return replace(level, ahead_ms=max(level.ahead_ms - LATENCY_MS, 0))
