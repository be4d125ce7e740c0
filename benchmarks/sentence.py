"""One sentence of an engine, synthesized to its end."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from services.common.audio.clip import Samples
from services.synth_worker.engines.protocol import Engine, TimedSpan, Utterance


@dataclass(frozen=True, eq=False)
class SpokenSentence:
    """The audio of a sentence, and the time that it took."""

    samples: Samples  # float32 [n], at the engine's rate
    times: tuple[TimedSpan, ...]  # of its words, if the engine measures them
    first_audio_s: float  # from `open` to the end of the first step with samples
    total_s: float  # from `open` to the end of the last step
    sequence: Any  # the engine's own state of the sentence


def speak(engine: Engine[Any, Any], voice: Any, utterance: Utterance) -> SpokenSentence:
    """Synthesize a sentence alone. Raises PipelineError, as the engine's `open` and steps do."""
    begun = time.perf_counter()
    sequence = engine.open(utterance, voice)
    first_audio_s = 0.0
    parts: list[Samples] = []
    times: list[TimedSpan] = []
    done = False

    while not done:
        [step] = engine.step([sequence])
        if step.failure is not None:
            raise step.failure

        parts.append(step.samples)
        times += step.times
        done = step.done

        if len(step.samples) and not first_audio_s:
            first_audio_s = time.perf_counter() - begun

    total_s = time.perf_counter() - begun
    return SpokenSentence(np.concatenate(parts), tuple(times), first_audio_s, total_s, sequence)
