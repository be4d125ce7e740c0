"""What may be asked of a worker about loudness, and the finishing that does it. Pure."""

from typing import Final, Protocol

import numpy as np

from services.common.audio.clip import Samples
from services.common.wire.estimate import audio_seconds
from services.common.wire.messages import Loudness
from services.synth_worker.engines.protocol import EngineDescription, Utterance
from services.synth_worker.finishing.chain import Finishing

_OFF: Final = 0.0  # where a default is told as a number


class Finish(Protocol):
    """Takes one sentence's samples as the engine makes them."""

    def push(self, samples: Samples) -> Samples:
        """Return the samples, float32 [m], that these, float32 [n], complete."""

    def finish(self) -> Samples:
        """Return what is left of the sentence; nothing may be pushed after."""


class AsMade:
    """Changes nothing, for an engine whose audio is published as it is."""

    def push(self, samples: Samples) -> Samples:
        """Return the samples."""
        return samples

    def finish(self) -> Samples:
        """Return nothing."""
        return np.zeros(0, dtype=np.float32)


def parameters_taken(engine: EngineDescription, default: Loudness) -> dict[str, float]:
    """Return the parameters that a worker with this engine takes, with their defaults; a loudness of 0 is none."""
    if engine.level is None:
        return dict(engine.parameters)
    return {**engine.parameters, "loudness_lufs": _OFF if default == "off" else default}


def finishing_of(engine: EngineDescription, utterance: Utterance, default: Loudness) -> Finish:
    """Return what finishes the samples of one sentence."""
    if engine.level is None:
        return AsMade()
    asked = utterance.parameters.loudness_lufs
    target = default if asked is None else asked
    expected_s = audio_seconds(len(utterance.text), utterance.language, utterance.parameters.speed or 1.0)
    return Finishing(engine.sample_rate_hz, engine.level, None if target == "off" else target, expected_s=expected_s)
