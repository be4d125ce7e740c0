"""Loudness parameter of a worker, and the finishing that it selects. Pure."""

from typing import Final, Protocol

import numpy as np

from services.common.audio.clip import Samples
from services.common.wire.estimate import audio_seconds
from services.common.wire.fields import Loudness
from services.synth_worker.engines.protocol import EngineDescription, Utterance
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


def accepted_parameters(engine: EngineDescription, default: Loudness) -> dict[str, float]:
    """Return the parameters that a worker with this engine accepts, with their defaults; a loudness of 0 is "off"."""
    if engine.level is None:
        return dict(engine.parameters)
    return {**engine.parameters, "loudness_lufs": _OFF if default == "off" else default}


def finishing_of(engine: EngineDescription, utterance: Utterance, default: Loudness) -> Finish:
    """Return the finishing for the samples of one sentence."""
    if engine.level is None:
        return PassThrough()
    requested = utterance.parameters.loudness_lufs
    target = default if requested is None else requested
    expected_s = audio_seconds(
        len(utterance.text), utterance.language, utterance.parameters.speed or 1.0
    )
    return Finishing(
        engine.sample_rate_hz,
        engine.level,
        None if target == "off" else target,
        expected_s=expected_s,
    )
